"""What pays: UPI addresses and cards, checked before anything is written. A refusal never repeats the digits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from gateway.errors import BadRequestError
from gateway.notes import NO_NUL

if TYPE_CHECKING:
    from datetime import datetime

Method = Literal["upi", "card"]
Flow = Literal["collect", "intent", "qr"]

VPA_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{1,255}@[A-Za-z][A-Za-z0-9]{1,63}$"
_VPA = re.compile(VPA_PATTERN)
_BRANDS = (  # ISO/IEC 7812 issuer ranges, first match wins; RuPay before Discover, whose ranges it shares
    ("rupay", re.compile(r"508[5-9]|6069|607|6080|652[1-9]|6530|81|82"), (16,)),
    ("visa", re.compile(r"4"), (13, 16, 19)),
    ("mastercard", re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    ("amex", re.compile(r"3[47]"), (15,)),
    ("diners", re.compile(r"30[0-5]|36|38|39"), (14, 16, 19)),
    ("discover", re.compile(r"6011|64[4-9]|65"), (16, 19)),
    ("jcb", re.compile(r"35(2[89]|[3-8])"), (16, 19)),
    ("maestro", re.compile(r"50|5[6-9]|6"), tuple(range(12, 20))),
)
_CENTURY = 2000


class CardInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card as the payer gives it. Stored sealed, until the payment settles; then only brand and last four stay."""

    number: Annotated[str, Meta(min_length=12, max_length=23, description="Digits; spaces are ignored")]
    expiry_month: Annotated[int, Meta(ge=1, le=12)] | Annotated[str, Meta(pattern="^(0?[1-9]|1[0-2])$")]
    expiry_year: Annotated[int, Meta(ge=0, le=9999)] | Annotated[str, Meta(pattern="^([0-9]{2}|[0-9]{4})$")]
    cvv: Annotated[str, Meta(pattern="^[0-9]{3,4}$")]
    name: Annotated[str, Meta(min_length=1, max_length=100, extra_json_schema=NO_NUL)] | None = None

    def __repr__(self) -> str:  # a traceback or a log line must not show a number
        return "CardInput(…)"


class Card(msgspec.Struct, frozen=True):
    """A card that was checked."""

    number: str
    expiry_month: int
    expiry_year: int
    cvv: str
    name: str | None
    brand: str

    @property
    def last4(self) -> str:
        """What may be shown."""
        return self.number[-4:]

    def __repr__(self) -> str:
        return f"Card({self.brand} …{self.last4})"


def check_vpa(vpa: str) -> str:
    """Accept `handle@psp`.

    Raises:
        BadRequestError: it has another shape.
    """
    if not _VPA.fullmatch(vpa):
        raise BadRequestError("vpa must look like handle@psp", field="vpa", reason="vpa_invalid")
    return vpa


def check_card(given: CardInput, now: datetime) -> Card:
    """Accept a card whose number, expiry and CVV can be right.

    Raises:
        BadRequestError: naming the field and why.
    """
    number = given.number.replace(" ", "").replace("-", "")
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19 and luhn(number)):  # noqa: PLR2004 - ISO/IEC 7812
        raise BadRequestError("card number is not valid", field="card.number", reason="card_number_invalid")
    brand = next((name for name, start, sizes in _BRANDS if start.match(number) and len(number) in sizes), "unknown")
    month, year = int(given.expiry_month), int(given.expiry_year)
    year += _CENTURY if year < 100 else 0  # noqa: PLR2004 - two digits
    if not (now.year, now.month) <= (year, month) <= (now.year + 50, month):
        raise BadRequestError("card has expired", field="card.expiry_year", reason="card_expired")
    if len(given.cvv) != (4 if brand == "amex" else 3):
        raise BadRequestError("cvv has the wrong length", field="card.cvv", reason="cvv_invalid")
    return Card(number, month, year, given.cvv, given.name, brand)


def luhn(number: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[::2] + [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]) % 10 == 0  # noqa: PLR2004


def upi_link(*, merchant_id: str, merchant_name: str, payment_id: str) -> str:
    """A UPI deep link without its amount, which follows at the end (NPCI UPI linking specification 1.6)."""
    return f"upi://pay?pa={quote(merchant_id)}@ledgate&pn={quote(merchant_name, safe='')}&tr={payment_id}&cu=INR&am="
