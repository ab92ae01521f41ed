"""What is done to a payment: money taken, money given back. A form, the question whether it is meant, and the deed."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from dashboard import forms, stories, typed
from dashboard.admission import DEVELOPER, visit_of
from dashboard.pages import payment as shown
from dashboard.pages.payment import HERE
from dashboard.render import go, say
from gateway import audit, captures, idempotency, refunds
from gateway.captures import CapturePayment
from gateway.checkout.amounts import shown as money
from gateway.errors import BadRequestError, IdempotencyKeyReusedError, LedgateError
from gateway.payments import Payment
from gateway.refunds import CreateRefund, Refund

AnyRequest = Request[Any, Any, Any]
Short = Annotated[str, Meta(max_length=40)]


class RefundForm(msgspec.Struct, frozen=True):
    """How much goes back, and why."""

    amount: Short = ""
    reason: Annotated[str, Meta(max_length=255)] = ""
    step: Annotated[str, Meta(max_length=10)] = "review"
    """`review` asks whether it is meant, `do` does it, `change` shows the form again."""
    key: Annotated[str, Meta(max_length=60)] = ""
    """Makes the deed happen once, however often the button is pressed."""


class CaptureForm(msgspec.Struct, frozen=True):
    """How much is taken."""

    amount: Short = ""
    step: Annotated[str, Meta(max_length=10)] = "review"
    key: Annotated[str, Meta(max_length=60)] = ""


@get(f"{HERE}/{{payment_id:str}}/refund", opt=DEVELOPER)
async def ask_refund(request: AnyRequest, payment_id: FromPath[str]) -> Response[Any]:
    """The form, on the payment's page: all that is left is filled in.

    Raises:
        NotFoundError: there is no such payment, or it is another merchant's.
    """
    found = await shown.read(request, payment_id)
    form = RefundForm(amount=typed.amount(found.refundable, found.payment.currency))
    return await shown.page(request, payment_id, act="refund", form=form, known=found)


@post(f"{HERE}/{{payment_id:str}}/refund")
async def refund(request: AnyRequest, payment_id: FromPath[str]) -> Response[Any]:
    """Ask whether it is meant; when it is, promise the refund.

    Raises:
        NotFoundError: there is no such payment, or it is another merchant's.
    """
    found = await shown.read(request, payment_id)
    form = RefundForm()
    try:
        form = await forms.read(request, RefundForm)
        if form.step == "change":
            return await shown.page(request, payment_id, act="refund", form=form, known=found)
        amount = typed.read_amount(form.amount, found.payment.currency, "amount")
        if form.step != "do" or not form.key:
            _check(amount, found.refundable, found.payment, "left to refund")
            review = {"amount": amount, "after": found.refundable - amount, "key": _key()}
            return await shown.page(request, payment_id, act="refund", form=form, review=review, known=found)
        await _refund(request, found.payment, amount, form)
    except BadRequestError as error:
        return await _again(request, payment_id, "refund", form, error)
    except IdempotencyKeyReusedError:
        return await _again(request, payment_id, "refund", form, _sent_before())
    say(request, f"A refund of {money(amount, found.payment.currency)} is on its way.")
    return go(request, f"{HERE}/{payment_id}")


@get(f"{HERE}/{{payment_id:str}}/capture", opt=DEVELOPER)
async def ask_capture(request: AnyRequest, payment_id: FromPath[str]) -> Response[Any]:
    """The form, on the payment's page.

    Raises:
        NotFoundError: there is no such payment, or it is another merchant's.
    """
    found = await shown.read(request, payment_id)
    form = CaptureForm(amount=typed.amount(found.capturable, found.payment.currency))
    return await shown.page(request, payment_id, act="capture", form=form, known=found)


@post(f"{HERE}/{{payment_id:str}}/capture")
async def capture(request: AnyRequest, payment_id: FromPath[str]) -> Response[Any]:
    """Ask whether it is meant; when it is, take the money.

    Raises:
        NotFoundError: there is no such payment, or it is another merchant's.
    """
    found = await shown.read(request, payment_id)
    form = CaptureForm()
    try:
        form = await forms.read(request, CaptureForm)
        if form.step == "change":
            return await shown.page(request, payment_id, act="capture", form=form, known=found)
        amount = typed.read_amount(form.amount, found.payment.currency, "amount")
        if form.step != "do" or not form.key:
            _check(amount, found.capturable, found.payment, "there to capture")
            if amount < found.payment.amount_refunded:
                raise _below_refunded(found.payment)
            review = {"amount": amount, "after": found.payment.amount - amount, "key": _key()}
            return await shown.page(request, payment_id, act="capture", form=form, review=review, known=found)
        await _capture(request, found.payment, amount, form)
    except BadRequestError as error:
        return await _again(request, payment_id, "capture", form, error)
    except IdempotencyKeyReusedError:
        return await _again(request, payment_id, "capture", form, _sent_before())
    say(request, f"Captured {money(amount, found.payment.currency)}.")
    return go(request, f"{HERE}/{payment_id}")


async def _refund(request: AnyRequest, payment: Payment, amount: int, form: RefundForm) -> None:
    gateway, visit = request.app.state.gateway, visit_of(request)
    wanted = CreateRefund(amount=amount, reason=form.reason.strip() or None)
    key = idempotency.check_key(form.key)
    async with gateway.database.transaction() as conn:
        answer = await refunds.create(conn, visit.merchant, payment.id, wanted, key=key, sealer=gateway.sealer)
        if not answer.replayed:
            made = msgspec.json.decode(answer.body, type=Refund)
            about = {"payment": payment.id, "amount": made.amount, "currency": payment.currency, "reason": made.reason}
            await audit.note(conn, visit.merchant.scope, visit.actor, "refund.created", made.id, **about)
    gateway.doorbell.ring()


async def _capture(request: AnyRequest, payment: Payment, amount: int, form: CaptureForm) -> None:
    gateway, visit = request.app.state.gateway, visit_of(request)
    key = idempotency.check_key(form.key)
    wanted = CapturePayment(amount=amount)
    async with gateway.database.transaction() as conn:
        answer = await captures.capture(conn, visit.merchant, payment.id, wanted, key=key, sealer=gateway.sealer)
        if not answer.replayed:
            scope, about = visit.merchant.scope, {"amount": amount, "currency": payment.currency}
            await audit.note(conn, scope, visit.actor, "payment.captured", payment.id, **about)
    gateway.doorbell.ring()


async def _again(
    request: AnyRequest, payment_id: str, act: str, form: RefundForm | CaptureForm, error: LedgateError
) -> Response[Any]:
    """The form once more, on the page as it is by now; the ledger's words in those of the form."""
    found = await shown.read(request, payment_id)
    left = found.refundable if act == "refund" else found.capturable
    if error.reason in {"amount_too_large", "fully_refunded", "already_captured", "payment_not_successful"}:
        error = _too_much(left, found.payment, "left to refund" if act == "refund" else "there to capture")
    if error.reason == "amount_below_refunded":
        error = _below_refunded(found.payment)
    return await shown.page(request, payment_id, act=act, form=form, error=error, known=found)


def _check(amount: int, most: int, payment: Payment, what: str) -> None:
    """Before it is asked whether it is meant; the ledger judges again, under its lock."""
    if amount > most:
        raise _too_much(most, payment, what)


def _too_much(most: int, payment: Payment, what: str) -> BadRequestError:
    text = f"Only {money(most, payment.currency)} is {what}." if most else f"Nothing is {what}."
    return BadRequestError(text, field="amount", reason="amount_too_large")


def _below_refunded(payment: Payment) -> BadRequestError:
    text = f"{money(payment.amount_refunded, payment.currency)} was refunded already; capture at least as much."
    return BadRequestError(text, field="amount", reason="amount_below_refunded")


def _sent_before() -> BadRequestError:
    return BadRequestError(
        "This was sent before with another amount. Look below, then begin anew.", reason="sent_before"
    )


def _key() -> str:
    return stories.OURS + secrets.token_urlsafe(18)


HANDLERS = (ask_refund, refund, ask_capture, capture)
