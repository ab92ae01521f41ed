"""One delivery: what was sent, what was answered, what comes next; sent again, alone or with others; and checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Meta

from dashboard import addresses, curl, endpoint_forms, forms, verifying
from dashboard.admission import visit_of
from dashboard.pages import webhooks
from dashboard.reading import news
from dashboard.reading import webhooks as reading
from dashboard.render import go, render, say
from gateway import audit, endpoints
from gateway import webhooks as sending
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from gateway.logs import DELIVERY_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.merchants import Merchant
    from kit.db import Connection
    from outbox.deliveries import Delivery
    from outbox.endpoints import Endpoint

AnyRequest = Request[Any, Any, Any]
HERE = f"{webhooks.HERE}/{{delivery_id:str}}"
AT_ONCE = 100
"""Deliveries that one click may send again; what is more is a recovery's."""


class Back(msgspec.Struct, frozen=True):
    """Where one goes on."""

    next: Annotated[str, Meta(max_length=1000)] = ""


class Selected(msgspec.Struct, frozen=True):
    """Deliveries that were ticked."""

    id: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=AT_ONCE)] = msgspec.field(
        default_factory=list
    )
    next: Annotated[str, Meta(max_length=1000)] = ""


class Coming(msgspec.Struct, frozen=True):
    """An attempt that will be made if all before it fail."""

    number: int
    at: datetime
    about: bool
    """It is measured from the failure before it, and may be a tenth of its step earlier or later."""


@get(HERE)
async def show_delivery(request: AnyRequest, delivery_id: FromPath[str]) -> Response[Any]:
    """One delivery.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    return await show(request, delivery_id)


@get(f"{HERE}/live")
async def live(request: AnyRequest, delivery_id: FromPath[str]) -> Stream:
    """Tells the page of each step.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    merchant, gateway = visit_of(request).merchant, request.app.state.gateway
    known(delivery_id)

    async def ask() -> str:
        async with gateway.database.connection(reading=True) as conn:
            return await news.of_delivery(conn, merchant, delivery_id)

    await ask()
    stream: Stream = request.app.state.live.stream(request, f"delivery:{merchant.merchant_id}:{delivery_id}", ask)
    return stream


@post(f"{HERE}/retry")
async def retry(request: AnyRequest, delivery_id: FromPath[str]) -> Response[Any]:
    """Send it again now, whatever its state; attempts start over.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    form = await forms.read(request, Back)
    gateway, visit = request.app.state.gateway, visit_of(request)
    where = _back(form.next, f"{webhooks.HERE}/{known(delivery_id)}")
    try:
        async with gateway.database.transaction() as conn:
            before = await sending.get(conn, visit.merchant, delivery_id)
            await _again(conn, visit.merchant, visit.actor, delivery_id)
    except BadRequestError as error:
        say(request, _sentence(error), "bad")
        return go(request, where)
    gateway.doorbell.ring()
    if form.next:  # the list shows what is open; the delivery's own page shows the answer
        say(request, "It is being sent again.")
    else:
        newest = before.history[0].started_at if before.history else None
        await webhooks.answer_of(request, delivery_id, after=newest)
        say(request, "It is sent again; attempts start over.")
    return go(request, where)


@post(f"{webhooks.HERE}/retry")
async def retry_selected(request: AnyRequest) -> Response[Any]:
    """Send those again that were ticked, as far as they can be.

    Raises:
        NotFoundError: one of them is not there, or is another merchant's; then none is sent.
    """
    try:
        form = await forms.read(request, Selected)
    except BadRequestError as error:
        much = f"{AT_ONCE} at once are the most; a recovery sends more."
        say(request, much if error.field == "id" else error.description, "bad")
        return go(request, webhooks.HERE)
    gateway, visit = request.app.state.gateway, visit_of(request)
    where = _back(form.next, webhooks.HERE)
    wanted = list(dict.fromkeys(known(one) for one in form.id))
    if not wanted:
        say(request, "Tick the deliveries that are to be sent again.", "info")
        return go(request, where)
    refused: list[BadRequestError] = []
    async with gateway.database.transaction() as conn:
        for one in sorted(wanted):  # in one order, so that two who do this at once wait and do not block each other
            try:
                await _again(conn, visit.merchant, visit.actor, one)
            except BadRequestError as error:
                refused.append(error)
    gateway.doorbell.ring()
    sent = len(wanted) - len(refused)
    if sent:
        say(request, f"{sent} {'delivery is' if sent == 1 else 'deliveries are'} being sent again.")
    if refused:
        count = f"{len(refused)} could not be sent" if sent or len(refused) > 1 else "It could not be sent"
        say(request, f"{count}: {refused[0].description}.", "bad")
    return go(request, where)


@post(f"{HERE}/verify")
async def verify(request: AnyRequest, delivery_id: FromPath[str]) -> Response[Any]:
    """Find out which step of a receiver's check fails. What was pasted is shown again, but for the secret.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    try:
        form = await forms.read(request, verifying.Check)
    except BadRequestError as error:
        return await show(request, delivery_id, error=error)
    visit = visit_of(request)
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found = await sending.get(conn, visit.merchant, known(delivery_id))
    try:
        told = await verifying.check(request, visit.merchant, found, form)
    except BadRequestError as error:
        return await show(request, delivery_id, checked=form, error=error)
    return await show(request, delivery_id, checked=form, verified=told)


