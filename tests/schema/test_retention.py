"""Histories end by whole days: what is past its retention goes, what is owed stays, and the invariants know."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from dispatcher.histories import tend
from gateway import audit
from gateway.audit import OPERATORS, Actor
from gateway.config import Config, load
from kit import ids
from kit.config import ConfigError
from kit.db import Connection
from outbox import deliveries
from schema import partitions
from schema.invariants import broken
from tests.cli.running import Ledgate
from tests.dispatcher.test_delivery import dispatching
from tests.support.paying import MERCHANT, pay
from tests.support.waiting import eventually, until

Conn = psycopg.Connection[dict[str, Any]]
ALL = sorted(partitions.HISTORIES)
WHOSE: dict[str, Any] = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id}


@pytest.fixture
def day() -> date:
    """The day on which all is made; tests look back at it."""
    return datetime.now(UTC).date()


async def _trade(config: Config, db: Connection, conn: Conn) -> None:
    """A payment of an order of its own, and all that it owes delivered, as far as the ledger knows."""
    await pay(db, config, order_id="o-1", amount=100)
    await _work_off(config, conn)


async def _work_off(config: Config, conn: Conn) -> None:
    conn.execute("UPDATE endpoints SET retry_schedule = '{0}', url = 'http://127.0.0.1:1/'")
    async with dispatching(config):

        async def over() -> bool:
            return _count(conn, "outbox") == 0

        await eventually(over, what="an empty outbox")
    conn.execute("UPDATE deliveries SET status = 'success', response_code = 200")
    conn.execute("UPDATE delivery_attempts SET response_code = 200")


def _count(conn: Conn, table: str) -> int:
    row = conn.execute(f"SELECT count(*) AS n FROM {table}").fetchone()
    return int(row["n"]) if row else 0


def _of(conn: Conn, day: date) -> list[str]:
    """The histories that have a partition of that day."""
    query = "SELECT relname FROM pg_class WHERE relname = ANY(%s) ORDER BY relname"
    names = [f"{table}_{day:%Y%m%d}" for table in ALL]
    return [row["relname"].rpartition("_")[0] for row in conn.execute(query, [names])]


def _tend(config: Config, day: date) -> dict[str, dict[str, Any]]:
    """What housekeeping says on that day."""
    with capture_logs() as logs:
        tend(config, day)
    return {line["event"]: dict(line) for line in logs}


async def test_attempts_go_first_and_then_all_and_the_ledger_stays_sound(
    config: Config, db: Connection, conn: Conn, day: date
) -> None:
    """Attempts after 30 days, events and deliveries after 90, to the day; payments and orders stay."""
    await _trade(config, db, conn)
    (delivery, *_) = conn.execute("SELECT id FROM deliveries ORDER BY id").fetchall()

    _tend(config, day + timedelta(days=30))
    assert _of(conn, day) == ALL
    said = _tend(config, day + timedelta(days=31))
    assert said["partitions.dropped"]["newest"] == f"delivery_attempts_{day:%Y%m%d}"
    assert _of(conn, day) == ["deliveries", "events"]
    assert broken(conn) == {}
    shown = await deliveries.read(db, delivery["id"], **WHOSE)
    assert shown is not None
    assert (shown.history, shown.status, shown.attempts, shown.body is None) == ([], "success", 1, False)

    _tend(config, day + timedelta(days=90))
    assert _of(conn, day) == ["deliveries", "events"]
    said = _tend(config, day + timedelta(days=91))
    assert "partitions.dropped" in said
    assert _of(conn, day) == []
    assert (_count(conn, "events"), _count(conn, "deliveries"), _count(conn, "payments")) == (0, 0, 1)
    assert await deliveries.retry(db, delivery["id"], **WHOSE) == "unknown"
    assert broken(conn) == {}
    conn.execute("DELETE FROM histories")
    assert {"payment_without_first_events", "settled_payment_without_end_event", "paid_order_without_event"} <= set(
        broken(conn)
    )


async def test_what_happened_over_several_days_may_be_half_gone(
    config: Config, db: Connection, conn: Conn, day: date
) -> None:
    """A payment whose end was told a day later has only that left, and that is no broken rule; a lost delivery is."""
    await _trade(config, db, conn)
    later = ids.lower_bound("x", datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC).timestamp())[2:12]
    ended = "IN (SELECT substr(id, 5, 24) FROM events WHERE type IN ('payment.success', 'order.paid'))"
    conn.execute(
        f"UPDATE deliveries SET id = 'dlv_{later}' || substr(id, 15), event_id = 'evt_{later}' || substr(event_id, 15)"
        f" WHERE substr(id, 5, 24) {ended}"
    )
    conn.execute(
        f"UPDATE delivery_attempts SET delivery_id = 'dlv_{later}' || substr(delivery_id, 15)"
        f" WHERE substr(delivery_id, 5, 24) {ended}"
    )
    conn.execute(f"UPDATE events SET id = 'evt_{later}' || substr(id, 15) WHERE substr(id, 5, 24) {ended}")
    assert broken(conn) == {}

    _tend(config, day + timedelta(days=91))
    assert {row["type"] for row in conn.execute("SELECT type FROM events")} == {"payment.success", "order.paid"}
    assert broken(conn) == {}
    conn.execute("DELETE FROM deliveries WHERE event_type = 'order.paid'")
    assert set(broken(conn)) == {"event_without_its_deliveries"}


async def test_a_day_that_owes_something_stays_as_a_whole(
    config: Config, db: Connection, conn: Conn, day: date
) -> None:
    """Its events, its finished deliveries, its attempts; it says that it waits, and goes when all is done."""
    await pay(db, config)
    said = _tend(config, day + timedelta(days=92))
    assert (said["partitions.owed"]["days"], said["partitions.owed"]["oldest"]) == (1, str(day))
    assert _of(conn, day) == ALL
    assert broken(conn) == {}
    tomorrow = day + timedelta(days=1)
    assert _of(conn, tomorrow) == [], "a younger day that owes nothing does not wait for it"

    await _work_off(config, conn)
    said = _tend(config, day + timedelta(days=91))
    assert "partitions.owed" not in said
    assert _of(conn, day) == []


async def test_what_is_sent_again_after_its_attempts_were_dropped_is_kept_for_a_time(
    config: Config, db: Connection, conn: Conn, day: date
) -> None:
    """Its new attempt has no day any more: shown, no missing partition, no broken rule, and gone in its own time."""
    await _trade(config, db, conn)
    (delivery, *_) = conn.execute("SELECT id FROM deliveries ORDER BY id").fetchall()
    _tend(config, day + timedelta(days=31))

    assert await deliveries.retry(db, delivery["id"], **WHOSE) == "ok"
    await _work_off(config, conn)
    shown = await deliveries.read(db, delivery["id"], **WHOSE)
    assert shown is not None
    assert len(shown.history) == 1
    assert broken(conn) == {}
    with psycopg.connect(config.database_url) as owner:
        assert partitions.strays(owner)["delivery_attempts"] == 0

    said = _tend(config, day + timedelta(days=62))
    assert "partitions.missing" not in said
    assert _count(conn, "delivery_attempts_default") == 0
    assert broken(conn) == {}


async def test_a_long_reader_is_waited_for_and_writers_are_not_held_up(
    config: Config, db: Connection, conn: Conn, day: date
) -> None:
    """A dump or a check may read for hours: housekeeping gives way within its patience and comes back."""
    await _trade(config, db, conn)
    with psycopg.connect(config.database_url) as reader:
        reader.execute("SELECT count(*) FROM events")
        said = _tend(config, day + timedelta(days=91))
        assert "partitions.busy" in said
        assert {"deliveries", "events"} <= set(_of(conn, day))
        await pay(db, config)  # with the reader still there, writers go on
    conn.execute("DELETE FROM outbox")
    said = _tend(config, day + timedelta(days=91))
    assert "partitions.busy" not in said
    assert _of(conn, day) == []


async def test_several_dispatchers_at_once_drop_each_day_once(
    config: Config, db: Connection, conn: Conn, day: date
) -> None:
    await _trade(config, db, conn)
    start = threading.Barrier(4)

    def work(_: int) -> partitions.Dropped:
        start.wait()
        with psycopg.connect(config.database_url, autocommit=True) as owner:
            return partitions.drop_past(owner, day + timedelta(days=91), events=90, attempts=30)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))
    dropped = [name for one in done for name in one.partitions]
    assert len(dropped) == len(set(dropped))
    assert all(f"{table}_{day:%Y%m%d}" in dropped for table in ALL)
    assert broken(conn) == {}


async def test_one_that_is_cut_off_in_between_leaves_the_day_as_it_was(
    config: Config, db: Connection, conn: Conn, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection ends while it waits for the locks: nothing is dropped, nothing noted; the next one does both."""
    await _trade(config, db, conn)
    monkeypatch.setattr(partitions, "PATIENCE", "SET LOCAL lock_timeout = '60s'")
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(config.database_url) as reader:
        reader.execute("SELECT count(*) FROM events")
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(tend, config, day + timedelta(days=91))
            found = until(lambda: conn.execute(waiting).fetchone(), what="a housekeeper that waits")
            conn.execute("SELECT pg_terminate_backend(%s)", [found["pid"]])
            with pytest.raises(psycopg.OperationalError):
                ending.result()
    assert _of(conn, day) == ALL
    assert _count(conn, "histories") == 0

    tend(config, day + timedelta(days=91))
    assert _of(conn, day) == []
    assert _count(conn, "histories") == 2
    assert broken(conn) == {}


