"""Recoveries: a range of time is sent again, walked through in steps that a crash can neither lose nor repeat.

A recovery knows two walks (queries/recoveries.sql). One goes over finished deliveries and moves those that failed, or
that succeeded, back to the queue. The other goes over events and makes the deliveries that an endpoint missed, because
it was off, or not there, or did not want that type, when the event was written. A step of a walk is one statement: it
moves or makes some, and writes down how far it came.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, LiteralString

import msgspec

from kit import ids, sql
from kit.db import fetch
from outbox import SQL
from outbox.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kit.db import Connection

Recovers = Literal["failed", "success", "missed"]
State = Literal["running", "paused", "done", "cancelled"]

MAX_OPEN = 10
"""Running or paused recoveries of one merchant. Whoever starts one calls `lock` and `count_open` first."""

MAX_WAITING = 2000
"""Recovered and repeated deliveries of a merchant that may be due or under way before a step schedules no more."""

Walk = Literal["deliveries", "events"]

COUNTED: Mapping[Walk, int] = {"deliveries": 50_000, "events": 20_000}
"""Rows of each walk that are looked at for a count; what lies beyond is found by the job all the same."""

GLANCED: Mapping[Walk, int] = {"deliveries": 2_500, "events": 500}
"""The same where somebody waits for a page: a twentieth of a second for each."""

LOOKED_AT = 1000
"""Rows that one step looks at, at most: four for each delivery that it may schedule, but 250."""

_STEP = 0.5  # seconds' worth of the rate that one step schedules
_SLACK = timedelta(seconds=2)  # between the time in an id and created_at, both taken by one process
_PREFIXES = {"deliveries": "dlv", "events": "evt"}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery is about. Times in UTC, `until` is exclusive."""

    endpoint: str | None
    """To this endpoint only."""
    event: str | None
    """Of this type of event only, or of a family: `payment.*`."""
    recovers: tuple[Recovers, ...]
    since: datetime
    until: datetime
    up_to_now: bool = False
    """`until` is the moment in which this was asked for: what is written while it begins is meant too."""

    @property
    def walks(self) -> tuple[Walk, ...]:
        """The walks that it takes, in order."""
        over = {"failed": "deliveries", "success": "deliveries", "missed": "events"}
        return tuple(walk for walk in _PREFIXES if walk in {over[kind] for kind in self.recovers})  # type: ignore[misc]

    def begin(self, walk: Walk) -> str:
        """The place before a walk's first row."""
        return _bound(walk, self.since - _SLACK)


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """A recovery as merchants see it. Times in UTC."""

    id: str
    status: State
    total: int
    """Deliveries to be scheduled, counted when it began: among 50,000 finished deliveries and 20,000 events at most."""
    total_is: Literal["exact", "at_least"]
    """Whether `total` is all of them."""
    scheduled: int
    """Deliveries that are on their way again; `GET /webhooks` shows what becomes of them."""
    skipped: int
    """Deliveries that cannot be sent: the endpoint is off or gone, or the event is past its retention."""
    recovers: list[Recovers]
    """`failed` deliveries, deliveries that were a `success`, and those that were `missed`: never made, because the
    endpoint was disabled or not there."""
    endpoint: str | None
    """To this endpoint only."""
    event: str | None
    """Of this type of event only, or of a family: `payment.*`."""
    since: datetime
    until: datetime
    rate: int
    """Deliveries a second, at most."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class Count(msgspec.Struct, frozen=True):
    """What a recovery would do."""

    total: int
    skipped: int
    exact: bool
    by_event: dict[str, int]
    """Type -> how many of `total`."""


class Step(msgspec.Struct, frozen=True):
    """A claimed recovery, and the walk that it is in."""

    work: Work
    scope: Scope
    rate: int
    place: str


class Stepped(msgspec.Struct, frozen=True):
    """How a step left a recovery; the counts are of all its steps."""

    state: State
    total: int
    scheduled: int
    skipped: int


async def now(conn: Connection) -> datetime:
    """The database's time: ranges are measured by the one clock that all processes share."""
    (row,) = await fetch(conn, SQL["recovery_now"], {})
    found: datetime = row["now"]
    return found


async def lock(conn: Connection, *, merchant_id: str) -> None:
    """Hold up whoever wants to start a recovery of the same merchant, until the transaction ends."""
    await conn.execute(SQL["lock_recoveries"], {"merchant_id": merchant_id})


async def count_open(conn: Connection, *, bucket: int, merchant_id: str) -> int:
    """How many of a merchant's recoveries are running or paused."""
    (row,) = await fetch(conn, SQL["count_open_recoveries"], {"bucket": bucket, "merchant_id": merchant_id})
    return int(row["n"])


async def count(
    conn: Connection, scope: Scope, *, bucket: int, merchant_id: str, most: Mapping[Walk, int] = COUNTED
) -> Count:
    """Count what a recovery would schedule and skip, as far as `most` goes."""
    total = skipped = 0
    exact = True
    by_event: dict[str, int] = {}
    names = {"deliveries": "count_recoverable", "events": "count_missed"}
    for walk in scope.walks:
        values = asked(scope, walk) | {"place": scope.begin(walk), "look": most[walk]}
        rows = await fetch(conn, _text(names[walk], values), values | {"bucket": bucket, "merchant_id": merchant_id})
        for row in rows:
            if row["type"] is None:
                exact = exact and row["walked"] < most[walk]
                continue
            total += row["total"]
            skipped += row["skipped"]
            if row["total"]:
                by_event[row["type"]] = by_event.get(row["type"], 0) + row["total"]
    return Count(total, skipped, exact, dict(sorted(by_event.items())))


