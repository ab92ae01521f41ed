"""Webhooks: endpoints and how they fare, the delivery log, events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dashboard.reading import SQL
from dashboard.reading.overview import in_trouble
from gateway import listing, logs, webhooks
from gateway.errors import NotFoundError
from gateway.logs import DeliveryFilter, DeliveryLog, DeliveryStatus, FullEvent
from kit import ids
from kit.db import fetch
from outbox import endpoints
from outbox.deliveries import Delivery
from outbox.endpoints import Endpoint

if TYPE_CHECKING:
    from gateway.listing import Paging
    from gateway.merchants import Merchant
    from kit.db import Connection

_OPEN = 1_000  # of an endpoint, as `endpoint_traffic` counts them
_EVENT, _DELIVERY = ids.pattern("evt"), ids.pattern("dlv")
_TIMED = tuple(ids.pattern(prefix) for prefix in ("pay", "rfnd", "order", "whep"))

NO_ANSWER = (0, 0)
"""`codes` for attempts that nobody answered."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint fares, by its merchant's newest 2,000 finished deliveries of the last day."""

    open: int
    open_is: Literal["exact", "at_least"]
    """1,000 open ones are counted."""
    due: int
    """Of them: could be sent now, or are being sent."""
    oldest_at: datetime | None
    """The event that waits longest."""
    next_retry_at: datetime | None
    delivered: int
    failed: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    """Of a delivery that was given up; `Endpoint.health` knows of attempts."""
    median_ms: float | None
    slow_ms: float | None
    """95 of 100 attempts took less; of the newest 200 deliveries."""

    @property
    def rate(self) -> float | None:
        """Delivered of those that ended, 0 to 1."""
        ended = self.delivered + self.failed
        return self.delivered / ended if ended else None


State = Literal["healthy", "failing", "held_up", "probing", "disabled_by_us", "disabled"]


