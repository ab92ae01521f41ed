"""Payments on their way through the processor: transaction, network, transaction; no transaction while it decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from psycopg.rows import dict_row

from gateway import payments
from gateway.facts import fact
from gateway.merchants import SQL
from gateway.orders import Order
from gateway.payments import CardView, Payment
from gateway.processors import Approved, Charge, Declined, Outcome
from kit.seal import SealError
from outbox.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.db import Connection
    from kit.seal import Sealer

ORDER_ALREADY_PAID = Declined("order_already_paid", "The order was paid by another payment before this one was taken")


class Ready(msgspec.Struct, frozen=True):
    """The processor may be asked. For an order payable once, this payment alone may be, until it is settled."""

    work: Work
    charge: Charge
    payment: Payment
    order: Order | None
    """The order, when it is paid in full by this payment."""


class TooLate(msgspec.Struct, frozen=True):
    """Another payment has paid the order; no money may be taken."""

    work: Work
    payment: Payment


class Busy(msgspec.Struct, frozen=True):
    """Another payment of the order is at the processor; wait for its end."""

    work: Work


class Sealed(msgspec.Struct, frozen=True):
    """What the processor needs cannot be opened: the operator's keys are wrong. It waits until they are mended."""

    work: Work
    reason: str


class Over(msgspec.Struct, frozen=True):
    """The payment has ended already, or is gone: there is nothing to do."""

    work: Work


Step: TypeAlias = Ready | TooLate | Busy | Sealed | Over


class Result(msgspec.Struct, frozen=True):
    """How a payment ended."""

    work: Work
    payment: Payment | None
    """As it was before; nothing but its settling changes a pending one. None for work that had nothing to do."""
    order: Order | None
    outcome: Outcome


async def begin(conn: Connection, works: Sequence[Work], sealer: Sealer) -> list[Step]:
    """Read claimed payments, and take their orders' one place at the processor, in one statement.

    `conn` autocommits, durably: the place must be taken before money can be.
    """
    batch = [{"n": n, "bucket": w.bucket, "merchant_id": w.merchant_id, "id": w.id} for n, w in enumerate(works)]
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["begin_processing"], {"batch": msgspec.json.encode(batch).decode()})
        rows = {row["n"]: row for row in await cursor.fetchall()}
    return [_step(work, rows.get(n), sealer) for n, work in enumerate(works)]


async def settle(conn: Connection, results: Sequence[Result], *, dispatcher: str) -> int:
    """Write ends down with their events, in one statement and one durable commit.

    Returns how many counted; the others had lost their lease.
    """
    now = datetime.now(UTC)
    items = [_item(n, result, now) for n, result in enumerate(results)]
    values = {
        "batch": msgspec.json.encode(items).decode(),
        "dispatcher": dispatcher,
        "writer": f"{dispatcher}/process",
    }
    return (await conn.execute(SQL["settle_payments"], values)).rowcount


def _step(work: Work, row: dict[str, Any] | None, sealer: Sealer) -> Step:
    if row is None or row["status"] != "pending":
        return Over(work)
    payment = Payment(
        id=work.id,
        order_id=row["order_id"],
        amount=row["amount"],
        currency=row["currency"],
        method=row["method"],
        flow=row["flow"],
        vpa=row["vpa"],
        card=CardView(row["card_brand"], row["card_last4"]) if row["card_brand"] else None,
        status="pending",
        captured=False,
        amount_refunded=0,
        notes=msgspec.json.decode(row["notes"]),
        version=row["version"],
        created_at=row["created_at"],
    )
    if not row["may_charge"]:
        return TooLate(work, payment) if row["order_status"] == "paid" else Busy(work)
    card_number = None
    if row["sealed_instrument"] is not None:
        try:
            plain = sealer.unseal(row["sealed_instrument"], context=f"payment:{work.id}")
        except SealError as error:
            return Sealed(work, str(error))
        card_number = msgspec.json.decode(plain)["number"]
    charge = Charge(
        payment_id=work.id,
        amount=payment.amount,
        currency=payment.currency,
        method=payment.method,
        vpa=payment.vpa,
        card_number=card_number,
    )
    return Ready(work, charge, payment, None if row["reusable"] else _paid_order(row))


def _paid_order(row: dict[str, Any]) -> Order:
    """The order as it will be once this payment has paid it; nobody else moves it meanwhile."""
    return Order(
        id=row["order_id"],
        amount=row["amount"],
        amount_paid=row["amount"],
        amount_due=0,
        currency=row["currency"],
        receipt=row["receipt"],
        notes=msgspec.json.decode(row["order_notes"]),
        reusable=False,
        status="paid",
        attempts=row["order_attempts"] + 1,
        version=row["order_version"] + 1,
        created_at=row["order_created_at"],
    )


def _item(n: int, result: Result, now: datetime) -> dict[str, object]:
    work, outcome = result.work, result.outcome
    approved = isinstance(outcome, Approved)
    status: payments.PaymentStatus = "success" if approved else "failed"
    facts = []
    if result.payment is not None:
        assert status in payments.MOVES[result.payment.status]  # noqa: S101 - the database checks it again
        ended = msgspec.structs.replace(
            result.payment,
            status=status,
            error_code=outcome.code if isinstance(outcome, Declined) else None,
            error_description=outcome.description if isinstance(outcome, Declined) else None,
            version=result.payment.version + 1,
            updated_at=now,
        )
        facts.append(fact(f"payment.{status}", "payment", ended, now))
        if approved and result.order is not None:
            facts.append(fact("order.paid", "order", result.order, now))
    return {
        "n": n,
        "bucket": work.bucket,
        "merchant_id": work.merchant_id,
        "work_id": work.id,
        "claims": work.claims,
        "status": status,
        "error_code": outcome.code if isinstance(outcome, Declined) else None,
        "error_description": outcome.description if isinstance(outcome, Declined) else None,
        "processor_ref": outcome.reference if isinstance(outcome, Approved) else None,
        "settled_at": now,
        "facts": facts,
    }
