"""Figures: every event is counted once, however late it came and whoever counts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from bench import dashboard, plans
from dispatcher import figures as counting
from gateway import figures
from gateway.config import Config, load
from kit.config import ConfigError
from kit.db import Connection, Database
from tests.dashboard_data.conftest import as_role
from tests.dashboard_data.past import NOW, Past, merchant, settle


def _rows(conn: psycopg.Connection[dict[str, object]], what: str = "sum(created)") -> object:
    (row,) = conn.execute(f"SELECT {what} AS n FROM figures".encode()).fetchall()
    return row["n"]


async def test_half_hours_add_up_to_what_happened(
    conn: psycopg.Connection[dict[str, object]], counter: Connection, past: Past, database_url: str
) -> None:
    """By half hour, currency and method; test events and endpoints' troubles count as events alone."""
    hour = NOW.replace(minute=0) - timedelta(hours=5)
    past.pay(hour + timedelta(minutes=29), 10_000, captured=9_000, refunds=((hour + timedelta(hours=1), 4_000, True),))
    past.pay(hour + timedelta(minutes=31), 5_000, method="card", good=False)
    past.pay(hour + timedelta(minutes=32), 700, method="card", currency="USD")
    test = past.tell("payment.success", "payment", past.business.payments[0].payment, 0)
    test.subject_id, test.at, test.id = "whep_x", past.business.events[0].at, past.make_id("evt", test.at)
    past.lay(database_url)
    assert await figures.catch_up(counter, events=3) == 4 + 1 + 2 + 3 + 4 + 1
    rows = conn.execute(
        "SELECT slot, currency, method, created, succeeded, failed, volume, captures, captured, refunds, refunded"
        " FROM figures WHERE currency <> '' ORDER BY slot, currency, method"
    ).fetchall()
    half = timedelta(minutes=30)
    assert [tuple(row.values()) for row in rows] == [
        (hour, "INR", "upi", 1, 1, 0, 10_000, 1, 9_000, 0, 0),
        (hour + half, "INR", "card", 1, 0, 1, 0, 0, 0, 0, 0),
        (hour + half, "USD", "card", 1, 1, 0, 700, 0, 0, 0, 0),
        (hour + 2 * half, "INR", "upi", 0, 0, 0, 0, 0, 0, 1, 4_000),
    ]
    assert _rows(conn, "sum(events)") == 15


async def test_a_late_commit_is_counted_and_nothing_twice(
    conn: psycopg.Connection[dict[str, object]], counter: Connection, past: Past, database_url: str
) -> None:
    """What an older transaction commits after its neighbours were counted is not missed; until then nobody reads on."""
    with psycopg.connect(database_url) as late:
        late.execute("SELECT pg_current_xact_id()")
        past.pay(NOW - timedelta(hours=2), 100)
        past.lay(database_url, settles=False)
        assert await figures.catch_up(counter) == 0
        late.execute(
            "INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at) VALUES"
            " (%s, %s, %s, 'webhook.test', 'whep_x', 0, '{}', %s)",
            [past.whose.bucket, past.whose.merchant_id, past.make_id("evt", 1_700_000_000_000_000), NOW],
        )
    settle(database_url)
    assert await figures.catch_up(counter) == 5
    assert await figures.catch_up(counter) == 0
    assert _rows(conn) == 1
    assert _rows(conn, "sum(events)") == 5


async def test_old_ids_that_come_late_are_found_again(
    conn: psycopg.Connection[dict[str, object]], counter: Connection, past: Past, database_url: str
) -> None:
    """Old partitions are left behind once they are counted, and looked into again by whoever put `from_id` back."""
    past.pay(NOW - timedelta(hours=1), 100)
    past.lay(database_url)
    assert await figures.catch_up(counter) == 4
    past.pay(NOW - timedelta(days=20), 100)
    past.lay(database_url)
    assert await figures.catch_up(counter) == 4
    assert _rows(conn) == 2


