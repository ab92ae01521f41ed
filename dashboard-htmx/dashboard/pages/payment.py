"""One payment: what it is, what happened to it, how it stood at any moment."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from dashboard import stories, typed, zones
from dashboard.admission import visit_of
from dashboard.reading import news
from dashboard.reading.timeline import Timeline, timeline
from dashboard.render import render
from gateway import payments as ledger
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from gateway.logs import DELIVERY_ID
from gateway.refunds import Refund

AnyRequest = Request[Any, Any, Any]
HERE = "/dashboard/payments"
REASONS = ("Requested by the customer", "Duplicate", "Fraudulent", "Out of stock", "Returned goods")
"""Of refunds, as suggestions: any text may be typed."""
_STEPS = 250
"""Of a timeline, the newest; the page as of an earlier moment shows those before."""
_FAST = timedelta(minutes=5)
"""How far ahead of ours a reader's clock may be."""
_WATCHED = 50  # open deliveries that a page listens for


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Where a payment's money is; minor units."""

    amount: int
    captured: int
    refunded: int
    """Pending refunds too: the money is promised."""
    pending: int
    """Of it, what the processor has not sent back yet."""
    left: int
    """What the merchant has of it, or can take; 0 of a payment that did not succeed."""


@get(f"{HERE}/{{payment_id:str}}")
async def show_payment(request: AnyRequest, payment_id: FromPath[str]) -> Response[Any]:
    """The payment, now or as it was.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    return await page(request, payment_id)


@get(f"{HERE}/{{payment_id:str}}/live")
async def stream_payment(request: AnyRequest, payment_id: FromPath[str]) -> Response[Any]:
    """A word whenever the payment changed, one of its refunds, or a delivery that the page shows as open.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    _check(payment_id)
    gateway, merchant = request.app.state.gateway, visit_of(request).merchant
    watched = [one for one in request.query_params.get("open", "").split() if DELIVERY_ID.match(one)][:_WATCHED]

    async def ask() -> str:
        async with gateway.database.connection(reading=True) as conn:
            return await news.of_payment(conn, merchant, payment_id, watched)

    await ask()  # not there: a 404, and no stream
    digest = hashlib.sha256(" ".join(watched).encode()).hexdigest()[:16]
    name = f"payment:{merchant.merchant_id}:{payment_id}:{digest}"
    stream: Response[Any] = request.app.state.live.stream(request, name, ask)
    return stream


async def read(request: AnyRequest, payment_id: str, as_of: datetime | None = None) -> Timeline:
    """The payment with its history.

    Raises:
        NotFoundError: there is none, it is another merchant's, or it was not there yet at `as_of`.
    """
    _check(payment_id)
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        return await timeline(conn, visit_of(request).merchant, payment_id, as_of=as_of)


async def _follow(request: AnyRequest, payment_id: str) -> tuple[Timeline, str]:
    """The payment as it is now, and the address of the stream that tells what comes after that; none, if nothing can.

    What is listened for shows only with the payment, and what happens between the two must not be lost: both are of one
    snapshot.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    _check(payment_id)
    merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn, conn.transaction():
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = await timeline(conn, merchant, payment_id)
        if not _moves(found):
            return found, ""
        watched = _open(found)[:_WATCHED]
        query = {"open": " ".join(watched), "seen": await news.of_payment(conn, merchant, payment_id, watched)}
    return found, f"{HERE}/{payment_id}/live?{urlencode({name: value for name, value in query.items() if value})}"


async def page(
    request: AnyRequest,
    payment_id: str,
    *,
    act: str = "",
    form: msgspec.Struct | None = None,
    review: dict[str, Any] | None = None,
    error: LedgateError | None = None,
    known: Timeline | None = None,
) -> Response[Any]:
    """Answer the payment's page.

    Args:
        request: who asks; its `as_of` is the moment that is shown, if there is one.
        payment_id: which.
        act: the form that is open, `refund` or `capture`.
        form: what it holds.
        review: what is asked once more before it is done.
        error: what is wrong with the form, or with the moment.
        known: the payment, if it was read already.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    asked = "" if act else request.query_params.get("as_of", "")
    found, live = known, ""
    if found is None:
        found, live, error = await _at(request, payment_id, asked)
    return render(
        request,
        "payment.html",
        shown=found,
        payment=found.payment,
        money=_money(found),
        refunds=[_then(one, found.as_of) for one in found.refunds],
        days=stories.days(found.entries[-_STEPS:], found.payment.currency),
        cut=len(found.entries) > _STEPS,
        as_of=asked if error is not None and error.field == "as_of" else _typed(found.as_of),
        around=_around(found),
        live=live,
        open_failures=[one for one in found.deliveries if one.status == "failed"] if not found.as_of else [],
        act=act,
        reasons=REASONS,
        form=form,
        review=review,
        error=error,
    )


async def _at(request: AnyRequest, payment_id: str, asked: str) -> tuple[Timeline, str, LedgateError | None]:
    """The payment as it was at the moment that is asked for; as it is now, and why, where that cannot be."""
    error = None
    if asked:
        try:
            return await read(request, payment_id, _moment(asked)), "", None
        except BadRequestError as refusal:
            error = refusal
        except NotFoundError:
            pass
    found, live = await _follow(request, payment_id)  # raises, where there is no such payment at any moment
    if asked and error is None:
        text = f"The payment was not there yet: it was made on {zones.full(found.payment.created_at)}."
        error = BadRequestError(text, field="as_of", reason="field_invalid")
    return found, live, error


def _moment(asked: str) -> datetime:
    found = typed.read_moment(asked, "as_of")
    if found - datetime.now(UTC) > _FAST:
        raise BadRequestError("That moment has not come yet.", field="as_of", reason="field_invalid")
    return found


def _check(payment_id: str) -> None:
    if not ledger.ID.match(payment_id):
        raise NotFoundError("there is no such payment")


def _money(found: Timeline) -> Money:
    payment = found.payment
    basis = payment.amount_captured or payment.amount
    shown = [_then(one, found.as_of) for one in found.refunds]
    return Money(
        amount=payment.amount,
        captured=payment.amount_captured,
        refunded=payment.amount_refunded,
        pending=sum(one.amount for one in shown if one.status == "pending"),
        left=basis - payment.amount_refunded if payment.status == "success" else 0,
    )


def _then(refund: Refund, as_of: datetime | None) -> Refund:
    """A refund as it stood: one that has ended since was pending."""
    if as_of is None or refund.processed_at is None or refund.processed_at <= as_of:
        return refund
    return msgspec.structs.replace(refund, status="pending", error_code=None, error_description=None, processed_at=None)


def _around(found: Timeline) -> dict[str, str]:
    """The moments before and after the one that is shown at which something happened, for addresses."""
    shown = typed.to_millisecond(found.as_of or datetime.now(UTC))
    known = list(dict.fromkeys(typed.to_millisecond(at) for at in found.moments))
    before = [at for at in known if at < shown]
    after = [at for at in known if at > shown]
    if found.as_of is None:
        before, after = known[:-1], []
    return {
        "before": typed.address(before[-1]) if before else "",
        "after": typed.address(after[0]) if after else "",
    }


def _moves(found: Timeline) -> bool:
    """Whether something is still to come."""
    unsettled = any(one.status == "pending" for one in found.refunds)
    return found.payment.status == "pending" or unsettled or bool(_open(found))


def _open(found: Timeline) -> list[str]:
    return [one.id for one in found.deliveries if one.status == "pending"]


def _typed(as_of: datetime | None) -> str:
    return typed.moment(as_of) if as_of else ""


HANDLERS = (show_payment, stream_payment)
