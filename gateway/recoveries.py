"""Recoveries as merchants ask for them: a range of time is sent again, as a job with progress that can be paused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway import endpoint_rules, listing
from gateway.errors import BadRequestError, NotFoundError
from kit import ids
from outbox import endpoints, recoveries
from outbox.recoveries import MAX_OPEN, Count, Recovers, Recovery, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.listing import Paging
    from gateway.merchants import Merchant
    from kit.db import Connection
    from outbox.recoveries import State

RECOVERY_ID = ids.pattern("rcv")
DEFAULT_RATE = 100
USUAL: tuple[Recovers, ...] = ("failed", "missed")
"""What is recovered when no status is named."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # nothing is older, and what is asked of before may not be computed with
_AHEAD = timedelta(minutes=1)  # that somebody's clock may be ahead of the database's when it says now

# msgspec describes a time that may lack its zone as any string.
_TIME = {"format": "date-time"}
Rate = Annotated[int, Meta(ge=1, le=1000, description="Deliveries a second, at most")]


class StartRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to send again."""

    since: Annotated[
        datetime, Meta(description="Events of that time or later; UTC without a zone", extra_json_schema=_TIME)
    ]
    until: (
        Annotated[
            datetime,
            Meta(description="Events before that time, not in the future; now when absent", extra_json_schema=_TIME),
        ]
        | None
    ) = None
    endpoint: Annotated[str, Meta(max_length=64)] | None = None
    """To the endpoint of this id only."""
    event: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """Of this type of event only, or of a family: `payment.*`."""
    status: Recovers | None = None
    """`failed`: deliveries that failed. `missed`: events that an endpoint wants and has no delivery of, because it was
    disabled or not there. `success`: deliveries that arrived. Failed and missed ones when absent."""
    rate: Rate = DEFAULT_RATE
    dry_run: bool = False
    """Only count."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery would do; nothing has been done."""

    dry_run: Literal[True]
    total: int
    """Deliveries to be scheduled: among 50,000 finished deliveries and 20,000 events at most."""
    total_is: Literal["exact", "at_least"]
    """Whether `total` is all of them."""
    skipped: int
    """Deliveries that cannot be sent: the endpoint is off or gone, or the event is past its retention."""
    by_event: dict[str, int]
    """Type of event -> how many of `total`."""
    recovers: list[Recovers]
    endpoint: str | None
    event: str | None
    since: datetime
    until: datetime


class RecoveryPage(listing.Page, frozen=True, kw_only=True):
    """A page of recoveries, newest first."""

    data: list[Recovery]


async def start(
    conn: Connection,
    merchant: Merchant,
    *,
    since: datetime,
    until: datetime | None = None,
    endpoint: str | None = None,
    event: str | None = None,
    status: Recovers | None = None,
    rate: int = DEFAULT_RATE,
) -> Recovery:
    """Begin to send a range again, in the caller's transaction; a dispatcher takes its steps from the commit on.

    An endpoint that is enabled in the same transaction gets what it failed to get and what it missed, whoever writes
    events meanwhile: `start(conn, merchant, since=disabled_at, endpoint=endpoint_id)`.

    Args:
        conn: in a transaction, of READ COMMITTED.
        merchant: whose.
        since: events of that time or later, UTC.
        until: events before that time; None for now.
        endpoint: to this endpoint only, which must be enabled.
        event: of this type only, or of a family (`payment.*`).
        status: `failed`, `missed` or `success`; the first two for None.
        rate: deliveries a second, 1 to 1000.

    Raises:
        BadRequestError: `range_invalid`, `event_type_unknown`, `endpoint_disabled` or `too_many_recoveries`.
        NotFoundError: there is no such endpoint, or it is another merchant's.
    """
    now = await recoveries.now(conn)
    scope = await _scope(conn, merchant, now, since=since, until=until, endpoint=endpoint, event=event, status=status)
    # A lock and then a count, in two statements: the second one's snapshot holds what was added while we waited.
    await recoveries.lock(conn, merchant_id=merchant.merchant_id)
    if await recoveries.count_open(conn, **_whose(merchant)) >= MAX_OPEN:
        description = f"{MAX_OPEN} recoveries are running or paused; wait for one, or cancel one"
        raise BadRequestError(description, reason="too_many_recoveries")
    counted = await recoveries.count(conn, scope, **_whose(merchant))
    return await recoveries.add(conn, scope, counted, rate=rate, asked_at=now, **_whose(merchant))


