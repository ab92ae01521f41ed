"""What is new since a page was shown: marks that change, asked for each second while somebody looks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dashboard.reading import SQL
from gateway import payments
from gateway.errors import NotFoundError
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.merchants import Merchant
    from gateway.payments import Payment
    from kit.db import Connection

_RECENT = 2 * 86_400  # seconds


async def of_payments(conn: Connection, merchant: Merchant) -> str:
    """A mark that changes with every event of a merchant's."""
    rows = await fetch(conn, SQL["newest_facts"], merchant.scope)
    return str(rows[0]["mark"])


async def of_payment(conn: Connection, merchant: Merchant, payment_id: str, deliveries: Sequence[str] = ()) -> str:
    """A mark that changes with a payment, with its refunds, and with some of its deliveries while they are open.

    Raises:
        NotFoundError: there is no such payment, or it is another merchant's.
    """
    values = merchant.scope | {"id": payment_id, "open": list(deliveries)}
    rows = await fetch(conn, SQL["payment_mark"], values)
    if not rows:
        raise NotFoundError(f"payment {payment_id} does not exist")
    return str(rows[0]["mark"])


async def of_log(conn: Connection, merchant: Merchant) -> str:
    """A mark that changes when anything does that the delivery log shows of the last two days, or of what is open."""
    since = ids.lower_bound("dlv", max(0.0, time.time() - _RECENT))
    rows = await fetch(conn, SQL["log_mark"], merchant.scope | {"since_id": since})
    return str(rows[0]["mark"])


async def of_delivery(conn: Connection, merchant: Merchant, delivery_id: str) -> str:
    """A mark that changes with every step of one delivery.

    Raises:
        NotFoundError: there is no such delivery, or it is another merchant's.
    """
    rows = await fetch(conn, SQL["delivery_mark"], merchant.scope | {"id": delivery_id})
    if not rows:
        raise NotFoundError(f"delivery {delivery_id} does not exist")
    return str(rows[0]["mark"])


async def again(conn: Connection, merchant: Merchant, payment_ids: Sequence[str]) -> list[Payment]:
    """Payments that a page shows, as they are by now; those that there are."""
    rows = await fetch(conn, SQL["payments_again"], merchant.scope | {"ids": list(payment_ids)}) if payment_ids else []
    return [payments.from_row(row, merchant) for row in rows]
