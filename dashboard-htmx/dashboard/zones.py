"""The reader's time zone, as their browser has told it by a cookie; UTC for whoever has no script."""

from __future__ import annotations

import re
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
