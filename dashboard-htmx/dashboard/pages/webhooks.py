"""Webhooks: what is in trouble and the button that mends it, the endpoints, and the log of deliveries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response, get
from litestar.response import Stream

from dashboard import log_filters, paging, trouble
from dashboard.admission import visit_of
from dashboard.cookies import new_token
from dashboard.reading import news, webhooks
from dashboard.render import is_part, render
from gateway import endpoint_rules as rules
from gateway import endpoints
from gateway.errors import BadRequestError, LedgateError
from gateway.listing import Paging
from gateway.logs import DELIVERY_ID, DeliveryFilter, DeliveryLog
from gateway.webhooks import get as get_delivery
from kit import ids
from outbox.deliveries import Delivery, PastAttempt
from outbox.endpoints import EVENT_TYPES, Endpoint, Secret

if TYPE_CHECKING:
    from dashboard.reading.webhooks import EndpointCard
    from gateway.config import Config
    from gateway.merchants import Merchant

AnyRequest = Request[Any, Any, Any]
HERE = "/dashboard/webhooks"
TESTABLE = ("webhook.test", *sorted(EVENT_TYPES - {"webhook.test"}))
PATIENCE = 4.0
"""Seconds that a test event's sender waits for the receiver before the page is shown; it then looks by itself."""
_LOOKS = 20.0  # seconds after which nobody looks any more: an attempt takes 10 at most
_LATEST = 6
_PACE = 0.1  # seconds


class Tested(msgspec.Struct, frozen=True):
    """What became of a test event."""

    delivery: Delivery
    attempt: PastAttempt | None
    waiting: bool
    """Nothing was heard of it yet, and it may be worth to look again."""


@get(HERE)
async def show_webhooks(request: AnyRequest) -> Response[Any]:
    """The page; htmx gets the part of it that it asks for, and no other is read."""
    return await show(request)


@get(f"{HERE}/live")
async def live(request: AnyRequest) -> Stream:
    """Tells the page when something was sent, answered or written."""
    merchant = visit_of(request).merchant
    gateway = request.app.state.gateway

    async def ask() -> str:
        async with gateway.database.connection(reading=True) as conn:
            return await news.of_log(conn, merchant)

    stream: Stream = request.app.state.live.stream(request, f"webhooks:{merchant.merchant_id}", ask)
    return stream


async def show(
    request: AnyRequest,
    *,
    error: LedgateError | None = None,
    url: str | None = None,
    secret: Secret | None = None,
    fresh_secret: bool = False,
) -> Response[Any]:
    """The page.

    Args:
        request: who asks.
        error: what is wrong with the default endpoint's form.
        url: what was typed into it.
        secret: the default endpoint's, for somebody who has asked for it.
        fresh_secret: it was made a moment ago.
    """
    part = request.headers.get("hx-target", "") if is_part(request) else ""
    context: dict[str, Any] = {"error": error, "typed_url": url, "secret": secret, "fresh_secret": fresh_secret}
    for reads in _READS.get(part, (read_log, read_cards)):
        context |= await reads(request)
    context["tested"] = await read_test(request)
    return render(request, "webhooks.html", **context)


async def read_cards(request: AnyRequest) -> dict[str, Any]:
    """The endpoints and their troubles."""
    gateway, merchant, now = request.app.state.gateway, visit_of(request).merchant, datetime.now(UTC)
    async with gateway.database.connection(reading=True) as conn:
        cards = await webhooks.cards(conn, merchant, now=now, disable_after=gateway.config.disabling)
    return {
        "cards": cards,
        "default": next((card for card in cards if card.endpoint.default), None),
        "troubles": trouble.all_of(cards, now),
        "states": trouble.STATES,
        "testable": TESTABLE,
        "key": new_token(),
    }


