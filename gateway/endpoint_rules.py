"""What may stand in an endpoint: pure checks of URL, event types, schedule and headers, each with its reason."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway import notes
from gateway.errors import BadRequestError
from outbox.endpoints import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_URL = 2048
MAX_STEPS = 20
MAX_STEP = 7 * 24 * 3600
MAX_SCHEDULE = 30 * 24 * 3600
MAX_HEADERS = 10
DEFAULT_SCHEDULE = (0, 60, 300, 1800, 7200)
"""Seconds before each attempt, measured from the failure before it, where an endpoint has no schedule of its own;"""
TEST_SCHEDULE = (0, 5, 10, 15, 20)
"""and with WEBHOOK_RETRY_INTERVALS_TEST."""

PATTERNS = EVENT_TYPES | {"*"} | {f"{event_type.partition('.')[0]}.*" for event_type in EVENT_TYPES}
"""Everything that an endpoint's `events` may name."""

_PRINTABLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_MAX_HOST = 253
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?")  # RFC 9110, 5.5, without the obsolete bytes above ASCII
_MAX_VALUE = 1024

_RESERVED = re.compile(
    # What we send, what HTTP/1.1 says of the connection or the body, and what a client library would act upon.
    r"webhook-.*|x-webhook-.*|content-.*|proxy-.*|user-agent|host|transfer-encoding|connection|keep-alive|te|trailer"
    r"|upgrade|expect|date|via|cookie2?|accept-encoding|http2-settings",
    re.IGNORECASE,
)


def check_url(url: str, field: str) -> None:
    """Accept `http` and `https` with a host; whether that host may be reached is asked when it is connected to.

    Raises:
        BadRequestError: what is wrong with it.
    """
    if reason := _wrong_url(url):
        raise BadRequestError(f"{field} {reason}", field=field, reason="url_invalid")


def _wrong_url(url: str) -> str | None:
    # A backslash is a slash to some parsers and none to others: two of them must not see two hosts.
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        return (
            "must be ASCII without white space, control characters and backslashes; write a host in Punycode and the"
            " rest percent-encoded"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL: its host or port cannot be read"
    problems = {
        f"must be at most {MAX_URL} characters long": len(url) > MAX_URL,
        "must begin with https:// or http://": parts.scheme not in {"http", "https"},
        "must not hold a user name or password; send credentials in a header": "@" in parts.netloc,
        "must name a host": len(host) > _MAX_HOST or not _is_host(host, bracketed="[" in parts.netloc),
        "must name a port from 1 to 65535, or none": port == 0 or parts.netloc.endswith(":"),
        "must not hold a fragment (#…): it would never be sent": "#" in url,
    }
    return next((told for told, wrong in problems.items() if wrong), None)


def _is_host(host: str, *, bracketed: bool) -> bool:
    if not bracketed:
        return _HOST.fullmatch(host) is not None
    try:
        return ipaddress.IPv6Address(host).scope_id is None
    except ValueError:
        return False


def check_events(events: Sequence[str], field: str = "events") -> list[str]:
    """Accept event types, `payment.*` and `*`; returns them without repetitions.

    Raises:
        BadRequestError: naming the item.
    """
    for n, item in enumerate(events):
        if item not in PATTERNS:
            raise BadRequestError(
                f"{field}[{n}] is no event type; known are {', '.join(sorted(PATTERNS))}",
                field=f"{field}[{n}]",
                reason="event_type_unknown",
            )
    return list(dict.fromkeys(events))


def check_schedule(schedule: Sequence[int], field: str = "retry_schedule") -> None:
    """Accept 1 to 20 steps of up to 7 days, 30 days in all; their number and size are the request's own bounds.

    Raises:
        BadRequestError: it goes on for too long.
    """
    if sum(schedule) > MAX_SCHEDULE:
        raise BadRequestError(
            f"{field} must add up to at most {MAX_SCHEDULE} seconds (30 days)", field=field, reason="schedule_too_long"
        )


def check_headers(headers: Mapping[str, str], field: str = "headers") -> None:
    """Accept up to 10 request headers (RFC 9110) that are neither ours nor the connection's. No message holds a value.

    Raises:
        BadRequestError: naming the header.
    """
    if len(headers) > MAX_HEADERS:
        raise BadRequestError(f"{field} may hold at most {MAX_HEADERS}", field=field, reason="too_many_headers")
    seen: set[str] = set()
    for n, (name, value) in enumerate(headers.items()):
        where = f"{field}.{name}" if _TOKEN.fullmatch(name) else f"{field}[{n}]"
        if not _TOKEN.fullmatch(name):
            description = f"{where}: a header's name is 1 to 64 letters, digits or one of !#$%&'*+.^_`|~-"
            raise BadRequestError(description, field=where, reason="header_name_invalid")
        if _RESERVED.fullmatch(name):
            description = f"{where}: this header is Ledgate's, the connection's or the body's own and cannot be set"
            raise BadRequestError(description, field=where, reason="header_reserved")
        if name.lower() in seen:
            raise BadRequestError(f"{where} is given twice", field=where, reason="header_repeated")
        seen.add(name.lower())
        if len(value) > _MAX_VALUE or not _VALUE.fullmatch(value):
            description = (
                f"{where}: a value is 1 to {_MAX_VALUE} printable ASCII characters, with spaces in between only"
            )
            raise BadRequestError(description, field=where, reason="header_value_invalid")


def check_description(description: str | None) -> None:
    """Raises `BadRequestError` for NUL characters."""
    notes.refuse_nul(description, "description")