async def test_two_who_count_at_once_count_once(
    conn: psycopg.Connection[dict[str, object]], past: Past, database_url: str
) -> None:
    for n in range(40):
        past.pay(NOW - timedelta(minutes=7 * n), 100)
    past.lay(database_url)

    async def work() -> int:
        async with await as_role(database_url, "ledgate_dispatcher") as own:
            return await figures.catch_up(own, events=7)

    await asyncio.gather(*(work() for _ in range(4)))
    assert await work() == 0
    assert (_rows(conn), _rows(conn, "sum(events)")) == (40, 160)


async def test_all_merchants_have_their_turn(
    conn: psycopg.Connection[dict[str, object]], counter: Connection, database_url: str
) -> None:
    """A walk of two at a time reaches everybody, and begins anew."""
    for name in ("a", "b", "c", "d", "e"):
        one = Past(merchant(name))
        one.pay(NOW, 100)
        one.lay(database_url)
    await figures.begin(counter)
    place, seen = figures.START, []
    while True:
        step = await figures.fold(counter, place, merchants=2)
        seen.append(step.events)
        place = step.place
        if place == figures.START:
            break
    assert sum(seen) == 20
    assert len(seen) == 3
    assert _rows(conn, "count(DISTINCT merchant_id)") == 5


async def test_dispatchers_count(conn: psycopg.Connection[dict[str, object]], past: Past, config: Config) -> None:
    """In steps, until all is counted, as the role that they have; and again nothing."""
    for n in range(5):
        past.pay(NOW - timedelta(hours=n), 100)
    past.lay(config.database_url)
    async with Database(
        config.database_url, name="test", size=2, statement_timeout=10, wait=5, role="ledgate_dispatcher"
    ) as database:
        async with database.connection() as own:
            await figures.begin(own)
        assert [await counting.run_once(database) for _ in range(2)] == [20, 0]
    assert _rows(conn) == 5


async def test_statistics_of_nothing_do_not_mislead(past: Past, database_url: str) -> None:
    """A ledger that was never analysed: each event is looked at by key and once, and so is its payment."""
    for n in range(300):  # within one day, which is one partition: of several, one event more is read of each
        past.pay(NOW - timedelta(seconds=n), 100, refunds=((NOW - timedelta(seconds=n - 10), 10, True),))
    past.lay(database_url)

    async def count(conn: Connection) -> None:
        await figures.begin(conn)
        await figures.fold(conn, events=600)
        assert await figures.behind(conn)

    found = [one["Plan"] for one in await dashboard.explained(database_url, "ledgate_dispatcher", count)]
    read = [rows for plan in found for rows in plans.read(plan).items()]
    assert max(rows for _, rows in read) <= 600, read
    assert 100 < max(rows for name, rows in read if name == "payments_pkey") < 300, "as many as events of refunds"


async def test_figures_end_after_their_days(
    conn: psycopg.Connection[dict[str, object]], config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every merchant, step by step and to the half hour; what is kept stays, and nothing is counted anew."""
    monkeypatch.setattr(figures, "PRUNED", 2)
    for name in ("a", "b"):
        one = Past(merchant(name))
        for hours in (1, 40, 41, 42):
            one.pay(NOW - timedelta(hours=hours), 100)
        one.lay(config.database_url)
    async with Database(
        config.database_url, name="test", size=2, statement_timeout=10, wait=5, role="ledgate_dispatcher"
    ) as database:
        async with database.connection() as own:
            assert await figures.catch_up(own) == 32
        rows = _rows(conn, "count(*)")
        edge = NOW.replace(minute=0) - timedelta(hours=41)
        gone = await counting.prune(database, edge)
        assert gone == 4  # each one's of 42 hours ago: what has a method, and the order's event, which has none
        assert _rows(conn, "count(*)") == int(str(rows)) - gone
        assert _rows(conn, "min(slot)") == edge
        assert await counting.prune(database, edge) == 0
        assert await counting.run_once(database) == 0


def test_figures_are_kept_for_as_long_as_a_page_shows_them() -> None:
    with pytest.raises(ConfigError, match="LEDGATE_FIGURE_RETENTION"):
        load({"LEDGATE_FIGURE_RETENTION": "61"})
    assert load({"LEDGATE_FIGURE_RETENTION": "0"}).figure_retention == 0
