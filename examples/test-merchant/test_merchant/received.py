"""Keep the latest arrivals for whoever asks what came. A real receiver has none of this."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from aiohttp import web

KEPT_ARRIVALS = 10_000
KEPT_CHARACTERS = 64_000_000
"""Of all bodies and headers together, so that large webhooks do not fill the memory either."""


class Arrival(msgspec.Struct, kw_only=True):
    """One request to `/webhook`, genuine or not."""

    webhook_id: str | None
    """The event's id: the same over all attempts."""
    delivery_id: str | None
    event: str | None
    payment_id: str | None
    attempt: int | None
    received_at: datetime
    verified: bool = False
    duplicate: bool = False
    status: int | None = None
    """What was answered; null while the request is held, or when the sender left before the end."""
    reason: str | None = None
    """Why it was refused."""
    headers: dict[str, str]
    raw: str
    body: msgspec.Raw
    """The body if it is JSON, else null."""

    @property
    def size(self) -> int:
        """Characters held in memory."""
        return len(self.raw) + sum(len(name) + len(value) for name, value in self.headers.items())


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `GET /received` may be asked; an empty field asks nothing."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    event: str = ""
    webhook_id: str = ""
    payment_id: str = ""

    def wants(self, arrival: Arrival) -> bool:
        """Whether the arrival meets every field that was given."""
        return (
            self.event in ("", arrival.event)
            and self.webhook_id in ("", arrival.webhook_id)
            and self.payment_id in ("", arrival.payment_id)
        )


class Arrivals:
    """The last `KEPT_ARRIVALS`, or fewer if they are large."""

    def __init__(self) -> None:
        self._kept: deque[Arrival] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, arrival: Arrival) -> None:
        """Add the newest; let go of the oldest."""
        self._kept.append(arrival)
        self._size += arrival.size
        while len(self._kept) > KEPT_ARRIVALS or self._size > KEPT_CHARACTERS:
            self._size -= self._kept.popleft().size

    def find(self, query: Query) -> list[Arrival]:
        """Everything kept that the query wants, newest first, whatever its limit."""
        return [arrival for arrival in reversed(self._kept) if query.wants(arrival)]


def read(request: web.Request, body: bytes) -> Arrival:
    """Note what the request says about itself; nothing of it is trusted yet."""
    try:
        content = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested beyond reason
        content = None
    attempt = request.headers.get("X-Webhook-Attempt", "")
    return Arrival(
        webhook_id=request.headers.get("webhook-id") or _text(content, "id"),
        delivery_id=request.headers.get("X-Webhook-Id"),
        event=_text(content, "event") or request.headers.get("X-Webhook-Event"),
        payment_id=_text(content, "data", "payment", "id") or _text(content, "data", "refund", "payment_id"),
        attempt=int(attempt) if attempt.isdecimal() and len(attempt) <= 9 else None,  # noqa: PLR2004 - int4
        received_at=datetime.now(UTC),
        headers={name: _printable(value) for name, value in request.headers.items()},
        raw=body.decode("utf-8", "replace"),
        body=msgspec.Raw(b"null" if content is None else body),
    )


def _text(content: Any, *path: str) -> str | None:
    """The text at a path of objects, if there is one."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, str) else None


def _printable(value: str) -> str:
    """A header in valid UTF-8, whatever bytes came."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
