"""What the delivery log is narrowed to: the fields of its form, as they stand in the address, and what they mean."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, get_args

from dashboard import typed
from dashboard.reading.webhooks import NO_ANSWER
from gateway.errors import BadRequestError
from gateway.logs import DeliveryFilter, DeliveryStatus
from outbox.endpoints import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = ("status", "event", "endpoint", "payment", "code", "when", "from", "to")
_MOMENTS = frozenset({"from", "to"})
STATUSES: tuple[DeliveryStatus, ...] = get_args(DeliveryStatus)
WHEN = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
CODES = {
    "2xx": "2xx: received",
    "3xx": "3xx: redirects",
    "4xx": "4xx: refused",
    "5xx": "5xx: broken",
    "none": "No answer at all",
}
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_CODE = re.compile(r"[1-5][0-9]{2}\Z")


class Narrowed(NamedTuple):
    """The filters."""

    given: dict[str, str]
    """As they stand in the address; only those that are given."""
    where: DeliveryFilter
    codes: tuple[int, int] | None


def given(query: Mapping[str, str]) -> dict[str, str]:
    """The fields that an address fills; a moment that says its zone becomes one of the reader's, as forms want it."""
    found = {name: value for name in FIELDS if (value := query.get(name, "").strip())}
    for name in _MOMENTS & found.keys():
        if found[name].endswith("Z"):
            with contextlib.suppress(BadRequestError):  # it stays, and is told when it is read
                found[name] = typed.moment(typed.read_moment(found[name], name))
    return found


def read(query: Mapping[str, str], now: datetime) -> Narrowed:
    """What an address asks for.

    Raises:
        BadRequestError: naming the field that cannot be right.
    """
    fields = given(query)
    status = next((one for one in STATUSES if one == fields.get("status")), None)
    if "status" in fields and status is None:
        raise _wrong("status", "Choose one of these.")
    if fields.get("event", "payment.success") not in EVENT_TYPES:
        raise _wrong("event", "There is no such event.")
    if any(not _ID.match(fields.get(name, "x")) for name in ("endpoint", "payment")):
        raise _wrong("payment", "Enter the id of a payment, refund or order.")
    if fields.get("when", "1h") not in WHEN:
        raise _wrong("when", "Choose one of these.")
    since = typed.read_moment(fields["from"], "from") if "from" in fields else None
    until = typed.read_moment(fields["to"], "to") if "to" in fields else None
    if since is None and until is None and "when" in fields:
        since = now - WHEN[fields["when"]]
    where = DeliveryFilter(
        status=status,
        event=fields.get("event"),
        endpoint=fields.get("endpoint"),
        payment=fields.get("payment"),
        created_from=since,
        created_to=until,
    )
    return Narrowed(fields, where, _codes(fields.get("code", "")))


def now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


def _codes(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    if text == "none":
        return NO_ANSWER
    if text in CODES:
        first = int(text[0]) * 100
        return first, first + 99
    if not _CODE.match(text):
        raise _wrong("code", "Enter a code such as 404, or 5xx, or none.")
    return int(text), int(text)


def _wrong(field: str, text: str) -> BadRequestError:
    return BadRequestError(text, field=field, reason="parameter_invalid")
