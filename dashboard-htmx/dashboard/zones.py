"""The reader's time zone, as their browser has told it by a cookie; UTC for whoever has no script.

One rule for all pages: times are shown in it, with UTC in the title, and read in it where somebody types them.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from litestar import Request

COOKIE = "ledgate_zone"
UTC = "UTC"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}\Z")
# What browsers still call zones that the tz database has renamed; not every system keeps the old names.
_OLD = {
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Europe/Kiev": "Europe/Kyiv",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "Atlantic/Faeroe": "Atlantic/Faroe",
}

_reader: ContextVar[ZoneInfo | None] = ContextVar("whose clock counts for this request", default=None)


def of(name: str) -> ZoneInfo:
    """The zone that is called so; UTC if there is none."""
    if not _NAME.match(name):
        return ZoneInfo(UTC)
    try:
        return ZoneInfo(_OLD.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones
        return ZoneInfo(UTC)


def told(request: Request[Any, Any, Any]) -> str:
    """What the browser calls its zone; nothing if it has not said so."""
    name = request.cookies.get(COOKIE, "").replace("%2F", "/")
    return name if _NAME.match(name) else ""


def take(request: Request[Any, Any, Any]) -> None:
    """From now on this request's reader is who asks."""
    _reader.set(of(told(request)))


def reader() -> ZoneInfo:
    """Whose clock counts."""
    return _reader.get() or ZoneInfo(UTC)


def here(moment: datetime) -> datetime:
    """The same moment as the reader's clock has it."""
    return moment.astimezone(reader())


def name(moment: datetime | None = None) -> str:
    """What the reader's zone is called, now or then: `IST`, `CEST`, `UTC+03`."""
    short = f"{here(moment) if moment else datetime.now(reader()):%Z}"
    return short if short.isalpha() else f"UTC{short}"


def full(moment: datetime) -> str:
    """To the second: `22 Nov 2026, 18:35:09 IST`."""
    return f"{here(moment):%-d %b %Y, %H:%M:%S} {name(moment)}"


def minute(moment: datetime) -> str:
    """To the minute: `22 Nov 2026, 18:35 IST`."""
    return f"{here(moment):%-d %b %Y, %H:%M} {name(moment)}"