async def dry_run(
    conn: Connection,
    merchant: Merchant,
    *,
    since: datetime,
    until: datetime | None = None,
    endpoint: str | None = None,
    event: str | None = None,
    status: Recovers | None = None,
    glance: bool = False,
) -> DryRun:
    """Count what `start` with the same arguments would do now, and do nothing. Raises what it raises of them.

    With `glance` it gives up sooner, with what it has counted by then.
    """
    now = await recoveries.now(conn)
    scope = await _scope(conn, merchant, now, since=since, until=until, endpoint=endpoint, event=event, status=status)
    most = recoveries.GLANCED if glance else recoveries.COUNTED
    counted: Count = await recoveries.count(conn, scope, most=most, **_whose(merchant))
    return DryRun(
        dry_run=True,
        total=counted.total,
        total_is="exact" if counted.exact else "at_least",
        skipped=counted.skipped,
        by_event=counted.by_event,
        recovers=list(scope.recovers),
        endpoint=endpoint,
        event=event,
        since=scope.since,
        until=scope.until,
    )


async def get(conn: Connection, merchant: Merchant, recovery_id: str) -> Recovery:
    """One recovery, as it is now.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    found = await recoveries.get(conn, recovery_id, **_whose(merchant))
    if found is None:
        raise NotFoundError(f"recovery {recovery_id} does not exist")
    return found


async def page(conn: Connection, merchant: Merchant, paging: Paging) -> RecoveryPage:
    """Read a page, newest first.

    Raises:
        BadRequestError: a cursor that is no recovery's id.
    """
    listing.check(paging, RECOVERY_ID)
    found = await listing.read(conn, merchant, ("outbox", "list_recoveries"), paging, {})
    return RecoveryPage(data=msgspec.convert(found.rows, list[Recovery]), **found.place)


Verb = Literal["pause", "resume", "cancel"]

_MOVES: Mapping[Verb, tuple[tuple[State, ...], State]] = {
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
    "cancel": (("running", "paused"), "cancelled"),
}


async def move(conn: Connection, merchant: Merchant, recovery_id: str, verb: Verb) -> Recovery:
    """Pause, resume or cancel a recovery; one that already is where the verb leads stays as it is.

    What was scheduled before stays on its way. A cancelled recovery cannot be resumed.

    Raises:
        BadRequestError: `recovery_ended`: it is done or cancelled.
        NotFoundError: there is none, or it is another merchant's.
    """
    of, to = _MOVES[verb]
    moved = await recoveries.move(conn, recovery_id, of=of, to=to, **_whose(merchant))
    if moved is None:
        moved = await get(conn, merchant, recovery_id)
        if moved.status != to:
            description = f"the recovery is {moved.status}; only one that is running or paused can be {_DONE[verb]}"
            raise BadRequestError(description, reason="recovery_ended")
    return moved


_DONE: Mapping[Verb, str] = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


async def _scope(
    conn: Connection,
    merchant: Merchant,
    now: datetime,
    *,
    since: datetime,
    until: datetime | None,
    endpoint: str | None,
    event: str | None,
    status: Recovers | None,
) -> Scope:
    if until is not None and until > now + _AHEAD:
        raise BadRequestError("until must not be in the future", field="until", reason="range_invalid")
    end = min(until or now, now)
    since = max(since, _BEGINNING)
    if until is None and since <= now + _AHEAD:
        since = min(since, now)
    if since > end:
        raise BadRequestError("since must not be after until, nor in the future", field="since", reason="range_invalid")
    if event is not None and event not in endpoint_rules.PATTERNS - {"*"}:
        known = ", ".join(sorted(endpoint_rules.PATTERNS - {"*"}))
        raise BadRequestError(f"event is no event type; known are {known}", field="event", reason="event_type_unknown")
    if endpoint is not None:
        found = await endpoints.get(conn, endpoint, **_whose(merchant))
        if found is None:
            raise NotFoundError("there is no such endpoint", field="endpoint")
        if not found.enabled:
            description = "the endpoint is disabled; enable it first"
            raise BadRequestError(description, field="endpoint", reason="endpoint_disabled")
    return Scope(
        endpoint=endpoint,
        event=event,
        recovers=USUAL if status is None else (status,),
        since=since.astimezone(UTC),
        until=end.astimezone(UTC),
        up_to_now=until is None or until >= now,
    )


def _whose(merchant: Merchant) -> dict[str, Any]:
    return {"bucket": merchant.bucket, "merchant_id": merchant.merchant_id}
