"""An endpoint's health: counted by the statement that settles, forgotten by a success; one probe, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from gateway import demo
from gateway.config import Config
from gateway.secrets import make_sealer
from kit.db import Connection
from outbox import deliveries, endpoints, health
from outbox.deliveries import Outcome
from outbox.work import Work
from tests.support.attempts import claimed, failed, succeeded
from tests.support.clock import Clock
from tests.support.paying import MERCHANT

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def clock(config: Config, demo_merchant: str) -> Clock:
    return Clock(config.database_url)


@pytest.fixture
async def db(config: Config, clock: Clock) -> AsyncIterator[Connection]:
    """An autocommitting connection that lives by the moved clock."""
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as made:
        yield made


def _rows(conn: Conn) -> list[dict[str, Any]]:
    return conn.execute("SELECT * FROM endpoint_health ORDER BY endpoint_id").fetchall()


async def test_failures_count_from_the_first_and_one_success_forgets_them(
    db: Connection, config: Config, conn: Conn, clock: Clock
) -> None:
    works = await claimed(db, config, 6)
    began = clock.now()
    await deliveries.settle(db, [failed(works[0]), failed(works[1], None, "timed out " * 50)], dispatcher="one")
    clock.move(hours=5)
    await deliveries.settle(db, [failed(works[2], status="failed", delay=None)], dispatcher="one")

    (row,) = _rows(conn)
    assert (row["failures"], row["last_error"], row["open_until"], row["trips"]) == (3, "HTTP 503", None, 0)
    assert timedelta(0) <= row["failing_since"] - began < timedelta(minutes=1)
    assert row["last_failure_at"] - row["failing_since"] >= timedelta(hours=5)

    await deliveries.settle(db, [failed(works[3]), succeeded(works[4])], dispatcher="one")
    assert _rows(conn) == [], "one that answers sometimes is not in trouble"
    await deliveries.settle(db, [failed(works[5], None, "x" * 300)], dispatcher="one")
    (row,) = _rows(conn)
    assert (row["failures"], row["last_error"]) == (1, "x" * 200)


async def test_only_what_counts_counts(db: Connection, config: Config, conn: Conn) -> None:
    """Not a lost lease's word, not what was never sent, not our own faults, not an endpoint that is gone."""
    works = await claimed(db, config, 4)
    await deliveries.settle(db, [failed(works[0])], dispatcher="another")
    await deliveries.settle(db, [Outcome(work=works[1], status="failed")], dispatcher="one")
    await deliveries.settle(db, [failed(works[2], None, "cannot sign", unasked=True)], dispatcher="one")
    conn.execute("DELETE FROM endpoints")
    await deliveries.settle(db, [failed(works[3])], dispatcher="one")
    assert _rows(conn) == []


async def test_each_endpoint_has_its_own_health(db: Connection, config: Config, conn: Conn) -> None:
    other, _ = await endpoints.add(
        db, make_sealer(config), bucket=MERCHANT.bucket, merchant_id=MERCHANT.merchant_id, url="http://b/"
    )
    works = await claimed(db, config, 4)
    outcomes = [failed(one) if one.endpoint_id == other else succeeded(one) for one in works]
    await deliveries.settle(db, outcomes, dispatcher="one")
    assert [(row["endpoint_id"], row["failures"]) for row in _rows(conn)] == [(other, 2)]


async def test_a_circuit_opens_after_so_many_failures_in_a_row_and_says_for_how_long(
    db: Connection, config: Config, conn: Conn, clock: Clock
) -> None:
    works = await claimed(db, config, 50)

    async def fail(some: list[Work]) -> None:
        await deliveries.settle(db, [failed(one) for one in some], dispatcher="one")

    (job,) = await deliveries.load(db, works[:1])
    assert (job.failing, job.held_for) == (False, None)
    await fail(works[:30])
    await fail(works[30:49])
    (job,) = await deliveries.load(db, works[:1])
    assert (job.failing, job.held_for) == (True, None), "49 in a row"
    await fail(works[49:])
    (job,) = await deliveries.load(db, works[:1])
    assert job.held_for is not None
    assert 9 < job.held_for <= 10

    clock.move(seconds=4)
    late = await claimed(db, config, 1)
    await fail(late)
    (job,) = await deliveries.load(db, works[:1])
    assert job.held_for is not None
    assert 5 < job.held_for <= 6, "what was under way when it opened does not prolong it"
    clock.move(seconds=6)
    (job,) = await deliveries.load(db, works[:1])
    assert job.held_for == 0
    (row,) = _rows(conn)
    assert (row["failures"], row["trips"]) == (51, 1)


async def test_a_batch_of_failures_alone_can_open_it(db: Connection, config: Config, conn: Conn) -> None:
    works = await claimed(db, config, 4)
    await deliveries.settle(db, [failed(one) for one in works[:3]], dispatcher="one", trip_after=3)
    (row,) = _rows(conn)
    assert (row["failures"], row["trips"], row["open_until"] is None) == (3, 1, False)
    await deliveries.settle(db, [succeeded(works[3])], dispatcher="one", trip_after=3)
    assert _rows(conn) == [], "any success closes it, a late one too"


