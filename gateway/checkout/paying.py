"""See and pay one order: what stands is read from the database, and one payment of an order is in flight at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from gateway import idempotency, payments
from gateway.errors import NotFoundError, RateLimitedError
from gateway.instruments import VPA_PATTERN, CardInput, Flow, Method
from gateway.merchants import SQL
from gateway.payments import CreatePayment, Payment
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.checkout.sessions import Session
    from gateway.merchants import Merchant
    from kit.db import Connection
    from kit.seal import Sealer

_DECLINED, _DECLINED_REUSABLE = 20, 100  # cards an hour: of somebody who pays, and half of all who may
_HOUR = 3600


class Pay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the shopper pays. What is paid is the order's amount, and not the page's to say."""

    method: Method
    vpa: Annotated[str, Meta(extra_json_schema={"pattern": VPA_PATTERN})] | None = None
    flow: Flow | None = None
    card: CardInput | None = None


class Checkout(msgspec.Struct, frozen=True):
    """An order as the checkout shows it."""

    id: str
    amount: int
    """Minor units."""
    currency: str
    reusable: bool
    status: str
    name: str
    """The merchant's."""
    checkout_origins: list[str]
    """Where the merchant's pages may show it in a frame."""


class Started(msgspec.Struct, frozen=True):
    """What a try to pay came to."""

    payment: Payment
    new: bool
    """Whether this try made it: if not, it was there already."""


async def look(conn: Connection, merchant: Merchant, order_id: str) -> Checkout:
    """Read an order.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    rows = await fetch(conn, SQL["get_checkout"], merchant.scope | {"id": order_id})
    if not rows:
        raise NotFoundError("there is no such order")
    return msgspec.convert(rows[0], Checkout)


async def stands(conn: Connection, merchant: Merchant, order: Checkout, payment_id: str) -> Payment | None:
    """The payment that the page has to show, if any.

    Of an order that is paid once: the one that paid it or is in flight, whatever tab or session began it; else the
    session's own, which has failed. Of an order that many may pay: the session's own, since all others are other
    people's.

    Args:
        conn: a connection.
        merchant: whose order it is.
        order: which.
        payment_id: the session's own, or nothing.
    """
    if not order.reusable:
        rows = await fetch(conn, SQL["get_deciding_payment"], merchant.scope | {"order_id": order.id})
        if rows:
            return payments.from_row(rows[0], merchant)
    return await payments.get(conn, merchant, payment_id) if payment_id else None


async def pay(
    conn: Connection, merchant: Merchant, session: Session, request: Pay, *, attempt: str, sealer: Sealer, earnest: bool
) -> Started:
    """Start a payment of the session's order, unless one is in flight, or has paid it, or is this very attempt's.

    A double click, a second tab, a reload and a request that is sent again all find the one that is there. An order
    that many may pay has one in flight for each session.

    Args:
        conn: within a transaction; whoever pays the same order waits for its end.
        merchant: whose order it is.
        session: whose page it is.
        request: how it is paid.
        attempt: counts the session's tries; the same one again is the same payment, whatever else it says.
        sealer: seals what the processor needs.
        earnest: money moves, so that cards may be tried out here.

    Raises:
        BadRequestError: the card or UPI address cannot be right, or the order takes no such payment.
        NotFoundError: the order is gone.
        RateLimitedError: too many cards were declined.
    """
    order = await look(conn, merchant, session.order_id)
    place = f"{merchant.merchant_id}/{session.id if order.reusable else order.id}"
    await fetch(conn, SQL["lock_checkout"], {"place": place})
    key = f"checkout:{session.id}:{attempt}"
    if known := await idempotency.read_answer(conn, merchant, key):
        made = msgspec.json.decode(known[2], type=_Made)
        return Started(await payments.get(conn, merchant, made.id), new=False)
    there = await stands(conn, merchant, order, session.payment_id)
    if there is not None and (there.status == "pending" or (there.status == "success" and not order.reusable)):
        return Started(there, new=False)
    if earnest and request.method == "card":
        await _check_declined(conn, merchant, order)
    wanted = CreatePayment(
        order_id=order.id, method=request.method, vpa=request.vpa, flow=request.flow, card=request.card
    )
    # The order is there, so it cannot be opened by two at once: the statement may stand in a transaction.
    answer = await payments.create(conn, merchant, wanted, key=key, sealer=sealer)
    return Started(msgspec.json.decode(answer.body, type=Payment), new=True)


async def _check_declined(conn: Connection, merchant: Merchant, order: Checkout) -> None:
    """From whatever addresses they come, and whichever process is asked, the order has so many; other ways stay open.

    Raises:
        RateLimitedError: for now.
    """
    most = _DECLINED_REUSABLE if order.reusable else _DECLINED
    (row,) = await fetch(conn, SQL["count_declined_cards"], merchant.scope | {"order_id": order.id})
    if row["declined"] >= most:
        description = f"too many cards were declined: {most} within an hour"
        raise RateLimitedError(description, retry_after=_HOUR // 6, rate=(most, 0, _HOUR))


class _Made(msgspec.Struct, frozen=True):
    id: str
