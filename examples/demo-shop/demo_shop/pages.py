"""What the shop shows. Everything that is put into a template is escaped, but for our own drawings and parts."""

from __future__ import annotations

import functools
import html
import json
import time
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from demo_shop.art import HILLS, tin
from demo_shop.cart import MOST_OF_ONE
from demo_shop.catalogue import DELIVERY_FREE_FROM, TEAS, rupees

if TYPE_CHECKING:
    from demo_shop.cart import Cart, Line
    from demo_shop.catalogue import Tea
    from demo_shop.orders import Order


class Made(str):
    """HTML of our own making, which is not escaped again."""

    __slots__ = ()


class Pages:
    """The shop's pages, for one gateway."""

    def __init__(self, checkout_url: str, key: str) -> None:
        self._checkout_url = checkout_url
        self._key = key

    def home(self, cart: Cart, *, closed: str | None = None) -> str:
        """Everything there is to buy."""
        shelf = Made("".join(_card(tea, cart.quantity(tea.slug)) for tea in TEAS.values()))
        body = _fill("home", hills=Made(HILLS), shelf=shelf, free_from=rupees(DELIVERY_FREE_FROM))
        return self._page("Teas from the Indian hills", body, cart, closed)

    def basket(self, cart: Cart, *, closed: str | None = None) -> str:
        """What the shopper is about to buy."""
        if not cart.lines:
            return self._page("Your basket", _fill("empty"), cart, closed)
        missing = DELIVERY_FREE_FROM - cart.goods
        body = _fill(
            "basket",
            lines=Made("".join(_line(line) for line in cart.lines)),
            sums=_sums(cart),
            hint=f"{rupees(missing)} more, and delivery is free." if missing > 0 else "Packed the day you order.",
            total=rupees(cart.total),
            disabled=Made("disabled" if closed else ""),
        )
        return self._page("Your basket", body, cart, closed)

    def order(self, order: Order, cart: Cart, *, thanked: bool) -> str:
        """An order and how it stands; `thanked` comes from the checkout, and proves nothing."""
        body = _fill(
            "order",
            number=order.number,
            progress=self.progress(order, thanked=thanked),
            lines=Made("".join(_bought(line) for line in order.cart.lines)),
            sums=_sums(order.cart),
        )
        return self._page(f"Order {order.number}", body, cart)

    def progress(self, order: Order, *, thanked: bool) -> Made:
        """The part of the order's page that changes while one looks at it."""
        if order.paid_at is not None:
            at = Made(f'<time datetime="{_iso(order.paid_at)}">{_clock(order.paid_at)}</time>')
            return _fill("paid", at=at, total=rupees(order.cart.total))
        if thanked:
            return _fill("waiting", id=order.id)
        till = self.till(order)
        return _fill(
            "unpaid",
            refused=order.refused or "",
            hidden=Made("" if order.refused else "hidden"),
            total=rupees(order.cart.total),
            checkout=f"{self._checkout_url}/checkout",
            key=self._key,
            gateway_id=order.gateway_id,
            till=json.dumps(till),
        )

    def till(self, order: Order) -> dict[str, object]:
        """What a page needs to open the checkout: nothing of it is secret, and nothing decides what is paid."""
        return {
            "key": self._key,
            "orderId": order.gateway_id,
            "amount": order.cart.total,
            "description": f"{_named(order.cart)} · {order.number}",
            "page": f"/orders/{order.id}",
        }

    def trouble(self, cart: Cart, title: str, text: str) -> str:
        """Something that cannot be done, in words of ours."""
        return self._page(title, _fill("trouble", title=title, text=text), cart)

    def _page(self, title: str, body: Made, cart: Cart, closed: str | None = None) -> str:
        return _fill(
            "page",
            title=title,
            body=body,
            closed=closed or "",
            hide_closed=Made("" if closed else "hidden"),
            count=str(cart.count),
            hide_count=Made("" if cart.count else "hidden"),
            tins="empty" if not cart.count else "tin" if cart.count == 1 else "tins",
            sdk=f"{self._checkout_url}/checkout.js",
        )


def _named(cart: Cart) -> str:
    first, *others = cart.lines
    return first.tea.name + (f" and {len(others)} more" if others else "")


def _card(tea: Tea, quantity: int) -> Made:
    return _fill(
        "card",
        **_of(tea),
        add="Add one more" if quantity else "Add to basket",
        badge=f"{quantity} in basket" if quantity else "",
        more=str(min(quantity + 1, MOST_OF_ONE)),
        chosen="chosen" if quantity else "",
        disabled=Made("disabled" if quantity >= MOST_OF_ONE else ""),
    )


def _line(line: Line) -> Made:
    return _fill(
        "line",
        **_of(line.tea),
        quantity=str(line.quantity),
        less=str(line.quantity - 1),
        more=str(min(line.quantity + 1, MOST_OF_ONE)),
        less_label=f"One {line.tea.name} less" if line.quantity > 1 else f"Remove {line.tea.name}",
        most=Made("disabled" if line.quantity == MOST_OF_ONE else ""),
        sum=rupees(line.price),
    )


def _bought(line: Line) -> Made:
    return _fill("bought", **_of(line.tea), quantity=str(line.quantity), sum=rupees(line.price))


def _sums(cart: Cart) -> Made:
    delivery = rupees(cart.delivery) if cart.delivery else "free"
    return _fill("sums", goods=rupees(cart.goods), delivery=delivery, total=rupees(cart.total))


def _of(tea: Tea) -> dict[str, str]:
    facts = {name: getattr(tea, name) for name in ("slug", "name", "origin", "note", "weight")}
    return {**facts, "price": rupees(tea.price), "tin": Made(tin(tea))}


def _fill(template: str, /, **values: str) -> Made:
    safe = {name: value if isinstance(value, Made) else html.escape(value) for name, value in values.items()}
    return Made(_template(template).substitute(safe))


@functools.cache
def _template(name: str) -> Template:
    return Template(resources.files("demo_shop").joinpath("templates", f"{name}.html").read_text(encoding="utf-8"))


def _clock(at: float) -> str:
    return time.strftime("%H:%M UTC", time.gmtime(at))


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
