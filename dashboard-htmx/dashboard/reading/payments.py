"""Payments: a list with filters, a search by whatever a customer can name."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dashboard.reading import SQL
from gateway import listing, payments, refunds
from gateway.errors import NotFoundError
from gateway.instruments import Method
from gateway.payments import Payment, PaymentPage, PaymentStatus
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.listing import Paging
    from gateway.merchants import Merchant
    from kit.db import Connection

_REFUND = ids.pattern("rfnd")
_LAST4 = re.compile(r"[0-9]{4}\Z")
_HANDLE = re.compile(r"[A-Za-z0-9._-]{2,256}@?\Z")
_VPA = re.compile(r"[A-Za-z0-9._-]{1,256}@[A-Za-z0-9.]{1,64}\Z")
_ORDER = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")

SHOWN = 20
"""Payments of each kind of match."""


class PaymentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the list is narrowed to; what is given holds together. Times UTC, `created_to` exclusive."""

    status: PaymentStatus | None = None
    method: Method | None = None
    order_id: str | None = None
    instrument: str | None = None
    """A whole UPI address in whatever case, or a card's last four."""
    currency: str | None = None
    amount_from: int | None = None
    """Minor units, of whichever currency; both ends inclusive."""
    amount_to: int | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


Kind = Literal["payment", "refund", "order", "receipt", "vpa", "handle", "last4"]


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found in one way: at most 20 payments, newest first."""

    by: Kind
    value: str
    """What was looked for: the order's id, the whole address, the last four."""
    payments: list[Payment]
    more: bool
    """There are, or may be, others."""
    filter: PaymentFilter | None
    """The list that has all of them; None where there is none."""


async def page(conn: Connection, merchant: Merchant, where: PaymentFilter, paging: Paging) -> PaymentPage:
    """Read a page of payments, newest first; `gateway.listing` tells how pages go on.

    Raises:
        BadRequestError: a cursor that is no payment's id.
    """
    listing.check(paging, payments.ID)
    filters = listing.narrow(
        {
            "status": where.status,
            "order_id": where.order_id,
            "instrument": where.instrument.lower() if where.instrument else None,
            "method": where.method,
            "currency": where.currency,
            "amount_from": where.amount_from,
            "amount_to": where.amount_to,
        }
    ) | listing.created_range("pay", where.created_from, where.created_to)
    name = "list_payments" if where.instrument is None else "list_payments_of_instrument"
    if where.status == "pending":
        name = "list_pending_payments"
        del filters["status"]
    found = await listing.read(conn, merchant, ("dashboard", name), paging, filters)
    return PaymentPage(data=[payments.from_row(row, merchant) for row in found.rows], **found.place)


async def search(conn: Connection, merchant: Merchant, text: str) -> list[Match]:
    """Find payments by what somebody has at hand, in every way in which `text` can be read.

    The id of a payment or refund, an order's id, an order's receipt, a UPI address or how one begins (at least two
    characters), a card's last four digits. The surest way first; a payment stands in one match only. What nothing
    matches, and another merchant's, gives an empty list.
    """
    text = text.strip()
    ways = [_by_id, _by_order, _by_receipt, _by_instrument, _by_handle]
    matches: list[Match] = []
    seen: set[str] = set()
    for way in ways:
        for match in await way(conn, merchant, text):
            fresh = [one for one in match.payments if one.id not in seen]
            seen.update(one.id for one in fresh)
            if fresh:
                matches.append(msgspec.structs.replace(match, payments=fresh))
    return matches


async def _by_id(conn: Connection, merchant: Merchant, text: str) -> list[Match]:
    by: Kind = "payment"
    payment_id = text
    try:
        if _REFUND.match(text):
            by, payment_id = "refund", (await refunds.get(conn, merchant, text)).payment_id
        elif not payments.ID.match(text):
            return []
        found = await payments.get(conn, merchant, payment_id)
    except NotFoundError:
        return []
    return [Match(by=by, value=text, payments=[found], more=False, filter=None)]


async def _by_order(conn: Connection, merchant: Merchant, text: str) -> list[Match]:
    return await _listed(conn, merchant, "order", text, PaymentFilter(order_id=text)) if _ORDER.match(text) else []


async def _by_receipt(conn: Connection, merchant: Merchant, text: str) -> list[Match]:
    if not text or len(text) > 40:  # noqa: PLR2004 - `CreateOrder.receipt`
        return []
    orders = await fetch(conn, SQL["search_receipts"], merchant.scope | {"receipt": text})
    matches = []
    for order in orders:
        matches += await _listed(conn, merchant, "receipt", text, PaymentFilter(order_id=order["id"]))
    return matches


async def _by_instrument(conn: Connection, merchant: Merchant, text: str) -> list[Match]:
    if _LAST4.match(text):
        return await _listed(conn, merchant, "last4", text, PaymentFilter(instrument=text, method="card"))
    if _VPA.match(text):
        return await _listed(conn, merchant, "vpa", text.lower(), PaymentFilter(instrument=text))
    return []


async def _by_handle(conn: Connection, merchant: Merchant, text: str) -> list[Match]:
    if not _HANDLE.match(text):
        return []
    low = text.lower()
    values = merchant.scope | {"low": low, "high": low[:-1] + chr(ord(low[-1]) + 1), "limit": SHOWN + 1}
    rows = await fetch(conn, SQL["search_handles"], values)
    found = [payments.from_row(row, merchant) for row in rows if row["vpa"] is not None]
    return [Match(by="handle", value=low, payments=found[:SHOWN], more=len(rows) > SHOWN, filter=None)]


async def _listed(conn: Connection, merchant: Merchant, by: Kind, value: str, where: PaymentFilter) -> list[Match]:
    found: Any = await page(conn, merchant, where, listing.Paging(limit=SHOWN))
    return [Match(by=by, value=value, payments=found.data, more=found.has_more, filter=where)]
