"""Payments: started with one statement and one commit, whatever they owe to whom."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
import psycopg
from msgspec import Meta

from gateway import idempotency, instruments, listing, notes
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from gateway.idempotency import Answer
from gateway.instruments import CardInput, Flow, Method
from gateway.merchants import SQL
from gateway.money import Amount, Currency
from gateway.orders import OrderId, check_currency
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.instruments import Card
    from gateway.listing import Paging
    from gateway.merchants import Merchant
    from kit.db import Connection
    from kit.seal import Sealer

PaymentStatus = Literal["pending", "success", "failed"]

MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    "pending": frozenset({"success", "failed"}),
    "success": frozenset(),
    "failed": frozenset(),
}
"""From which status to which; the settling statement's compare-and-set holds the same."""

ID = ids.pattern("pay")
_MAX_RACES = 5
_REFUSALS = {
    "order_paid": ("order_id", "the order has been paid"),
    "amount_differs": ("amount", "amount is not the order's"),
    "currency_differs": ("currency", "currency is not the order's"),
    "currency_not_upi": ("currency", "UPI pays in INR only"),
}
"""Verdict of the statement -> the field to blame, and why."""


class CreatePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A try to pay an order."""

    order_id: OrderId
    method: Method
    amount: Amount | None = None
    """The order's, when the order is known; with `currency`, opens an order that is not."""
    currency: Currency | None = None
    vpa: Annotated[str, Meta(extra_json_schema={"pattern": instruments.VPA_PATTERN})] | None = None
    """`handle@psp`; needed for the collect flow."""
    flow: Flow | None = None
    """UPI: `collect` (default), `intent` or `qr`; the last two answer with a deep link."""
    card: CardInput | None = None
    notes: notes.Notes | None = None


class CardView(msgspec.Struct, frozen=True):
    """What may be shown of a card."""

    brand: str
    last4: str


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment as the API and the events show it. Amounts in minor units, times in UTC."""

    # `amount`, `currency` and the link come first, in this order: the write path cuts the text at them.
    id: str
    order_id: str
    amount: int
    currency: str
    deep_link: str | None = None
    """UPI intent and QR, while the payment is pending."""
    method: Method
    flow: Flow | None = None
    vpa: str | None = None
    card: CardView | None = None
    status: PaymentStatus
    error_code: str | None = None
    error_description: str | None = None
    captured: bool
    amount_captured: int = 0
    amount_refunded: int
    notes: dict[str, str]
    version: int
    """Counts the payment's changes, from 1: what has a higher one is newer."""
    created_at: datetime
    updated_at: datetime | None = None


class PaymentPage(listing.Page, frozen=True, kw_only=True):
    """A page of payments, newest first."""

    data: list[Payment]


class PaymentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; times are UTC, `created_to` is exclusive."""

    status: PaymentStatus | None = None
    order_id: str | None = None
    method: Method | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


class Draft(NamedTuple):
    """A checked request on its way into the batch."""

    item: dict[str, Any]
    understood: bytes


class Verdict(NamedTuple):
    """What the batch statement says of one request."""

    n: int
    verdict: str
    body: str | None
    status: int | None
    stored_hash: str | None


def draft(merchant: Merchant, request: CreatePayment, *, key: str | None, sealer: Sealer, now: datetime) -> Draft:
    """Check a request as far as it can be without the database, and prepare everything that it will write.

    Raises:
        BadRequestError: what is wrong, and where.
    """
    card = _check(request, now)
    payment_id = ids.new("pay")
    link = None
    if request.method == "upi" and request.flow in ("intent", "qr"):
        link = instruments.upi_link(
            merchant_id=merchant.merchant_id, merchant_name=merchant.name, payment_id=payment_id
        )
    payment = Payment(
        id=payment_id,
        order_id=request.order_id,
        amount=0,
        currency="",
        deep_link=link,
        method=request.method,
        flow=(request.flow or "collect") if request.method == "upi" else None,
        vpa=request.vpa,
        card=CardView(card.brand, card.last4) if card else None,
        status="pending",
        captured=False,
        amount_refunded=0,
        notes=notes.in_javascript_order(request.notes or {}),
        version=1,
        created_at=now,
    )
    head, middle, tail = _cut(payment)
    understood, request_hash = idempotency.fingerprint(sealer, "/payments", request)
    item = {
        "bucket": merchant.bucket,
        "merchant_id": merchant.merchant_id,
        "id": payment_id,
        "order_id": request.order_id,
        "amount": request.amount,
        "currency": request.currency,
        "method": request.method,
        "vpa": request.vpa,
        "flow": payment.flow,
        "card_brand": card.brand if card else None,
        "card_last4": card.last4 if card else None,
        "sealed_instrument": _seal(sealer, payment_id, card) if card else None,
        "notes": notes.encode(request.notes),
        "created_at": now,
        "idempotency_key": key,
        "request_hash": request_hash,
        "head": head,
        "middle": middle,
        "tail": tail,
        "created_event": ids.new("evt", spare=True),
        "pending_event": ids.new("evt", spare=True),
        "event_time": int(now.timestamp()),
    }
    return Draft(item, understood)


async def create_batch(conn: Connection, drafts: Sequence[Draft]) -> list[Verdict]:
    """Start payments with one statement and one commit; answers in the order of `drafts`.

    All are of one merchant; no two drafts may carry the same key, nor open the same order. `conn` autocommits.
    """
    batch = msgspec.json.encode([one.item | {"n": n} for n, one in enumerate(drafts)]).decode()
    for race in range(_MAX_RACES):
        try:
            rows = await fetch(
                conn, SQL["create_payments"], {"batch": batch, "merchant_id": drafts[0].item["merchant_id"]}
            )
            return sorted(Verdict(**row) for row in rows)
        except psycopg.errors.UniqueViolation as error:
            # Another request opened the same order first, and has committed: the next snapshot sees its order.
            if error.diag.constraint_name != "orders_pkey" or race == _MAX_RACES - 1:
                raise
    raise AssertionError


async def create(
    conn: Connection, merchant: Merchant, request: CreatePayment, *, key: str | None, sealer: Sealer
) -> Answer:
    """Start a payment. `conn` autocommits.

    Raises:
        BadRequestError: the request is wrong, or its order refuses it.
        NotFoundError: the order is not known, and there is no amount and currency to open it with.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    one = draft(merchant, request, key=key, sealer=sealer, now=datetime.now(UTC))
    (answer,) = await create_batch(conn, [one])
    if answer.verdict == "raced" and key is not None:
        found = await idempotency.read_answer(conn, merchant, key)
        assert found is not None  # noqa: S101 - we waited for that very row
        return idempotency.replay(sealer, one.understood, *found)
    return finish(answer, one, sealer)


