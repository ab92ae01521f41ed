"""Figures: what each merchant's ledger says, counted by half hours behind the writers' backs (docs/decisions/0016)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from gateway.merchants import SQL
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from datetime import datetime

    from kit.db import Connection

EVENTS = 2_000
"""Of one merchant in one step."""

MERCHANTS = 100
"""Looked at in one step."""

PRUNED = 5_000
"""Rows that one statement drops."""

_ASIDE = 0.05
"""Seconds to wait while somebody else counts for those that are left."""

_LATEST = 2 * 24 * 3600.0
"""Seconds that an event may be committed after its id was made; older partitions are not looked into any more."""


class Place(NamedTuple):
    """Where a walk over the merchants stands."""

    bucket: int
    merchant_id: str


START = Place(-1, "")


class Step(NamedTuple):
    """What one step counted."""

    place: Place
    """Where the next step begins; `START` when all merchants were looked at."""
    events: int
    full: bool
    """A merchant has more than one step counts."""


async def begin(conn: Connection) -> None:
    """Let merchants that are new be counted."""
    await conn.execute(SQL["begin_figures"])


async def fold(conn: Connection, place: Place = START, *, events: int = EVENTS, merchants: int = MERCHANTS) -> Step:
    """Count what was committed to the ledgers of the next merchants; one statement, one commit. `conn` autocommits."""
    values = {
        "after_bucket": place.bucket,
        "after_merchant": place.merchant_id,
        "merchants": merchants,
        "limit": events,
        "from_id": ids.lower_bound("evt", time.time() - _LATEST),
    }
    rows = await fetch(conn, SQL["fold_figures"], values)
    last = Place(rows[-1]["bucket"], rows[-1]["merchant_id"]) if len(rows) == merchants else START
    counted = [int(row["events"]) for row in rows]
    return Step(last, sum(counted), full=max(counted, default=0) == events)


async def catch_up(conn: Connection, *, events: int = EVENTS) -> int:
    """Count until nothing is left, beside dispatchers that do the same; gives how many events this caller counted."""
    await begin(conn)
    total = 0
    while await behind(conn):
        place, counted = START, 0
        while True:
            step = await fold(conn, place, events=events)
            counted += step.events
            place = step.place
            if place == START:
                break
        total += counted
        if not counted:
            await asyncio.sleep(_ASIDE)
    return total


async def prune(conn: Connection, before: datetime) -> int:
    """Drop figures of half hours before that time, `PRUNED` at most; gives how many these were. `conn` autocommits."""
    cursor = await conn.execute(SQL["prune_figures"], {"before": before, "limit": PRUNED})
    return cursor.rowcount


async def behind(conn: Connection) -> bool:
    """Whether there is something to count: of a transaction that is older than every one which still writes."""
    (row,) = await fetch(conn, SQL["figures_behind"], {})
    return bool(row["behind"])
