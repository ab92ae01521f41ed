"""The operators' view: all merchants, the queue, who works it off, and the database that carries it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import psycopg

from dashboard.reading import SQL
from gateway.merchants import SQL as GATEWAY
from kit import sql
from kit.db import fetch
from outbox.work import Kind
from schema.migrate import MIGRATIONS

if TYPE_CHECKING:
    from kit.db import Connection

_OPEN = 1_000  # of a merchant, as `operator_merchants` counts them
_DAY = timedelta(hours=24)

# Not among the named statements: without the extension nothing can prepare it. Only what is asked again and again: a
# young database would tell of nothing but the partitions it made.
_SLOW = r"""
SELECT left(query, 500) AS query, calls, round(mean_exec_time::numeric, 3)::float8 AS mean_ms,
       max_exec_time AS max_ms, total_exec_time AS total_ms, rows,
       round(100.0 * shared_blks_hit / nullif(shared_blks_hit + shared_blks_read, 0), 1)::float8 AS hit_percent
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 0
    AND query ~* '^\s*(--[^\n]*\s*)*(with|select|insert|update|delete|merge)\y'
    AND query ILIKE ANY (ARRAY['%%outbox%%', '%%deliver%%', '%%events%%', '%%payments%%', '%%figures%%'])
ORDER BY total_exec_time DESC
LIMIT 20
"""


class MerchantRow(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant and its last 24 hours. Times in UTC."""

    id: str
    name: str
    created_at: datetime
    payments: int
    succeeded: int
    failed: int
    deliveries: int
    volume: dict[str, int]
    """Currency -> minor units."""
    open: int
    open_is: Literal["exact", "at_least"]
    """Open work of all kinds, counted up to 1,000."""
    oldest_at: datetime | None
    endpoints: int
    """Without those that their owner turned off: these are meant so."""
    endpoints_disabled: int
    """By us."""
    endpoints_failing: int
    """Of those that are not."""
    last_payment_at: datetime | None
    counted_to: datetime | None
    """The figures are of what was committed by then, of a few seconds ago as a rule."""


class MerchantList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of merchants by their ids; `next` is the id to go on after."""

    data: list[MerchantRow]
    next: str | None


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """Open work of one kind, or of one merchant. Seconds."""

    kind: str | None
    merchant_id: str | None
    merchant: str | None
    open: int
    due: int
    waiting: int
    leased: int
    overdue_s: float
    oldest_s: float


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """Due work of one kind by how long it is overdue."""

    kind: str
    due: int
    fresh: int
    """Under 10 s,"""
    minute: int
    """under a minute,"""
    hour: int
    """under an hour,"""
    older: int


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """What one lane of a dispatcher finished in the last minute."""

    lane: str
    """A kind of work such as `webhook.deliver`; `process` and `refund` ask the processor."""
    completed: int
    failed: int


class DispatcherRow(msgspec.Struct, frozen=True, kw_only=True):
    """A dispatcher that was seen within a day."""

    id: str
    host: str
    pid: int
    version: str
    delivered: int
    """Attempts since it started."""
    processed: int
    in_flight: int
    started_at: datetime
    seen_at: datetime
    seen_s: float
    """Ago."""
    live: bool
    lanes: list[Lane]
    per_second: float
    """Work finished a second, over the last minute."""


class SlowStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement by pg_stat_statements; milliseconds."""

    query: str
    calls: int
    mean_ms: float
    max_ms: float
    total_ms: float
    rows: int
    hit_percent: float | None
    """Of its pages that were in memory."""


class RunningStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that has stood open for longer than half a second; seconds."""

    pid: int
    application: str
    state: str | None
    query: str
    running_s: float | None
    open_s: float
    waits_for: str | None


class Statements(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time goes."""

    missing: Literal["extension", "library", "right"] | None
    """Why only what runs now is known: pg_stat_statements is not there, not loaded, or says nothing to this role."""
    slow: list[SlowStatement]
    running: list[RunningStatement]


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of a history."""

    history: Literal["events", "deliveries", "delivery_attempts"]
    name: str
    day: str | None
    """`20260131`; None for the default one, which should be empty."""
    rows_estimated: int
    bytes: int


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table that is written in place."""

    name: str
    live: int
    dead: int
    bytes: int
    """With its indexes."""
    last_autovacuum: datetime | None
    last_vacuum: datetime | None
    last_autoanalyze: datetime | None
    updates: int
    hot_updates: int
    """Of them that touched no index."""

    @property
    def dead_share(self) -> float:
        """0 to 1."""
        return self.dead / (self.live + self.dead) if self.live + self.dead else 0.0


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A migration; `applied_at` is None for one that this code knows and the database has not."""

    id: str
    applied_at: datetime | None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The queue."""

    kinds: list[QueueRow]
    merchants: list[QueueRow]
    """Those with the most, 20 kinds and merchants at most."""
    ages: list[Ages]


