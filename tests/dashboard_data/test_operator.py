"""The operators' view: all merchants at once, the queue, the database that carries it."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from dashboard.reading import operator
from gateway import figures
from gateway.merchants import Merchant
from kit.db import Connection
from schema.migrate import MIGRATIONS
from tests.dashboard_data.past import NOW, Past, endpoint


async def test_all_merchants_with_their_day(
    watcher: Connection,
    counter: Connection,
    conn: psycopg.Connection[object],
    past: Past,
    mine: Merchant,
    theirs: Merchant,
    database_url: str,
) -> None:
    """Volumes by currency, what is open and since when, endpoints; a page at a time."""
    past.pay(NOW - timedelta(hours=1), 500)
    past.pay(NOW - timedelta(hours=2), 70, method="card", currency="USD")
    past.pay(NOW - timedelta(hours=3), 1, good=False)
    past.pay(NOW - timedelta(days=3), 9_000)
    past.pay(NOW, 11, good=None)
    past.lay(database_url)
    other = Past(theirs)
    other.pay(NOW - timedelta(hours=1), 5)
    other.lay(database_url)
    endpoint(conn, mine, "whep_1")
    endpoint(conn, mine, "whep_2", enabled=False, disabled_reason="gone")
    await figures.catch_up(counter)
    first = await operator.merchants(watcher, now=NOW, limit=1)
    second = await operator.merchants(watcher, now=NOW, limit=1, after=first.next)
    (one,) = first.data
    assert (one.id, one.payments, one.succeeded, one.failed) == (mine.merchant_id, 4, 2, 1)
    assert one.volume == {"INR": 500, "USD": 70}
    assert (one.open, one.open_is, one.oldest_at, one.endpoints, one.endpoints_disabled) == (1, "exact", NOW, 2, 1)
    assert one.last_payment_at == NOW
    assert ([other.id for other in second.data], second.next) == ([theirs.merchant_id], None)
    queue = await operator.queue(watcher)
    assert [(row.kind, row.open, row.due) for row in queue.kinds] == [("payment.process", 1, 1)]
    assert [(row.merchant_id, row.merchant) for row in queue.merchants] == [(mine.merchant_id, "mine")]
    (ages,) = queue.ages
    assert (ages.kind, ages.due, ages.fresh + ages.minute + ages.hour + ages.older) == ("payment.process", 1, 1)


async def test_who_works_and_how_much(watcher: Connection, conn: psycopg.Connection[object]) -> None:
    """Finished work of the last minute by lane; a dispatcher that is silent is not live."""
    conn.execute(
        "INSERT INTO dispatchers (id, host, pid, version, delivered, processed, in_flight, started_at, seen_at) VALUES"
        " ('dsp_a', 'h', 1, '1', 70, 9, 2, now() - interval '1 hour', now()),"
        " ('dsp_b', 'h', 2, '1', 0, 0, 0, now() - interval '1 hour', now() - interval '1 minute')"
    )
    conn.execute(
        "INSERT INTO work_tally (span, starts_at, writer, completed, failed)"
        " SELECT 'second', date_trunc('second', now()) - n * interval '10 seconds', 'dsp_a/webhook.deliver', 5, 1"
        " FROM generate_series(1, 20) AS n"
    )
    live, silent = await operator.dispatchers(watcher)
    assert (live.id, live.live, silent.live, silent.lanes) == ("dsp_a", True, False, [])
    (lane,) = live.lanes
    assert lane.lane == "webhook.deliver"
    assert lane.completed in {25, 30}  # a second may pass between two statements
    assert live.per_second == (lane.completed + lane.failed) / 60


async def test_the_database_behind_it(
    watcher: Connection, conn: psycopg.Connection[object], past: Past, database_url: str
) -> None:
    """Partitions, tables, migrations, statements; what this server does not count is said."""
    past.pay(NOW, 5)
    past.lay(database_url)
    found = await operator.partitions(watcher)
    assert {one.history for one in found} == {"events", "deliveries", "delivery_attempts"}
    today = next(one for one in found if one.name == f"events_{NOW:%Y%m%d}")
    assert (today.day, today.bytes > 0) == (f"{NOW:%Y%m%d}", True)
    assert [one.name for one in found if one.day is None] == [
        "deliveries_default", "delivery_attempts_default", "events_default",
    ]  # fmt: skip
    tables = {one.name: one for one in await operator.tables(watcher)}
    assert {"payments", "outbox", "figures"} <= tables.keys()
    assert 0 <= tables["payments"].dead_share <= 1
    migrations = await operator.migrations(watcher)
    assert all(one.applied_at for one in migrations)
    known = [entry.name for entry in MIGRATIONS.iterdir() if entry.name.endswith(".rollback.sql")]
    assert len(migrations) == len(known)
    conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [migrations[0].id])
    (pending, *_) = await operator.migrations(watcher)
    assert (pending.id, pending.applied_at) == (migrations[0].id, None)
    with psycopg.connect(database_url) as slow:
        slow.execute("SELECT 1")
        conn.execute("SELECT pg_sleep(0.6)")
        statements = await operator.statements(watcher)
    assert [(one.query, one.state) for one in statements.running if one.open_s > 0.5] == [
        ("SELECT 1", "idle in transaction")
    ]


async def test_why_slow_statements_are_not_known(
    watcher: Connection, reader: Connection, conn: psycopg.Connection[object]
) -> None:
    """A server that does not count them, with and without the extension; a role that may not read of others."""
    conn.execute("DROP EXTENSION IF EXISTS pg_stat_statements")
    assert (await operator.statements(watcher)).missing == "extension"
    conn.execute("CREATE EXTENSION pg_stat_statements")
    assert (await operator.statements(watcher)).missing in {"library", None}  # None where the server has it loaded
    assert (await operator.statements(reader)).missing == "right"