async def read_log(request: AnyRequest) -> dict[str, Any]:
    """A page of the log, as the address asks; with a filter that cannot be right, none of it."""
    gateway, merchant = request.app.state.gateway, visit_of(request).merchant
    query, asked = request.query_params, paging.asked(request.query_params)
    error: LedgateError | None = None
    found = webhooks.LogPage(data=[], limit=asked.limit, offset=0, has_more=False, next=None)
    where = log_filters.given(query)
    async with gateway.database.connection(reading=True) as conn:
        mark = "" if is_part(request) else await news.of_log(conn, merchant)
        known = (await endpoints.page(conn, merchant, disable_after=None)).data
        try:
            narrowed = log_filters.read(query, datetime.now(UTC))
            found = await webhooks.log(conn, merchant, narrowed.where, asked, codes=narrowed.codes)
        except BadRequestError as wrong:
            if wrong.reason in {"cursor_invalid", "cursor_conflict"}:
                raise
            error = wrong
    shown = [one.id for one in found.data]
    return {
        "mark": mark,
        "log": found,
        "filters": where,
        "filter_error": error,
        "beside": paging.neighbours(HERE, where, found, asked, shown),
        "recover": paging.address(f"{HERE}/recoveries/new", _range(where)),
        "newest": asked.after is None and (asked.before is None or not found.has_more),
        "address": paging.address(HERE, where),
        "back": paging.address(HERE, where, after=asked.after, before=asked.before),
        "names": {one.id: name_of(one) for one in known},
        "known": known,
        "codes": log_filters.CODES,
        "types": sorted(EVENT_TYPES),
    }


async def latest_of(request: AnyRequest, endpoint_id: str) -> list[DeliveryLog]:
    """An endpoint's newest deliveries; a part of its page does without."""
    if is_part(request):
        return []
    where, merchant = DeliveryFilter(endpoint=endpoint_id), visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        return (await webhooks.log(conn, merchant, where, Paging(limit=_LATEST))).data


def _range(where: dict[str, str]) -> dict[str, str]:
    """The filters of the log as a recovery's."""
    names = {"endpoint": "endpoint", "event": "event", "from": "since", "to": "until"}
    return {name: where[one] for one, name in names.items() if one in where}


def name_of(endpoint: Endpoint) -> str:
    """What people call an endpoint: its description, or where it is."""
    return endpoint.description or endpoint.url.partition("://")[2]


async def read_test(request: AnyRequest) -> Tested | None:
    """The test event that the address names, if it names one.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    delivery_id = request.query_params.get("test", "")
    if not DELIVERY_ID.match(delivery_id):
        return None
    merchant: Merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found = await get_delivery(conn, merchant, delivery_id)
    answered = bool(found.history) or found.status != "pending"
    age = time.time() - ids.made_at(delivery_id)
    attempt = found.history[0] if found.history else None
    return Tested(found, attempt, waiting=not answered and age < _LOOKS)


async def answer_of(request: AnyRequest, delivery_id: str, *, after: datetime | None = None) -> None:
    """Wait until a receiver has answered, for `PATIENCE` at most.

    Args:
        request: who waits.
        delivery_id: for the answer to which delivery.
        after: when its newest attempt was begun that is known already.
    """
    merchant, end = visit_of(request).merchant, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        async with request.app.state.gateway.database.connection(reading=True) as conn:
            found = await get_delivery(conn, merchant, delivery_id)
        if found.status != "pending" or (found.history and found.history[0].started_at != after):
            return
        await asyncio.sleep(_PACE)


_READS: dict[str, tuple[Callable[[AnyRequest], Awaitable[dict[str, Any]]], ...]] = {
    "deliveries": (read_log,),
    "endpoints": (read_cards,),
    "secret": (read_cards,),
    "test-result": (),
}
"""What the parts of the page need that htmx asks for."""


def default_schedule(config: Config) -> tuple[int, ...]:
    """Seconds before each attempt, where an endpoint has no schedule of its own."""
    return rules.TEST_SCHEDULE if config.webhook_retry_intervals_test else rules.DEFAULT_SCHEDULE


def card_of(cards: list[EndpointCard], endpoint_id: str) -> EndpointCard | None:
    """One of them."""
    return next((card for card in cards if card.endpoint.id == endpoint_id), None)


HANDLERS = (show_webhooks, live)
