"""Orders: what is to be paid."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway import idempotency, listing, notes
from gateway.errors import BadRequestError, NotFoundError
from gateway.idempotency import Answer
from gateway.merchants import SQL
from gateway.money import CURRENCIES, Amount, Currency
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.listing import Paging
    from gateway.merchants import Merchant
    from kit.db import Connection
    from kit.seal import Sealer

ID_PATTERN = "^[A-Za-z0-9_.-]{1,64}$"
ID = re.compile(ID_PATTERN.rstrip("$") + r"\Z")
OrderId = Annotated[str, Meta(pattern=ID_PATTERN, description="Ours, or your own reference", examples=["order_123"])]
OrderStatus = Literal["created", "attempted", "paid"]


class CreateOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to open."""

    amount: Amount
    currency: Currency
    receipt: Annotated[str, Meta(max_length=40, extra_json_schema=notes.NO_NUL)] | None = None
    notes: notes.Notes | None = None
    reusable: bool = False
    """May be paid many times: donations, demos."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the API and `order.paid` show it. Amounts in minor units, times in UTC."""

    id: str
    amount: int
    amount_paid: int
    amount_due: int
    currency: str
    receipt: str | None
    notes: dict[str, str]
    reusable: bool
    status: OrderStatus
    attempts: int
    """Payments that came to an end, successful or failed."""
    version: int
    """Counts the order's changes, from 1: what has a higher one is newer."""
    created_at: datetime


class OrderPage(listing.Page, frozen=True, kw_only=True):
    """A page of orders, newest first."""

    data: list[Order]


class OrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; times are UTC, `created_to` is exclusive."""

    status: OrderStatus | None = None
    receipt: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


def check_currency(currency: str | None) -> None:
    """Raises `BadRequestError` for a code that ISO 4217 does not list."""
    if currency is not None and currency not in CURRENCIES:
        raise BadRequestError(f"currency {currency} is not known", field="currency", reason="currency_unknown")


async def create(
    conn: Connection, merchant: Merchant, request: CreateOrder, *, key: str | None, sealer: Sealer
) -> Answer:
    """Open an order: one statement, one commit. `conn` autocommits.

    Raises:
        BadRequestError: an unknown currency, NUL characters.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    check_currency(request.currency)
    notes.refuse_nul(request.receipt, "receipt")
    notes.refuse_nul_in_notes(request.notes)
    now = datetime.now(UTC)
    order = Order(
        id=ids.new("order"),
        amount=request.amount,
        amount_paid=0,
        amount_due=request.amount,
        currency=request.currency,
        receipt=request.receipt,
        notes=notes.in_javascript_order(request.notes or {}),
        reusable=request.reusable,
        status="created",
        attempts=0,
        version=1,
        created_at=now,
    )
    understood, request_hash = idempotency.fingerprint(sealer, "/orders", request)
    item = {
        "n": 0,
        "bucket": merchant.bucket,
        "merchant_id": merchant.merchant_id,
        "id": order.id,
        "amount": order.amount,
        "currency": order.currency,
        "receipt": order.receipt,
        "notes": notes.encode(request.notes),
        "reusable": order.reusable,
        "created_at": now,
        "idempotency_key": key,
        "request_hash": request_hash,
        "body": msgspec.json.encode(order).decode(),
    }
    values = {"batch": msgspec.json.encode([item]).decode(), "merchant_id": merchant.merchant_id}
    (row,) = await fetch(conn, SQL["create_orders"], values)
    body, status, stored_hash = row["body"], row["status"], row["stored_hash"]
    if row["verdict"] == "raced" and key is not None:
        found = await idempotency.read_answer(conn, merchant, key)
        assert found is not None  # noqa: S101 - we waited for that very row
        stored_hash, status, body = found
    if row["verdict"] == "created":
        return Answer(status, body.encode())
    return idempotency.replay(sealer, understood, stored_hash, status, body)


async def get(conn: Connection, merchant: Merchant, order_id: str) -> Order:
    """Read one order.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    rows = await fetch(conn, SQL["get_order"], merchant.scope | {"id": order_id})
    if not rows:
        raise NotFoundError(f"order {order_id} does not exist")
    return from_row(rows[0])


async def page(conn: Connection, merchant: Merchant, where: OrderFilter, paging: Paging) -> OrderPage:
    """Read a page, newest first.

    Raises:
        BadRequestError: a cursor that is none, or the id of no order.
    """
    listing.check(paging, ID)
    notes.refuse_nul(where.receipt, "receipt")
    filters = listing.narrow(msgspec.structs.asdict(where))
    found = await listing.read(conn, merchant, ("gateway", "list_orders"), paging, filters)
    if not found.rows:
        await listing.check_known(conn, merchant, SQL["get_order"], paging)
    return OrderPage(data=[from_row(row) for row in found.rows], **found.place)


def from_row(row: dict[str, Any]) -> Order:
    """A row of the `orders` queries as it is shown; a reusable order stays due in full."""
    due = row["amount"] if row["reusable"] else row["amount"] - row["amount_paid"]
    return msgspec.convert(row | {"amount_due": due, "notes": msgspec.json.decode(row["notes"])}, Order)
