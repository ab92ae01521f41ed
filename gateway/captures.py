"""Captures: take the money that a successful payment has set aside, once, all or part of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from gateway import idempotency, payments
from gateway.errors import BadRequestError, NotFoundError
from gateway.idempotency import Answer
from gateway.merchants import SQL
from gateway.money import Amount
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from gateway.payments import Payment
    from kit.db import Connection
    from kit.seal import Sealer

_MAX_RACES = 5


class CapturePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a payment to take."""

    amount: Amount | None = None
    """All of it when absent."""


async def capture(
    conn: Connection, merchant: Merchant, payment_id: str, request: CapturePayment, *, key: str | None, sealer: Sealer
) -> Answer:
    """Capture a payment: read it, then one statement and one commit. `conn` autocommits.

    The answer is the payment, captured. What may be refunded from now on is what was captured.

    Raises:
        BadRequestError: the payment did not succeed, is captured or refunded already, or the amount does not fit.
        NotFoundError: there is no such payment, or it is another merchant's.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    now = datetime.now(UTC)
    understood, request_hash = idempotency.fingerprint(sealer, f"/payments/{payment_id}/capture", request)
    asked = merchant.scope | {"id": payment_id, "key": key, "now": now}
    for _ in range(_MAX_RACES):
        (row,) = await fetch(conn, SQL["read_before_capture"], asked)
        if row["stored_hash"] is not None:
            return idempotency.replay(sealer, understood, row["stored_hash"], row["stored_status"], row["stored_body"])
        if row["id"] is None:
            raise NotFoundError(f"payment {payment_id} does not exist")
        payment = payments.from_row(row, merchant)
        amount = payment.amount if request.amount is None else request.amount
        _check(payment, amount)
        head, middle, tail = _cut(
            msgspec.structs.replace(payment, captured=True, amount_captured=amount, updated_at=now)
        )
        item = merchant.scope | {
            "id": payment_id,
            "amount": amount,
            "created_at": now,
            "idempotency_key": key,
            "request_hash": request_hash,
            "head": head,
            "middle": middle,
            "tail": tail,
            "event_id": ids.new("evt", spare=True),
            "event_time": int(now.timestamp()),
        }
        values = {"request": msgspec.json.encode(item).decode(), "merchant_id": merchant.merchant_id}
        if written := await fetch(conn, SQL["capture_payment"], values):
            return Answer(written[0]["status"], written[0]["body"].encode())
        # Somebody was first: with this key, a capture or a refund. The next look tells which, and cannot lose for long:
        # a payment is captured once, and a key answered once.
    raise AssertionError


def _check(payment: Payment, amount: int) -> None:
    """Refuse what the payment, as it is now, does not allow; the statement checks it again under the lock."""
    if payment.status != "success":
        description = f"the payment is {payment.status}; only a successful one can be captured"
        raise BadRequestError(description, reason="payment_not_successful")
    if payment.captured:
        raise BadRequestError("the payment has been captured", reason="already_captured")
    if payment.amount_refunded == payment.amount:
        raise BadRequestError("the payment has been refunded in full", reason="fully_refunded")
    if amount > payment.amount:
        description = f"amount is more than the payment's {payment.amount}"
        raise BadRequestError(description, field="amount", reason="amount_too_large")
    if amount < payment.amount_refunded:
        description = f"amount is less than the {payment.amount_refunded} that have been refunded"
        raise BadRequestError(description, field="amount", reason="amount_below_refunded")


def _cut(payment: Payment) -> tuple[str, str, str]:
    """The payment's JSON without the sum of its refunds and its version: three parts that SQL joins with them.

    A quote within a string is escaped, so the first `"amount_refunded":` is the field. Notes may have a key `version`,
    but nothing of the merchant's stands after them, so the last one is the field.
    """
    text = msgspec.json.encode(msgspec.structs.replace(payment, amount_refunded=0, version=0)).decode()
    head, refunded, rest = text.partition('"amount_refunded":')
    middle, version, tail = rest.rpartition('"version":')
    return head + refunded, middle.removeprefix("0") + version, tail.removeprefix("0")