async def add(
    conn: Connection, scope: Scope, counted: Count, *, rate: int, bucket: int, merchant_id: str, asked_at: datetime
) -> Recovery:
    """Write a recovery and its work in one statement; a dispatcher begins at once."""
    values = {
        "bucket": bucket,
        "merchant_id": merchant_id,
        "id": ids.new("rcv"),
        "endpoint_id": scope.endpoint,
        "event": scope.event,
        "recovers": list(scope.recovers),
        "since": scope.since,
        "until": scope.until,
        "up_to_now": scope.up_to_now,
        "rate": rate,
        "total": counted.total,
        "total_is_exact": counted.exact,
        "place": scope.begin(scope.walks[0]),
        "created_at": asked_at,
    }
    (row,) = await fetch(conn, SQL["add_recovery"], values)
    return msgspec.convert(row, Recovery)


async def get(conn: Connection, recovery_id: str, *, bucket: int, merchant_id: str) -> Recovery | None:
    """One recovery of a merchant; None when there is none."""
    values = {"bucket": bucket, "merchant_id": merchant_id, "id": recovery_id}
    rows = await fetch(conn, SQL["get_recovery"], values)
    return msgspec.convert(rows[0], Recovery) if rows else None


async def move(
    conn: Connection, recovery_id: str, *, of: Sequence[State], to: State, bucket: int, merchant_id: str
) -> Recovery | None:
    """Pause, resume or cancel a recovery that is in one of the states `of`; None when it is in none of them."""
    values = {"bucket": bucket, "merchant_id": merchant_id, "id": recovery_id, "from": list(of), "to": to}
    rows = await fetch(conn, SQL["move_recovery"], values)
    return msgspec.convert(rows[0], Recovery) if rows else None


async def load(conn: Connection, works: Sequence[Work]) -> list[Step]:
    """Read what claimed recoveries are to do next."""
    batch = [{"n": n, "bucket": w.bucket, "merchant_id": w.merchant_id, "id": w.id} for n, w in enumerate(works)]
    rows = await fetch(conn, SQL["load_recoveries"], {"batch": msgspec.json.encode(batch).decode()})
    return [_step(works[row["n"]], row) for row in rows]


async def step(conn: Connection, due: Step, *, dispatcher: str) -> Stepped | None:
    """Take one step in the caller's transaction, under the lease of its work; None when that is lost.

    It schedules half a second's worth of the rate, and its work is due again when that time is over; or ends the
    recovery. A recovery that is paused or cancelled loses its work instead, and nothing else happens.
    """
    work, scope = due.work, due.scope
    walk: Walk = "deliveries" if due.place.startswith("dlv_") else "events"
    chunk = max(1, round(due.rate * _STEP))
    later = scope.walks[scope.walks.index(walk) + 1 :]
    name = {"deliveries": "recover_deliveries", "events": "recover_missed"}[walk]
    values = asked(scope, walk) | {
        "place": due.place,
        "look": min(LOOKED_AT, max(250, 4 * chunk)),
        "next_place": scope.begin(later[0]) if later else None,
        "chunk": chunk,
        "most_open": MAX_WAITING,
        "id": work.id,
        "claims": work.claims,
        "due_at": work.due_at,
        "dispatcher": dispatcher,
    }
    await conn.execute(SQL["lock_steps"], {"merchant_id": work.merchant_id})
    whose = {"bucket": work.bucket, "merchant_id": work.merchant_id}
    rows = await fetch(conn, _text(name, values), values | whose)
    if not rows:
        return None
    (row,) = rows
    if row["state"] is None:
        return Stepped(row["was"], 0, 0, 0)
    return msgspec.convert(row, Stepped)


def _step(work: Work, row: dict[str, Any]) -> Step:
    scope = msgspec.convert(row | {"endpoint": row["endpoint_id"]}, Scope)
    return Step(work, scope, row["rate"], row["place"])


def asked(scope: Scope, walk: Walk) -> dict[str, object]:
    """What a walk asks for; filters that are not given are not in it."""
    until = scope.until
    if walk == "events" and scope.up_to_now:
        until += _SLACK  # whoever wrote an event before this was committed did not see the endpoint as it is now
    values: dict[str, object] = {"since": scope.since, "until": until, "end": _bound(walk, until + _SLACK)}
    if scope.endpoint is not None:
        values["endpoint"] = scope.endpoint
    if scope.event is not None:
        family, _, rest = scope.event.partition(".")
        values |= {"family": family} if rest == "*" else {"type": scope.event}
    if walk == "deliveries" and not {"failed", "success"} <= set(scope.recovers):
        values["failed" if "failed" in scope.recovers else "success"] = True
    return values


def _text(name: str, values: Mapping[str, object]) -> LiteralString:
    """The statement for the filters that are given: each combination has a plan of its own."""
    return sql.compose("outbox", name, frozenset(sql.optional("outbox", name) & values.keys()))


def _bound(walk: Walk, time: datetime) -> str:
    return ids.lower_bound(_PREFIXES[walk], max(0.0, (time - _EPOCH).total_seconds()))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