class EndpointCard(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with how it fares."""

    endpoint: Endpoint
    traffic: Traffic
    state: State
    """In one word: `held_up` is an open circuit, `probing` a half-open one; `disabled` is the owner's own doing."""
    trouble: bool


class DeliveryDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery with its attempts, and what it is about."""

    delivery: Delivery
    subject_id: str
    """The payment, refund, order or endpoint that the event tells of."""
    payment_id: str | None
    """The payment behind it, for a link; None for orders, endpoints and tests."""


class LogPage(listing.Page, frozen=True, kw_only=True):
    """A page of the delivery log, newest first."""

    data: list[DeliveryLog]


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event in a list."""

    id: str
    type: str
    subject_id: str
    deliveries: int
    created_at: datetime


class EventList(listing.Page, frozen=True, kw_only=True):
    """A page of events, newest first."""

    data: list[EventRow]


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What events are narrowed to; times UTC, `created_to` exclusive."""

    type: str | None = None
    """A type, or a family: `payment.*`."""
    subject: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


class EventDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event at one endpoint."""

    id: str
    endpoint_id: str
    endpoint_url: str | None
    status: DeliveryStatus
    attempts: int
    response_code: int | None
    created_at: datetime
    last_attempt_at: datetime | None
    next_retry_at: datetime | None
    finished_at: datetime | None


class EventDetail(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its exact body and its deliveries."""

    event: FullEvent
    deliveries: list[EventDelivery]


async def cards(
    conn: Connection, merchant: Merchant, *, now: datetime, disable_after: timedelta | None = None
) -> list[EndpointCard]:
    """Every endpoint of a merchant (50 at most), the default one first, then the oldest first."""
    found = await endpoints.all_of(
        conn, bucket=merchant.bucket, merchant_id=merchant.merchant_id, disable_after=disable_after
    )
    since = ids.lower_bound("dlv", max(0.0, now.timestamp() - 86_400))
    rows = await fetch(conn, SQL["endpoint_traffic"], merchant.scope | {"since_id": since})
    traffic = {row["endpoint_id"]: _traffic(row) for row in rows}
    shown = [
        EndpointCard(endpoint=one, traffic=traffic[one.id], state=_state(one), trouble=in_trouble(one))
        for one in found
        if one.id in traffic  # one that was made between the two looks comes with the next page
    ]
    return sorted(shown, key=lambda card: (not card.endpoint.default, card.endpoint.id))


async def log(
    conn: Connection,
    merchant: Merchant,
    where: DeliveryFilter,
    paging: Paging,
    *,
    codes: tuple[int, int] | None = None,
) -> LogPage:
    """Read a page of the delivery log, newest first.

    Args:
        conn: as the API's role.
        merchant: whose.
        where: status, event, endpoint, payment (or any subject), range of time.
        paging: which page.
        codes: only deliveries whose last attempt was answered from the first to the second code: `(500, 599)`, or
            `NO_ANSWER`.

    Raises:
        BadRequestError: a cursor that is no delivery's id.
    """
    if codes is None:
        found = await logs.page_of_deliveries(conn, merchant, where, paging)
    else:
        listing.check(paging, _DELIVERY)
        filters = logs.delivery_filters(where) | {"code_from": codes[0], "code_to": codes[1]}
        found = await listing.read(conn, merchant, ("dashboard", "list_deliveries_by_code"), paging, filters)
    return LogPage(data=msgspec.convert(found.rows, list[DeliveryLog]), **found.place)


async def delivery(conn: Connection, merchant: Merchant, delivery_id: str) -> DeliveryDetail:
    """Read one delivery with its exact body and its newest 50 attempts.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    found = await webhooks.get(conn, merchant, delivery_id)
    rows = await fetch(conn, SQL["delivery_subject"], merchant.scope | {"id": delivery_id})
    if not rows:  # on its way between queue and history
        raise NotFoundError(f"delivery {delivery_id} does not exist")
    return DeliveryDetail(delivery=found, subject_id=rows[0]["subject_id"], payment_id=rows[0]["payment_id"])


async def events(conn: Connection, merchant: Merchant, where: EventFilter, paging: Paging) -> EventList:
    """Read a page of events, newest first.

    Raises:
        BadRequestError: a cursor that is no event's id.
    """
    listing.check(paging, _EVENT)
    filters = listing.narrow({"subject": where.subject})
    if where.type is not None:
        family, _, rest = where.type.partition(".")
        filters |= {"family": f"{family}."} if rest == "*" else {"type": where.type}
    filters |= listing.created_range("evt", where.created_from, where.created_to)
    if where.subject is not None and any(shape.match(where.subject) for shape in _TIMED):
        # Nothing is told of it before it was there, and what is told first is looked for first.
        began = listing.created_range("evt", datetime.fromtimestamp(ids.made_at(where.subject), UTC), None)
        filters["id_from"] = max(str(began["id_from"]), str(filters.get("id_from", "")))
    found = await listing.read(conn, merchant, ("dashboard", "newest_events"), paging, filters)
    return EventList(data=msgspec.convert(found.rows, list[EventRow]), **found.place)


async def event(conn: Connection, merchant: Merchant, event_id: str) -> EventDetail:
    """Read one event with its deliveries.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    found = await logs.event(conn, merchant, event_id)
    rows = await deliveries_of(conn, merchant, [event_id])
    return EventDetail(event=found, deliveries=msgspec.convert(rows, list[EventDelivery]))


async def deliveries_of(conn: Connection, merchant: Merchant, event_ids: list[str]) -> list[dict[str, Any]]:
    """The deliveries of some events, as `EventDelivery` has them, and their attempts as JSON (`history`)."""
    stems = ["dlv_" + event_id.removeprefix("evt_")[:-2] for event_id in event_ids]
    values: dict[str, object] = {
        **merchant.scope,
        "event_ids": event_ids,
        "lows": [f"{stem}00" for stem in stems],
        "highs": [f"{stem}zz" for stem in stems],
    }
    return await fetch(conn, SQL["payment_deliveries"], values)


def _traffic(row: dict[str, Any]) -> Traffic:
    more = row["open"] >= _OPEN
    return msgspec.convert(row | {"open_is": "at_least" if more else "exact"}, Traffic)


def _state(endpoint: Endpoint) -> State:
    if not endpoint.enabled:
        return "disabled_by_us" if endpoint.disabled_reason is not None else "disabled"
    match endpoint.health.circuit:
        case "open":
            return "held_up"
        case "half_open":
            return "probing"
        case "closed":
            return "failing" if endpoint.health.state == "failing" else "healthy"
