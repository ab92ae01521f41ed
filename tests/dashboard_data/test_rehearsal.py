"""What connections do before somebody asks."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from dashboard import warm
from dashboard.reading import overview, timeline, webhooks
from gateway import hosting
from gateway.merchants import Merchant
from kit.db import Connection, Database
from tests.dashboard_data.past import Past

NOW = datetime.now(UTC)


async def test_once_rehearsed_no_page_plans_a_statement_over_partitions(
    reader: Connection, mine: Merchant, past: Past, database_url: str
) -> None:
    """What is planned at a page's first reading knows each day's tables, and takes the longest of all."""
    payment = past.pay(NOW - timedelta(hours=2), 500, refunds=((NOW - timedelta(hours=1), 200, True),))
    past.send(past.event("payment.created"), "whep_1", 500, 200)
    past.lay(database_url)
    await warm.read(reader)
    known = await _prepared(reader)
    await overview.overview(reader, mine, "24h", now=NOW, zone=warm.zones.reader())
    found = await timeline.timeline(reader, mine, payment.id)
    await webhooks.cards(reader, mine, now=NOW)
    assert [one.source for one in found.entries].count("attempt") == 2
    assert known
    assert [text for text in await _prepared(reader) - known if " events" in text or " deliver" in text] == []


async def test_no_connection_serves_anybody_before_it_has_rehearsed(database_url: str) -> None:
    async with (
        Database(
            database_url, name="rehearsing", size=3, statement_timeout=20, wait=20, role="ledgate_dashboard",
            rehearse=warm.rehearse,
        ) as database,
        database.connection() as one, database.connection() as another, database.connection() as third,
    ):  # fmt: skip
        known = [await _prepared(conn) for conn in (one, another, third)]
    assert len(known[0]) > 10
    assert known[0] == known[1] == known[2]


async def test_a_database_without_tables_is_told_and_serves(empty_database_url: str) -> None:
    """Its pages say what is wrong; that they could not be rehearsed keeps no connection away."""
    with capture_logs() as told:
        async with (
            Database(
                empty_database_url, name="rehearsing", size=1, statement_timeout=20, wait=20, rehearse=warm.rehearse
            ) as database,
            database.connection() as conn,
        ):
            assert await (await conn.execute("SELECT 1")).fetchone() == (1,)
    assert ("pages.not_rehearsed", "UndefinedTable") in [(one["event"], one.get("error")) for one in told]


async def _prepared(conn: Connection) -> set[str]:
    rows = await (await conn.execute("SELECT statement FROM pg_prepared_statements")).fetchall()
    return {str(text) for (text,) in rows if "pg_prepared_statements" not in text}


def test_what_a_worker_begins_with_is_never_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full collection walks what is left: without the application, a hundredth of it."""
    monkeypatch.setattr(hosting.logs, "setup", lambda **_: None)
    built: Any = SimpleNamespace(on_startup=[])
    try:
        assert hosting.make(lambda *_: built, lambda: False, service="test") is built
        assert gc.get_freeze_count() > 10 * len(gc.get_objects())
    finally:
        gc.unfreeze()
