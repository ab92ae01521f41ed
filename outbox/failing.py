"""Endpoints that fail for days: whose merchants are due to hear of it, and what becomes of them, told once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from kit.db import fetch
from outbox import SQL, endpoints, health
from outbox.endpoints import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from kit.db import Connection


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """An enabled endpoint of which its merchant is due to hear, as it was read: the fence of what is then done."""

    bucket: int
    merchant_id: str
    endpoint: Endpoint
    warned_at: datetime | None
    now: datetime
    """The database's clock."""


async def due(conn: Connection, *, disable_after: timedelta | None, limit: int) -> list[Failing]:
    """Endpoints whose next warning, or end, is due."""
    span = disable_after or health.WITHOUT_END
    steps = [(share * span).total_seconds() for share in health.WARNED_AT]
    values = {
        "steps": [*steps, None if disable_after is None else disable_after.total_seconds()],
        "pause": steps[0],
        "limit": limit,
    }
    return [
        Failing(
            bucket=row["bucket"],
            merchant_id=row["merchant_id"],
            endpoint=endpoints.shown(row, disable_after),
            warned_at=row["warned_at"],
            now=row["now"],
        )
        for row in await fetch(conn, SQL["failing_endpoints"], values)
    ]


async def tell(
    conn: Connection,
    found: Failing,
    then: Endpoint,
    *,
    warned_at: datetime | None,
    fact: Mapping[str, str],
    told_at: datetime,
) -> bool:
    """Make an endpoint what `then` says (warnings, or disabled with a reason) and append `fact`, in one statement.

    Compare-and-set: whether it still was as it was found. `fact` goes to the merchant's other endpoints.
    """
    values = {
        "bucket": found.bucket,
        "merchant_id": found.merchant_id,
        "id": found.endpoint.id,
        "version": found.endpoint.version,
        "failing_since": found.endpoint.health.failing_since,
        "warned": found.endpoint.health.warnings,
        "warnings": then.health.warnings,
        "warned_at": warned_at,
        "enabled": then.enabled,
        "disabled_reason": then.disabled_reason,
        "disabled_at": then.disabled_at,
        "updated_at": then.updated_at,
        "event_id": fact["event_id"],
        "type": fact["type"],
        "body": fact["body"],
        "created_at": told_at,
    }
    return bool(await fetch(conn, SQL["tell_of_failing"], values))


async def forget_orphans(conn: Connection) -> int:
    """Forget the health of endpoints that are gone; returns of how many."""
    return (await conn.execute(SQL["forget_orphaned_health"])).rowcount
