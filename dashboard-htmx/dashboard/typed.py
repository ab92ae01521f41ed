"""Amounts and moments as people type them into a form, and as forms show them again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dashboard import zones
from gateway.checkout import amounts
from gateway.errors import BadRequestError
from gateway.money import MAX_AMOUNT

_AMOUNT = re.compile(r"(?P<whole>[0-9]+|[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3})(?:\.(?P<part>[0-9]*))?\Z")
_MOST = 40  # characters
_YEARS = range(2000, 3000)


def digits(currency: str) -> int:
    """How many digits of a currency stand behind the point: 2 for INR, 0 for JPY."""
    return len(amounts.shown(0, currency).partition(".")[2])


def amount(minor: int, currency: str) -> str:
    """Minor units as one types them: `1299.00`."""
    behind = digits(currency)
    whole, part = divmod(minor, 10**behind)
    return f"{whole}.{part:0{behind}}" if behind else str(whole)


def read_amount(text: str, currency: str, field: str) -> int:
    """What somebody typed, in minor units: `1,29,900`, `12.5`. Nothing is rounded, no comma is taken for a point.

    Raises:
        BadRequestError: it is no amount of that currency, or none at all.
    """
    behind = digits(currency)
    found = _AMOUNT.match(text.strip()) if len(text) <= _MOST else None
    part = (found["part"] or "") if found else ""
    if found is None or len(part.rstrip("0")) > behind:
        example = "1299" if not behind else f"1299.{'50'.ljust(behind, '0')}"
        raise BadRequestError(f"Enter an amount like {example}.", field=field, reason="field_invalid")
    minor: int = int(found["whole"].replace(",", "")) * 10**behind + int(part[:behind].ljust(behind, "0") or 0)
    if not 1 <= minor <= MAX_AMOUNT:
        wrong = "Enter more than nothing." if not minor else "That is too much."
        raise BadRequestError(wrong, field=field, reason="field_invalid")
    return minor


def read_moment(text: str, field: str, *, days: int = 0) -> datetime:
    """A date, or a date with a time, where the reader is unless it says a zone: `2026-11-22`, `2026-11-22T13:05:09.5Z`.

    Args:
        text: what was typed, or stands in an address.
        field: of the form.
        days: so many later, as the reader's calendar counts them: not all have 24 hours.

    Raises:
        BadRequestError: it is none.
    """
    found: datetime | None = None
    try:
        # A plus sign in an address is read as a space.
        found = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
        found += timedelta(days=days)
        found = (found if found.tzinfo else found.replace(tzinfo=zones.reader())).astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None or found.year not in _YEARS or len(text) > _MOST:
        raise BadRequestError("Enter a date and a time.", field=field, reason="field_invalid") from None
    return found


def moment(when: datetime) -> str:
    """As `<input type="datetime-local">` wants it, to the millisecond, not before `when`: 12:00:00.0001 is …00.001."""
    return _written(zones.here(to_millisecond(when)))


def address(when: datetime) -> str:
    """The same as an address has it, whoever follows it: in UTC, and it says so."""
    return _written(to_millisecond(when).astimezone(UTC)) + "Z"


def to_millisecond(when: datetime) -> datetime:
    """The first one that is not before: more is written nowhere."""
    return when + timedelta(microseconds=-when.microsecond % 1000)


def _written(shown: datetime) -> str:
    return shown.replace(tzinfo=None).isoformat(timespec="milliseconds" if shown.microsecond else "seconds")