async def merchants(
    conn: Connection, *, now: datetime, after: str | None = None, search: str | None = None, limit: int = 50
) -> MerchantList:
    """Read merchants in the order of their ids. `conn` works as `ledgate_operator`, as in all of this module.

    Args:
        conn: a connection.
        now: the figures are of the 24 hours before.
        after: the id to go on after.
        search: a part of the name or of the id, in whatever case.
        limit: rows at most.
    """
    given: dict[str, object] = {"since": now - _DAY, "limit": limit + 1}
    if after is not None:
        given["after"] = after
    if search is not None:
        given["search"] = search
    text = sql.compose("dashboard", "operator_merchants", frozenset({"after", "search"} & given.keys()))
    rows = await fetch(conn, text, given)
    return MerchantList(
        data=[_merchant(row) for row in rows[:limit]], next=rows[limit - 1]["id"] if len(rows) > limit else None
    )


async def place(conn: Connection, merchant_id: str) -> dict[str, Any] | None:
    """Find a merchant by its id: bucket, merchant_id and name; None for one that is not there."""
    rows = await fetch(conn, SQL["operator_place"], {"id": merchant_id})
    return rows[0] if rows else None


async def queue(conn: Connection) -> Queue:
    """Read the open work by kind, by merchant, and by how late it is: the one table that is read as a whole."""
    rows = await fetch(conn, GATEWAY["operator_queue"], {"limit": 20})
    ages = await fetch(conn, SQL["operator_ages"], {"kinds": list(get_args(Kind))})
    found = msgspec.convert(rows, list[QueueRow])
    return Queue(
        kinds=[row for row in found if row.kind is not None],
        merchants=[row for row in found if row.merchant_id is not None],
        ages=msgspec.convert(ages, list[Ages]),
    )


async def dispatchers(conn: Connection) -> list[DispatcherRow]:
    """Read who works the queue off, the live ones first, with what they finished in the last minute."""
    lanes: dict[str, list[Lane]] = {}
    for row in await fetch(conn, SQL["operator_throughput"], {}):
        lane = Lane(lane=row["lane"], completed=row["completed"], failed=row["failed"])
        lanes.setdefault(row["dispatcher"], []).append(lane)
    rows = await fetch(conn, GATEWAY["operator_dispatchers"], {})
    return [_dispatcher(row, lanes.get(row["id"], [])) for row in rows]


async def statements(conn: Connection) -> Statements:
    """Read which statements take long, and which run now. `conn` autocommits or is in a transaction of its own."""
    slow: list[SlowStatement] = []
    missing: Literal["extension", "library", "right"] | None = None
    (there,) = await fetch(conn, SQL["operator_counted"], {})
    if not there["installed"]:
        missing = "extension"
    elif not there["told"]:
        missing = "right"
    else:
        try:
            async with conn.transaction():
                slow = msgspec.convert(await fetch(conn, _SLOW, {}), list[SlowStatement])
        except psycopg.errors.ObjectNotInPrerequisiteState:
            missing = "library"
    running = await fetch(conn, SQL["operator_running"], {})
    return Statements(missing=missing, slow=slow, running=msgspec.convert(running, list[RunningStatement]))


async def partitions(conn: Connection) -> list[Partition]:
    """Read the histories' partitions, by history, the newest day first."""
    return msgspec.convert(await fetch(conn, SQL["operator_partitions"], {}), list[Partition])


async def tables(conn: Connection) -> list[Table]:
    """Read the tables that are written in place, the largest first."""
    return msgspec.convert(await fetch(conn, SQL["operator_tables"], {}), list[Table])


async def migrations(conn: Connection) -> list[Migration]:
    """Read the migrations, pending ones first, then the newest applied first."""
    rows = await fetch(conn, SQL["operator_migrations"], {})
    applied = {row["id"]: row["applied_at"] for row in rows}
    known = {
        entry.name.removesuffix(".sql")
        for entry in MIGRATIONS.iterdir()
        if entry.name.endswith(".sql") and not entry.name.endswith(".rollback.sql")
    }
    pending = [Migration(id=name, applied_at=None) for name in sorted(known - applied.keys(), reverse=True)]
    return pending + [Migration(id=name, applied_at=at) for name, at in applied.items()]


def _merchant(row: dict[str, Any]) -> MerchantRow:
    more = row["open"] > _OPEN
    shown = {
        "open": min(row["open"], _OPEN),
        "open_is": "at_least" if more else "exact",
        "volume": msgspec.json.decode(row["volume"]),
    }
    return msgspec.convert(row | shown, MerchantRow)


def _dispatcher(row: dict[str, Any], lanes: list[Lane]) -> DispatcherRow:
    done = sum(lane.completed + lane.failed for lane in lanes)
    return msgspec.convert(row | {"lanes": lanes, "per_second": done / 60}, DispatcherRow)