async def test_a_half_open_circuit_has_one_probe_whoever_asks(
    db: Connection, config: Config, conn: Conn, clock: Clock
) -> None:
    """Ten dispatchers ask at once with five deliveries each: one delivery in all may be sent."""
    works = await claimed(db, config, 51)
    assert await health.begin_probes(db, works[1:6], dispatcher="one", lease=15) == set(), "closed"
    await deliveries.settle(db, [failed(works[0])], dispatcher="one", trip_after=1)
    assert await health.begin_probes(db, works[1:6], dispatcher="one", lease=15) == set(), "open"
    clock.move(seconds=10)

    async def ask(n: int) -> set[str]:
        async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as mine:
            return await health.begin_probes(mine, works[1 + 5 * n : 6 + 5 * n], dispatcher=f"d{n}", lease=15)

    won = await asyncio.gather(*(ask(n) for n in range(10)))
    assert len(set.union(*won)) == sum(len(one) for one in won) == 1
    (job,) = await deliveries.load(db, works[:1])
    assert job.held_for == 1, "it may end any moment"

    clock.move(seconds=14)
    assert await ask(0) == set()
    clock.move(seconds=1)
    assert await ask(0) == {works[1].id}, "nothing was heard of the probe in its time"
    (row,) = _rows(conn)
    assert row["probed_by"] == "d0"


async def test_each_probe_that_fails_doubles_the_wait_up_to_a_bound_and_one_that_succeeds_closes_the_circuit(
    db: Connection, config: Config, conn: Conn, clock: Clock
) -> None:
    works = await claimed(db, config, 10)
    await deliveries.settle(db, [failed(works[0])], dispatcher="one", trip_after=1)
    waits = []
    for one in works[1:9]:
        (job,) = await deliveries.load(db, works[:1])
        assert job.held_for is not None
        waits.append(round(job.held_for))
        clock.move(seconds=job.held_for)
        assert await health.begin_probes(db, [one], dispatcher="one", lease=15) == {one.id}
        await deliveries.settle(db, [failed(one)], dispatcher="one", trip_after=1)
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    (row,) = _rows(conn)
    assert (row["trips"], row["probed_by"], row["probe_until"]) == (9, None, None)

    clock.move(seconds=300)
    assert await health.begin_probes(db, works[9:], dispatcher="one", lease=15) == {works[9].id}
    await deliveries.settle(db, [succeeded(works[9])], dispatcher="one", trip_after=1)
    assert _rows(conn) == []


async def test_a_circuit_that_tripped_a_thousand_times_still_has_a_bound(
    db: Connection, config: Config, conn: Conn
) -> None:
    works = await claimed(db, config, 2)
    await deliveries.settle(db, [failed(works[0])], dispatcher="one", trip_after=1)
    conn.execute("UPDATE endpoint_health SET trips = 5000, open_until = '-infinity'")
    await deliveries.settle(db, [failed(works[1])], dispatcher="one", trip_after=1)
    (job,) = await deliveries.load(db, works[:1])
    assert job.held_for is not None
    assert 299 < job.held_for <= 300


async def test_410_gone_disables_and_says_since_when(db: Connection, config: Config, conn: Conn) -> None:
    (one,) = await claimed(db, config)
    outcome = failed(one, 410, status="failed", delay=None, disable="the receiver answered 410 Gone")
    await deliveries.settle(db, [outcome], dispatcher="one")
    (row,) = conn.execute("SELECT enabled, disabled_reason, disabled_at = updated_at AS at FROM endpoints").fetchall()
    assert tuple(row.values()) == (False, "the receiver answered 410 Gone", True)
    assert [(row["failures"], row["last_error"]) for row in _rows(conn)] == [(1, "HTTP 410")]


async def test_dispatchers_that_settle_the_same_endpoints_in_any_order_never_deadlock(
    db: Connection, config: Config, conn: Conn
) -> None:
    """Four at once, thirty batches each, over five endpoints in changing order, with successes in between."""
    for n in range(4):
        await endpoints.add(
            db, make_sealer(config), bucket=MERCHANT.bucket, merchant_id=demo.MERCHANT_ID, url=f"http://b{n}/"
        )
    shares = [await claimed(db, config, 300, who=f"d{n}") for n in range(4)]

    async def settle(n: int) -> int:
        counted = 0
        async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as mine:
            for start in range(0, 300, 10):
                some = shares[n][start : start + 10]
                some = some if start % 20 else some[::-1]
                outcomes = [succeeded(one) if (k + start // 10) % 4 == n else failed(one) for k, one in enumerate(some)]
                counted += await deliveries.settle(mine, outcomes, dispatcher=f"d{n}")
        return counted

    assert await asyncio.gather(*(settle(n) for n in range(4))) == [300] * 4
