"""The clock that tests move is the one that the queue lives by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway import demo
from gateway.config import Config
from kit.db import Database
from outbox import work
from tests.support.clock import Clock
from tests.support.paying import ALL, pay


async def test_a_lease_ends_when_the_clock_is_moved_past_it(config: Config) -> None:
    clock = Clock(config.database_url)
    await demo.seed(config.database_url, config)
    async with (
        Database(config.database_url, name="owner", size=1, statement_timeout=9, wait=5) as owner,
        owner.connection() as paying,
        Database(
            config.database_url, name="worker", size=1, statement_timeout=9, wait=5, role="ledgate_dispatcher"
        ) as database,
        database.connection() as conn,
    ):
        await pay(paying, config)
        first = await work.claim(conn, "webhook.deliver", ALL, limit=9, lease=3600, dispatcher="one")
        assert len(first) == 2
        assert await work.claim(conn, "webhook.deliver", ALL, limit=9, lease=3600, dispatcher="two") == []
        clock.move(hours=1, seconds=1)
        again = await work.claim(conn, "webhook.deliver", ALL, limit=9, lease=3600, dispatcher="two")
    assert {one.id for one in again} == {one.id for one in first}
    assert clock.now() - datetime.now(UTC) > timedelta(minutes=59)
