"""A shopper's basket. It lives in the browser's cookie, so it holds names and numbers only; prices are added here."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from demo_shop.catalogue import DELIVERY, DELIVERY_FREE_FROM, TEAS, Tea

COOKIE = "basket"
MOST_OF_ONE = 9
_COOKIE = re.compile(r"(?P<id>[0-9a-f]{24})(?P<lines>(?:_[a-z]{1,20}-[1-9]){0,20})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """So many tins of one tea."""

    tea: Tea
    quantity: int

    @property
    def price(self) -> int:
        """Paise."""
        return self.tea.price * self.quantity


@dataclass(frozen=True, slots=True)
class Cart:
    """A basket: its own random name, and its lines."""

    id: str
    lines: tuple[Line, ...] = ()

    @classmethod
    def read(cls, cookie: str) -> Cart:
        """Take what the browser says if it is sound; else a new, empty one."""
        found = _COOKIE.match(cookie)
        if not found:
            return cls(secrets.token_hex(12))
        quantities = {}
        for entry in found["lines"].split("_")[1:]:
            slug, _, quantity = entry.partition("-")
            if slug in TEAS:
                quantities[slug] = int(quantity)
        return cls(found["id"], tuple(Line(TEAS[slug], quantity) for slug, quantity in quantities.items()))

    @property
    def cookie(self) -> str:
        """The other way round."""
        return "_".join([self.id, *(f"{line.tea.slug}-{line.quantity}" for line in self.lines)])

    def with_quantity(self, slug: str, quantity: int) -> Cart:
        """The same with so many of one tea, 0 to 9; its place stays.

        Raises:
            KeyError: there is no such tea.
        """
        tea, quantity = TEAS[slug], max(0, min(quantity, MOST_OF_ONE))
        lines = [Line(tea, quantity) if line.tea is tea else line for line in self.lines]
        if all(line.tea is not tea for line in lines):
            lines.append(Line(tea, quantity))
        return Cart(self.id, tuple(line for line in lines if line.quantity))

    def quantity(self, slug: str) -> int:
        """How many of one tea."""
        return sum(line.quantity for line in self.lines if line.tea.slug == slug)

    @property
    def count(self) -> int:
        """Tins in all."""
        return sum(line.quantity for line in self.lines)

    @property
    def goods(self) -> int:
        """Paise, without delivery."""
        return sum(line.price for line in self.lines)

    @property
    def delivery(self) -> int:
        """Paise."""
        return DELIVERY if 0 < self.goods < DELIVERY_FREE_FROM else 0

    @property
    def total(self) -> int:
        """Paise: what is to be paid."""
        return self.goods + self.delivery

    @property
    def key(self) -> str:
        """What names the order of just this basket: ordered twice, it is one order. Nobody else can guess it."""
        return hashlib.sha256(self.cookie.encode()).hexdigest()[:32]
