"""Refunds: money back from a payment, never more than is left of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway import idempotency, notes
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from gateway.idempotency import Answer
from gateway.merchants import SQL
from gateway.money import Amount
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from kit.db import Connection
    from kit.seal import Sealer

RefundStatus = Literal["pending", "processed", "failed"]

MOVES: dict[RefundStatus, frozenset[RefundStatus]] = {
    "pending": frozenset({"processed", "failed"}),
    "processed": frozenset(),
    "failed": frozenset(),
}
"""From which status to which; the settling statement's compare-and-set holds the same."""

_MAX_ROUNDS = 4
_REFUSALS = {
    "payment_not_successful": (None, "only a successful payment can be refunded"),
    "fully_refunded": (None, "nothing is left to refund"),
    "amount_too_large": ("amount", "amount is more than the {remaining} that are left to refund"),
}
"""Verdict of the statement -> the field to blame, and why."""


class CreateRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to give back."""

    amount: Amount | None = None
    """All that is left when absent."""
    reason: Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema=notes.NO_NUL)] | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refund as the API and the events show it. Amounts in minor units, times in UTC."""

    # Only ids stand before `amount`: the statement that makes a refund cuts the text there.
    id: str
    payment_id: str
    amount: int
    reason: str | None
    """Why, in the merchant's words; always there, null when none was given."""
    status: RefundStatus
    error_code: str | None = None
    """Why it failed, for programs; only then."""
    error_description: str | None = None
    version: int
    """Counts the refund's changes, from 1: what has a higher one is newer."""
    created_at: datetime
    processed_at: datetime | None = None
    """When the processor had answered, with success or failure; not there while pending."""


async def create(
    conn: Connection, merchant: Merchant, payment_id: str, request: CreateRefund, *, key: str | None, sealer: Sealer
) -> Answer:
    """Promise a refund: one statement, one commit; a dispatcher has it processed. `conn` autocommits.

    What is left is an uncaptured payment's amount or what was captured, less all refunds that are pending or processed.

    Raises:
        BadRequestError: the payment did not succeed, or less than the amount is left of it.
        NotFoundError: there is no such payment, or it is another merchant's.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    notes.refuse_nul(request.reason, "reason")
    now = datetime.now(UTC)
    understood, request_hash = idempotency.fingerprint(sealer, f"/payments/{payment_id}/refunds", request)
    refund = Refund(
        id=ids.new("rfnd"),
        payment_id=payment_id,
        amount=0,
        reason=request.reason,
        status="pending",
        version=1,
        created_at=now,
    )
    head, mark, tail = msgspec.json.encode(refund).decode().partition('"amount":')
    item = merchant.scope | {
        "n": 0,
        "id": refund.id,
        "payment_id": payment_id,
        "amount": request.amount,
        "reason": request.reason,
        "created_at": now,
        "idempotency_key": key,
        "request_hash": request_hash,
        "head": head + mark,
        "tail": tail.removeprefix("0"),
        "event_id": ids.new("evt", spare=True),
        "event_time": int(now.timestamp()),
    }
    values = {"request": msgspec.json.encode(item).decode(), "merchant_id": merchant.merchant_id}
    refused = False
    for _ in range(_MAX_ROUNDS):
        (row,) = await fetch(conn, SQL["create_refund"], values)
        match row["verdict"]:
            case "created":
                return Answer(row["status"], row["body"].encode())
            case "replayed":
                return idempotency.replay(sealer, understood, row["stored_hash"], row["status"], row["body"])
            case "raced":
                # A duplicate was first, and this snapshot could not see its answer; the next one does.
                continue
            case verdict if key is None or refused:
                raise _refusal(verdict, payment_id, row["remaining"])
            case _:
                # Perhaps it was a duplicate that left too little, while this one waited at the lock: look once more.
                refused = True
    raise AssertionError


async def get(conn: Connection, merchant: Merchant, refund_id: str) -> Refund:
    """Read one refund.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    rows = await fetch(conn, SQL["get_refund"], merchant.scope | {"id": refund_id})
    if not rows:
        raise NotFoundError(f"refund {refund_id} does not exist")
    return from_row(rows[0])


def from_row(row: dict[str, Any]) -> Refund:
    """A row of the `refunds` queries as it is shown; columns named like the fields."""
    return msgspec.convert(row, Refund)


def _refusal(verdict: str, payment_id: str, remaining: int | None) -> LedgateError:
    if verdict == "payment_unknown":
        return NotFoundError(f"payment {payment_id} does not exist")
    field, description = _REFUSALS[verdict]
    return BadRequestError(description.format(remaining=remaining), field=field, reason=verdict)
