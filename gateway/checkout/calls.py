"""What the page calls: how does it stand, pay, tell me when it has settled. A token in a header says which order."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.params import JSONBody
from litestar.response import Stream

from gateway.api.wire import StrictJson
from gateway.checkout import codes, language, paying, sessions, visitors
from gateway.checkout.codes import Code
from gateway.checkout.paying import Pay
from gateway.checkout.sessions import Session
from gateway.errors import BadRequestError, ForbiddenError
from gateway.merchants import Merchant
from gateway.payments import Payment
from kit.db import AWAY

AnyRequest = Request[Any, Any, Any]

HEADER = "x-checkout-session"
_ATTEMPT = re.compile(r"[0-9]{1,4}\Z")
_HEARTBEAT = 3.0  # seconds; also how soon a stream notices that the process is leaving
_LIFE = 0.8  # of the time that any request may take
_STATES = {"pending": "processing", "success": "success", "failed": "failed"}


class ShownPayment(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the page shows of a payment, and tells the page around it.

    Not who pays: that may be somebody else who has the same link.
    """

    id: str
    status: str
    method: str
    waited: int
    """Seconds since it was started."""
    flow: str | None = None
    link: str | None = None
    """UPI's deep link, while it is pending."""
    code: Code | None = None
    """The same as a QR code."""
    error_code: str | None = None
    message: str | None = None
    """Why it failed, in the shopper's language."""


class View(msgspec.Struct, frozen=True):
    """How the order stands: everything that the page needs to show it."""

    state: str
    """`ready`, `processing`, `success` or `failed`."""
    session: str
    """The token for the next call."""
    renew_in: int
    """Seconds after which the page should ask for a new one."""
    payment: ShownPayment | None = None