async def show(
    request: AnyRequest,
    delivery_id: str,
    *,
    checked: verifying.Check | None = None,
    verified: verifying.Found | None = None,
    error: LedgateError | None = None,
) -> Response[Any]:
    """The page of one delivery.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    gateway, merchant = request.app.state.gateway, visit_of(request).merchant
    async with gateway.database.connection(reading=True) as conn:
        mark = await news.of_delivery(conn, merchant, known(delivery_id))
        found = await reading.delivery(conn, merchant, delivery_id)
        one = found.delivery
        endpoint: Endpoint | None = None
        if one.endpoint.url is not None:
            endpoint = await endpoints.get(conn, merchant, one.endpoint.id, disable_after=gateway.config.disabling)
    steps = (endpoint.retry_schedule if endpoint else None) or webhooks.default_schedule(gateway.config)
    newest = one.history[0] if one.history else None
    return render(
        request, "delivery.html", mark=mark, found=found, delivery=one, endpoint=endpoint,
        coming=coming(one, steps), steps=steps, newest=newest,
        curl=curl.command(one.endpoint.url, newest.request_headers, one.body)
        if newest is not None and one.body is not None and one.endpoint.url is not None else "",
        sent_headers=endpoint_forms.named(newest.request_headers) if newest else "",
        checked=checked or verifying.Check(), verified=verified, error=error,
    )  # fmt: skip


def coming(delivery: Delivery, steps: Sequence[int]) -> list[Coming]:
    """The attempts of a schedule that are still to come, if all before them fail."""
    if delivery.status != "pending":
        return []
    at = delivery.next_retry_at or datetime.now(UTC)
    found = []
    for number in range(delivery.attempts + 1, len(steps) + 1):
        first = number == delivery.attempts + 1
        if not first:
            at += timedelta(seconds=steps[number - 1])
        elif delivery.next_retry_at is None:
            continue  # it is under way
        found.append(Coming(number, at, about=not first))
    return found


def known(delivery_id: str) -> str:
    """An id that may be a delivery's.

    Raises:
        NotFoundError: it cannot.
    """
    if not DELIVERY_ID.match(delivery_id):
        raise NotFoundError("there is no such delivery")
    return delivery_id


async def _again(conn: Connection, merchant: Merchant, actor: audit.Actor, delivery_id: str) -> None:
    await sending.retry(conn, merchant, delivery_id)
    await audit.note(conn, merchant.scope, actor, "delivery.retried", delivery_id)


def _back(wanted: str, otherwise: str) -> str:
    return addresses.safe(wanted) if wanted else otherwise


def _sentence(error: LedgateError) -> str:
    return error.description[:1].upper() + error.description[1:] + "."


HANDLERS = (show_delivery, live, retry, retry_selected, verify)