def finish(answer: Verdict, one: Draft, sealer: Sealer) -> Answer:
    """Turn the statement's verdict into what the merchant is answered.

    Raises:
        LedgateError: what the verdict refuses.
    """
    if answer.verdict == "created" and answer.body is not None and answer.status is not None:
        return Answer(answer.status, answer.body.encode())
    if answer.stored_hash and answer.body is not None and answer.status is not None:
        return idempotency.replay(sealer, one.understood, answer.stored_hash, answer.status, answer.body)
    raise _refusal(answer.verdict, one.item["order_id"])


def _refusal(verdict: str, order_id: str) -> LedgateError:
    if verdict == "order_unknown":
        description = f"order {order_id} does not exist; send amount and currency to open it"
        return NotFoundError(description, field="order_id")
    field, description = _REFUSALS[verdict]
    return BadRequestError(description, field=field, reason=verdict)


async def get(conn: Connection, merchant: Merchant, payment_id: str) -> Payment:
    """Read one payment.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    rows = await fetch(conn, SQL["get_payment"], merchant.scope | {"id": payment_id})
    if not rows:
        raise NotFoundError(f"payment {payment_id} does not exist")
    return from_row(rows[0], merchant)


async def page(conn: Connection, merchant: Merchant, where: PaymentFilter, paging: Paging) -> PaymentPage:
    """Read a page, newest first.

    Raises:
        BadRequestError: a cursor that is no payment's id.
    """
    listing.check(paging, ID)
    filters = listing.narrow({"status": where.status, "order_id": where.order_id, "method": where.method})
    filters |= listing.created_range("pay", where.created_from, where.created_to)
    name = "list_payments"
    if where.status == "pending":
        name = "list_pending_payments"
        del filters["status"]
    found = await listing.read(conn, merchant, ("gateway", name), paging, filters)
    return PaymentPage(data=[from_row(row, merchant) for row in found.rows], **found.place)


def from_row(row: dict[str, Any], merchant: Merchant) -> Payment:
    """A row of the `payments` queries as it is shown."""
    link = None
    if row["status"] == "pending" and row["flow"] in ("intent", "qr"):
        link = instruments.upi_link(merchant_id=merchant.merchant_id, merchant_name=merchant.name, payment_id=row["id"])
        link += f"{row['amount'] // 100}.{row['amount'] % 100:02}"
    shown = {
        "deep_link": link,
        "card": {"brand": row["card_brand"], "last4": row["card_last4"]} if row["card_brand"] else None,
        "captured": row["amount_captured"] > 0,
        "notes": msgspec.json.decode(row["notes"]),
        "updated_at": row["updated_at"] if row["updated_at"] != row["created_at"] else None,
    }
    return msgspec.convert(row | shown, Payment)


def _check(request: CreatePayment, now: datetime) -> Card | None:
    check_currency(request.currency)
    notes.refuse_nul_in_notes(request.notes)
    if request.method == "card":
        if request.card is None:
            raise BadRequestError("a card payment needs card", field="card", reason="card_missing")
        if request.vpa is not None or request.flow is not None:
            field = "vpa" if request.vpa is not None else "flow"
            raise BadRequestError(f"a card payment has no {field}", field=field, reason="field_not_of_method")
        notes.refuse_nul(request.card.name, "card.name")
        return instruments.check_card(request.card, now)
    if request.card is not None:
        raise BadRequestError("a UPI payment has no card", field="card", reason="field_not_of_method")
    if request.vpa is not None:
        instruments.check_vpa(request.vpa)
    elif request.flow in (None, "collect"):
        raise BadRequestError("the collect flow needs vpa", field="vpa", reason="vpa_missing")
    return None


def _cut(payment: Payment) -> tuple[str, str, str]:
    """The payment's JSON without amount, currency and the link's amount: three parts that SQL joins with them.

    Everything before those places is ours or matches `ID_PATTERN`, so the first match is the right one.
    """
    text = msgspec.json.encode(payment).decode()
    head, _, rest = text.partition('0,"currency":""')
    if payment.deep_link is None:
        return head, rest, ""
    middle, mark, tail = rest.partition("&am=")
    return head, middle + mark, tail


def _seal(sealer: Sealer, payment_id: str, card: Card) -> str:
    plain = msgspec.json.encode(
        {
            "number": card.number,
            "month": card.expiry_month,
            "year": card.expiry_year,
            "cvv": card.cvv,
            "name": card.name,
        }
    )
    return base64.b64encode(sealer.seal(plain, context=f"payment:{payment_id}")).decode()