def render_view(request: AnyRequest, session: Session, payment: Payment | None) -> View:
    """How it stands, and a fresh token that knows the payment."""
    gateway = request.app.state.gateway
    token = sessions.issue(gateway.sealer, session, payment.id if payment else None)
    shown = _shown(payment, session.language) if payment else None
    return View(_STATES[payment.status] if payment else "ready", token, sessions.LIFE // 2, shown)


def _shown(payment: Payment, tag: str) -> ShownPayment:
    failed = payment.status == "failed"
    return ShownPayment(
        id=payment.id,
        status=payment.status,
        method=payment.method,
        waited=max(0, int((datetime.now(UTC) - payment.created_at).total_seconds())),
        flow=payment.flow,
        link=payment.deep_link,
        code=codes.draw(payment.deep_link) if payment.deep_link and payment.flow == "qr" else None,
        error_code=payment.error_code if failed else None,
        message=language.choose(tag, "").declined(payment.error_code) if failed else None,
    )


async def admit(request: AnyRequest, *, renew: bool = False) -> tuple[Session, Merchant]:
    """Who calls, by the token of the page: counted, and its key still good.

    Raises:
        ForbiddenError: no token of ours, one that has run out, a revoked key, or another site's page calls.
        RateLimitedError: too many calls from this address or with this key.
    """
    gateway, state = request.app.state.gateway, request.scope["state"]
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise ForbiddenError("only the checkout's own page may call this", reason="origin_wrong")
    if "rate" not in state:  # it is not run again after an outage
        hosted = request.app.state.checkout
        state["rate"] = hosted.visits.take(_address(request))
    session = sessions.read(gateway.sealer, request.headers.get(HEADER, ""), renew=renew)
    merchant = await _whose(request, session)
    if merchant is None:
        raise ForbiddenError("this checkout is not known here; open it again", reason="session_invalid")
    state["merchant_id"] = merchant.merchant_id
    gateway.rates.take(merchant.key_id)
    return session, merchant


async def _whose(request: AnyRequest, session: Session) -> Merchant | None:
    """The session's merchant, while its key is good."""
    merchant: Merchant | None = await request.app.state.gateway.credentials.publish(session.key_id)
    good = merchant is not None and merchant.merchant_id == session.merchant_id and "write" in merchant.scopes
    return merchant if good else None


async def _look(request: AnyRequest, session: Session, merchant: Merchant) -> View:
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        order = await paying.look(conn, merchant, session.order_id)
        payment = await paying.stands(conn, merchant, order, session.payment_id)
    return render_view(request, session, payment)


@post("/checkout/session", status_code=200)
async def renew_session(request: AnyRequest) -> Response[View]:
    """A new token for an old one, which may have run out; and how the order stands."""
    session, merchant = await admit(request, renew=True)
    return _answer(await _look(request, session, merchant))


@get("/checkout/state")
async def get_state(request: AnyRequest) -> Response[View]:
    """How the order stands."""
    session, merchant = await admit(request)
    return _answer(await _look(request, session, merchant))


@post("/checkout/pay", dto=StrictJson[Pay], return_dto=None, status_code=200)
async def start_payment(request: AnyRequest, data: JSONBody[Pay]) -> Response[View]:
    """Pay the order, or find the payment that does so already. `Idempotency-Key` is the number of the page's try."""
    session, merchant = await admit(request)
    gateway = request.app.state.gateway
    attempt = request.headers.get("idempotency-key", "")
    if not _ATTEMPT.match(attempt):
        raise BadRequestError(
            "Idempotency-Key must be the number of the try", field="Idempotency-Key", reason="idempotency_key_invalid"
        )
    hosted = request.app.state.checkout
    address = _address(request)
    hosted.payers.take(address)
    hosted.tries.take(f"{merchant.merchant_id}/{session.order_id}/{address}")
    how: dict[str, Any] = {"attempt": attempt, "sealer": gateway.sealer, "earnest": not gateway.config.test_mode}
    async with gateway.database.transaction() as conn:
        started = await paying.pay(conn, merchant, session, data, **how)
    if started.new:
        gateway.doorbell.ring()
    request.scope["state"]["replayed"] = not started.new or None
    return _answer(render_view(request, session, started.payment))


@get("/checkout/events")
async def watch_state(request: AnyRequest) -> Stream:
    """Server-sent events: `state` with a view now and when the payment settles; then it ends.

    It lives no longer than a request may, and not while the process is leaving: the page then asks again.
    """
    session, merchant = await admit(request)
    view = await _look(request, session, merchant)
    if view.state == "processing":
        request.app.state.checkout.progress.check_room(_address(request))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_events(request, session, merchant, view), media_type="text/event-stream", headers=headers)


async def _events(request: AnyRequest, session: Session, merchant: Merchant, view: View) -> AsyncIterator[bytes]:
    yield _event(view)
    gateway, progress, address = request.app.state.gateway, request.app.state.checkout.progress, _address(request)
    if view.state != "processing" or view.payment is None or not progress.has_room(address):
        return
    until = time.monotonic() + gateway.config.request_timeout * _LIFE
    # Where the database is away it ends: the page asks again. A revoked key ends here as it does everywhere.
    with contextlib.suppress(*AWAY), progress.watching(merchant, view.payment.id, address) as settled:
        while not settled.is_set():
            left = until - time.monotonic()
            if left <= 0 or gateway.leaving() or not await _whose(request, session):
                return
            try:
                async with asyncio.timeout(min(_HEARTBEAT, left)):
                    await settled.wait()
            except TimeoutError:
                yield b": still pending\n\n"
        if await _whose(request, session):
            yield _event(await _look(request, session, merchant))


def _address(request: AnyRequest) -> str:
    return visitors.address(request, request.app.state.checkout.proxies)


def _event(view: View) -> bytes:
    return b"event: state\ndata: " + msgspec.json.encode(view) + b"\n\n"


def _answer(view: View) -> Response[View]:
    return Response(view, headers={"Cache-Control": "no-store"}, media_type=MediaType.JSON)


HANDLERS = (renew_session, get_state, start_payment, watch_state)
