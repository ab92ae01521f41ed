"""What merchants read of the outbox: the log of deliveries, and the ledger of events."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gateway import listing
from gateway.errors import NotFoundError
from kit import ids
from kit.db import fetch
from outbox import SQL

if TYPE_CHECKING:
    from gateway.listing import Paging
    from gateway.merchants import Merchant
    from kit.db import Connection

DELIVERY_ID = ids.pattern("dlv")
EVENT_ID = ids.pattern("evt")

_TIMED = ids.pattern("(?:pay|rfnd)")
_NEAR = 86_400.0  # seconds

DeliveryStatus = Literal["pending", "success", "failed"]


class DeliveryLog(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as the log shows it; `GET /webhooks/{id}` has its body and its attempts. Times in UTC."""

    id: str
    event: str
    status: DeliveryStatus
    attempts: int
    """That came to an end since it began or was last started over."""
    created_at: datetime
    last_attempt_at: datetime | None
    next_retry_at: datetime | None
    """When it is due; null when it is finished, or while an attempt is under way."""
    response_code: int | None
    event_id: str
    endpoint_id: str
    subject_id: str
    """The payment, refund or order that the event tells of."""


class DeliveryPage(listing.Page, frozen=True, kw_only=True):
    """A page of the delivery log, newest first."""

    data: list[DeliveryLog]
    total: int | None
    """How many there are, counted among the newest 10,000 at most; null on pages asked for with a cursor."""
    total_is: Literal["exact", "at_least"] | None
    """Whether `total` is all of them."""


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the log is narrowed to; times are UTC, `created_to` is exclusive. `payment` may be any event's subject."""

    status: DeliveryStatus | None = None
    event: str | None = None
    endpoint: str | None = None
    payment: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact: `id`, `event`, `timestamp` and `data` as they are delivered, and what is known besides."""

    id: str
    """The `webhook-id` of its deliveries."""
    event: str
    timestamp: int
    """When it became true, in unix seconds."""
    data: dict[str, Any]
    """The payment, refund or order as it was then, under its name."""
    subject_id: str
    """The id of that payment, refund or order."""
    created_at: datetime
    deliveries: int
    """How many endpoints wanted it."""


class FullEvent(Event, frozen=True, kw_only=True):
    """A fact with the text that its webhooks are signed over."""

    body: str
    """The very bytes that every attempt of its deliveries sends."""


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the ledger, oldest first."""

    data: list[Event]
    limit: int
    has_more: bool
    """Whether there is more by now, or may be: a page looks at 10,000 events at most."""
    next: str | None
    """Send it as `after` to go on, now or whenever there may be news; null while the ledger is empty."""


async def deliveries(conn: Connection, merchant: Merchant, where: DeliveryFilter, paging: Paging) -> DeliveryPage:
    """Read a page of the delivery log, newest first, and on a page without a cursor count the whole.

    Raises:
        BadRequestError: a cursor that is no delivery's id.
    """
    found = await page_of_deliveries(conn, merchant, where, paging)
    total, total_is = None, None
    if paging.after is None and paging.before is None:
        if found.rows and not found.place["has_more"]:
            total, exact = paging.offset + len(found.rows), True
        else:
            # Twenty times the page's own cost, where there is much to count.
            filters = delivery_filters(where)
            total, exact = await listing.count(conn, merchant, ("outbox", "count_deliveries"), filters)
        total_is = "exact" if exact else "at_least"
    data = msgspec.convert(found.rows, list[DeliveryLog])
    return msgspec.convert({"data": data, "total": total, "total_is": total_is, **found.place}, DeliveryPage)


async def page_of_deliveries(
    conn: Connection, merchant: Merchant, where: DeliveryFilter, paging: Paging
) -> listing.Found:
    """The rows of a page of the delivery log, newest first, and nothing counted.

    Raises:
        BadRequestError: a cursor that is no delivery's id.
    """
    listing.check(paging, DELIVERY_ID)
    return await _read_near(conn, merchant, paging, delivery_filters(where))


def delivery_filters(where: DeliveryFilter) -> dict[str, object]:
    """The parameters of the log's statements."""
    filters = listing.narrow({"event": where.event, "endpoint": where.endpoint, "subject": where.payment})
    filters |= listing.created_range("dlv", where.created_from, where.created_to)
    if where.status is not None:
        filters[where.status] = True
    if where.payment is not None and _TIMED.match(where.payment):
        # Nothing is told of it before it was there.
        began = listing.created_range("dlv", datetime.fromtimestamp(ids.made_at(where.payment), UTC), None)
        filters["id_from"] = max(str(began["id_from"]), str(filters.get("id_from", "")))
    return filters


async def events(conn: Connection, merchant: Merchant, event_type: str | None, paging: Paging) -> EventPage:
    """Read the ledger from a cursor on, oldest first: nothing can be committed behind it any more.

    An event shows once every transaction that was writing beside its own has ended.

    Raises:
        BadRequestError: a cursor that is the id of no event.
    """
    listing.check(paging, EVENT_ID)
    found = await listing.read(conn, merchant, ("outbox", "list_events"), paging, listing.narrow({"type": event_type}))
    if not found.rows:
        await listing.check_known(conn, merchant, SQL["get_event"], paging)
    data = [msgspec.convert(_shown(row), Event) for row in found.rows]
    seen = found.place["next"] or (data[-1].id if data else paging.after)
    return EventPage(data=data, limit=paging.limit, has_more=found.place["has_more"], next=seen)


async def event(conn: Connection, merchant: Merchant, event_id: str) -> FullEvent:
    """Read one event.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    rows = await fetch(conn, SQL["get_event"], merchant.scope | {"id": event_id})
    if not rows:
        raise NotFoundError(f"event {event_id} does not exist")
    return msgspec.convert(_shown(rows[0]), FullEvent)


async def _read_near(conn: Connection, merchant: Merchant, paging: Paging, filters: dict[str, object]) -> listing.Found:
    """Read a page of the log from the days next to where it begins, and from all days if these do not fill it.

    The log lies in partitions by day, and each one in reach costs a look, however little is read of it.
    """
    query = ("outbox", "list_deliveries")
    if paging.before is not None:
        far = ids.lower_bound("dlv", ids.made_at(paging.before) + _NEAR)
        near = {"id_to": min(far, str(filters.get("id_to", far)))}
    else:
        newest = min(filter(None, (ids.lower_bound("dlv", time.time()), paging.after, filters.get("id_to"))), key=str)
        far = ids.lower_bound("dlv", max(0.0, ids.made_at(str(newest)) - _NEAR))
        near = {"id_from": max(far, str(filters.get("id_from", far)))}
    if not paging.offset and "subject" not in filters and not near.items() <= filters.items():
        found = await listing.read(conn, merchant, query, paging, filters | near)
        if found.place["has_more"]:
            return found
    return await listing.read(conn, merchant, query, paging, filters)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    delivered: dict[str, Any] = msgspec.json.decode(row["body"])
    return row | delivered
