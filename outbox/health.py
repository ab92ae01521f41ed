"""The health of endpoints: what is known of those in trouble, the circuit that spares them, and when they are disabled.

An endpoint that works has no row. Its failures are counted, and a success forgets them, in the statement that settles
attempts (`deliveries.settle`). After so many failures in a row the circuit opens: nothing is sent until a time that
doubles with each trip; then it is half open, and one probe, over all dispatchers, decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from kit.db import fetch
from outbox import SQL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kit.db import Connection
    from outbox.work import Work


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint fares. Times in UTC."""

    state: Literal["ok", "failing"] = "ok"
    """`failing`: every attempt failed since `failing_since`."""
    circuit: Literal["closed", "open", "half_open"] = "closed"
    """`open`: nothing is sent until `probe_at`; `half_open`: one probe decides whether it closes."""
    failures: int = 0
    """Attempts that failed since the last success."""
    failing_since: datetime | None = None
    last_failure_at: datetime | None = None
    last_error: str | None = None
    probe_at: datetime | None = None
    """From when on a probe may be sent; null when the circuit is closed."""
    will_be_disabled_at: datetime | None = None
    """When it is disabled, unless an attempt succeeds before; null when it never is, or is already."""
    warnings: int = 0
    """How many `endpoint.failing` events were sent of it."""


WARNED_AT = (0.2, 0.6, 0.8)
"""Of the time after which an endpoint is disabled: the merchant is told so often, and then."""

WITHOUT_END = timedelta(days=5)
"""Paces the warnings where nothing is disabled."""


def warnings_due(failing_for: timedelta, disable_after: timedelta | None) -> int:
    """How many warnings there must have been after failing for so long: of five days, at one, three and four."""
    span = disable_after or WITHOUT_END
    return sum(failing_for >= share * span for share in WARNED_AT)


def disabled_from(
    failing_since: datetime, warned_at: datetime | None, disable_after: timedelta | None
) -> datetime | None:
    """From when on a failing endpoint is disabled; None for never.

    Its time is over then, and the last warning a fifth of that time old: who was away, and could not be warned, is
    first told.
    """
    if disable_after is None:
        return None
    over = failing_since + disable_after
    return over if warned_at is None else max(over, warned_at + WARNED_AT[0] * disable_after)


def shown(row: Mapping[str, Any] | None, *, enabled: bool, disable_after: timedelta | None) -> EndpointHealth:
    """An endpoint's health as merchants see it, from what `health_shown` reads; None for an endpoint that works."""
    if row is None:
        return EndpointHealth()
    found, warned_at = msgspec.convert(row, EndpointHealth), msgspec.convert(row["warned_at"], datetime | None)
    if not enabled or found.failing_since is None:
        return found
    until = disabled_from(found.failing_since, warned_at, disable_after)
    return msgspec.structs.replace(found, will_be_disabled_at=until)


async def begin_probes(conn: Connection, works: Sequence[Work], *, dispatcher: str, lease: float) -> set[str]:
    """Win the single probe of each half-open circuit; returns the ids of the works that may be sent.

    Of several works of one endpoint the first may win. A circuit that is open or closed, and one that is being probed,
    gives none. A probe of which nothing is heard for `lease` seconds may be won again.
    """
    batch = [
        {"n": n, "bucket": w.bucket, "merchant_id": w.merchant_id, "endpoint_id": w.endpoint_id, "work_id": w.id}
        for n, w in enumerate(works)
    ]
    values = {"batch": msgspec.json.encode(batch).decode(), "dispatcher": dispatcher, "lease": lease}
    return {row["work_id"] for row in await fetch(conn, SQL["begin_probes"], values)}