async def test_for_ever_is_for_ever(config: Config, db: Connection, conn: Conn, day: date) -> None:
    await _trade(config, db, conn)
    kept = msgspec.structs.replace(config, event_retention=0, attempt_retention=0)
    assert "partitions.dropped" not in _tend(kept, day + timedelta(days=9000))
    assert _of(conn, day) == ALL
    _tend(msgspec.structs.replace(config, event_retention=0), day + timedelta(days=9000))
    assert _of(conn, day) == ["deliveries", "events"]


@pytest.mark.parametrize(
    ("events", "attempts", "kept"),
    [(None, None, (90, 30)), ("7", None, (7, 7)), ("0", None, (0, 30)), ("0", "0", (0, 0)), ("7", "0", (7, 0)),
     ("7", "7", (7, 7)), ("7", "8", None), ("-1", None, None)],
)  # fmt: skip
def test_attempts_are_kept_no_longer_than_events(
    events: str | None, attempts: str | None, kept: tuple[int, int] | None
) -> None:
    given = {"LEDGATE_EVENT_RETENTION": events, "LEDGATE_ATTEMPT_RETENTION": attempts}
    read: Callable[[], Config] = lambda: load({name: value for name, value in given.items() if value is not None})  # noqa: E731
    if kept is None:
        with pytest.raises(ConfigError, match="RETENTION"):
            read()
    else:
        config = read()
        assert (config.event_retention, config.attempts_kept) == kept


