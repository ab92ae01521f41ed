"""Refunds, a page at a time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from gateway import listing, payments, refunds
from gateway.refunds import Refund, RefundStatus
from kit import ids

if TYPE_CHECKING:
    from gateway.listing import Paging
    from gateway.merchants import Merchant
    from kit.db import Connection

_ID = ids.pattern("rfnd")


class RefundPage(listing.Page, frozen=True, kw_only=True):
    """A page of refunds, newest first."""

    data: list[Refund]


class RefundFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; times are UTC, `created_to` is exclusive."""

    status: RefundStatus | None = None
    payment_id: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


async def page(conn: Connection, merchant: Merchant, where: RefundFilter, paging: Paging) -> RefundPage:
    """Read a page, newest first.

    Raises:
        BadRequestError: a cursor that is no refund's id.
    """
    listing.check(paging, _ID)
    filters = listing.narrow({"status": where.status, "payment_id": where.payment_id})
    filters |= listing.created_range("rfnd", where.created_from, where.created_to)
    name = "list_refunds"
    if where.status == "pending":
        name = "list_pending_refunds"
        del filters["status"]
    found = await listing.read(conn, merchant, ("gateway", name), paging, filters)
    return RefundPage(data=[refunds.from_row(row) for row in found.rows], **found.place)


async def of_payment(conn: Connection, merchant: Merchant, payment_id: str, paging: Paging) -> RefundPage:
    """Read a page of one payment's refunds, newest first.

    Raises:
        BadRequestError: a cursor that is no refund's id.
        NotFoundError: there is no such payment, or it is another merchant's.
    """
    found = await page(conn, merchant, RefundFilter(payment_id=payment_id), paging)
    if not found.data:
        await payments.get(conn, merchant, payment_id)
    return found
