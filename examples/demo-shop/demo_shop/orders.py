"""The shop's orders. Nothing but a verified webhook makes one paid."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demo_shop.catalogue import CURRENCY

if TYPE_CHECKING:
    from demo_shop.cart import Cart

KEPT_ORDERS = 1000
"""In memory, about 1 kB each; the oldest is forgotten first. A real shop has a table."""
REMEMBERED_IDS = 10_000
"""Webhooks already acted on. A real shop makes this a unique column, written in the transaction that packs."""

log = logging.getLogger("demo_shop")


@dataclass(slots=True)
class Order:
    """What somebody wants, at the prices of that moment."""

    id: str
    """In the address of its page: too long to be guessed."""
    cart: Cart
    gateway_id: str
    """The gateway's name for it."""
    placed_at: float = field(default_factory=time.time)
    paid_at: float | None = None
    """Unix seconds at which the webhook came; with it the tins are packed."""
    refused: str | None = None
    """What the bank said of the last try that failed."""

    @property
    def number(self) -> str:
        """As people say it."""
        return number(self.cart)


class Orders:
    """The newest orders, by our name and by the gateway's."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._by_gateway_id: dict[str, Order] = {}
        self._seen: dict[str, None] = {}  # a dict keeps its order: the oldest id is forgotten

    def find(self, order_id: str) -> Order | None:
        """The order of that name, unless it is too long ago."""
        return self._orders.get(order_id)

    def place(self, cart: Cart, gateway_id: str) -> Order:
        """Keep an order; one of the same basket is the same order."""
        order = self._orders.setdefault(cart.key, Order(cart.key, cart, gateway_id))
        self._by_gateway_id[order.gateway_id] = order
        while len(self._orders) > KEPT_ORDERS:
            oldest = self._orders.pop(next(iter(self._orders)))
            self._by_gateway_id.pop(oldest.gateway_id, None)
        return order

    def hear(self, webhook_id: str, event: dict[str, Any]) -> str:
        """Act on one verified event, once, in whatever order they come; says what became of it.

        Ask what is true now rather than which event it was: `order.paid` may be the first that we hear of a success.
        """
        if webhook_id in self._seen:
            return "a duplicate"
        outcome = self._act(event)
        self._seen[webhook_id] = None
        if len(self._seen) > REMEMBERED_IDS:
            del self._seen[next(iter(self._seen))]
        return outcome

    def _act(self, event: dict[str, Any]) -> str:
        data = event.get("data") or {}
        if event.get("test"):
            return "a test"
        if paid := data.get("order"):
            return self._settle(paid.get("id"), paid.get("status") == "paid", paid)
        if payment := data.get("payment"):
            return self._settle(payment.get("order_id"), payment.get("status") == "success", payment)
        return "nothing for us"

    def _settle(self, gateway_id: Any, paid: bool, told: dict[str, Any]) -> str:  # noqa: FBT001
        order = self._by_gateway_id.get(gateway_id)
        if order is None:
            return "no order of ours"
        if order.paid_at is not None:
            return "known"  # whatever comes late: a payment that failed before cannot undo it
        if not paid:
            order.refused = str(told.get("error_description") or "The payment did not go through.")
            return f"order {order.number}: not paid"
        if (told.get("amount"), told.get("currency")) != (order.cart.total, CURRENCY):
            # The gateway would have refused it; a shop looks at the money all the same.
            return f"order {order.number}: another amount than ours, somebody has to look at it"
        order.paid_at, order.refused = time.time(), None
        return f"order {order.number}: paid, to be packed"


def number(cart: Cart) -> str:
    """The order's number as people say it; it also goes to the gateway, as the receipt."""
    return f"CP-{cart.key[:6].upper()}"