async def test_operators_see_what_is_kept(
    config: Config, db: Connection, day: date, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledgate = Ledgate(monkeypatch, capsys, config.database_url)
    said = await asyncio.to_thread(ledgate, "histories", "show")
    assert (said.code, said.out.count("the beginning")) == (0, 3)
    assert max(map(len, said.out.splitlines())) <= 80

    tend(config, day + timedelta(days=32))
    said = await asyncio.to_thread(ledgate, "histories", "show", "--json")
    kept = {row["name"]: row for row in said.json["data"]}
    assert sorted(kept) == ALL
    assert kept["events"]["kept_from"] is None
    assert kept["delivery_attempts"]["kept_from"].startswith(f"{day + timedelta(days=2)}T00:00:00")
    assert kept["delivery_attempts"]["oldest"] == str(day + timedelta(days=2))
    assert kept["events"]["newest"] == str(day + timedelta(days=39))
    assert kept["events"]["bytes"] > 0


async def test_the_audit_log_ends_by_age_for_all_merchants(config: Config, db: Connection, conn: Conn) -> None:
    """Whoever owns the table deletes, at most what is older than it is kept; 0 keeps all."""
    actor = Actor(None, "a test")
    for scope in (MERCHANT.scope, OPERATORS):
        await audit.note(db, scope, actor, "user.renamed", "399")
        await audit.note(db, scope, actor, "user.renamed", "401")
    conn.execute("UPDATE audit_log SET at = at - object::int * interval '1 day'")
    assert "audit.ended" not in _tend(msgspec.structs.replace(config, audit_retention=0), datetime.now(UTC).date())
    assert _tend(config, datetime.now(UTC).date())["audit.ended"]["entries"] == 2
    assert {row["object"] for row in conn.execute("SELECT object FROM audit_log")} == {"399"}
