"""Count the ledgers behind the writers' backs: a step at a time, and most of the time not at all."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import structlog

from gateway import figures
from kit.db import AWAY

if TYPE_CHECKING:
    from kit.db import Database

log = structlog.get_logger()

PAUSE = 5.0
"""Seconds between two rounds over all merchants."""

_SHARE = 5
"""Of the time, one part in so many is spent counting while there is much to count: payments come first."""
_MOST = 2.0
"""Seconds between two steps at most, however slow a busy server makes them."""

_BREATH = 0.1
"""Seconds between two statements that drop figures."""

_TIDY = 3600.0
"""Seconds between two looks for figures that are past their retention."""


async def watch(database: Database, *, days: int) -> None:
    """Go round, through every outage. Several dispatchers may: each merchant is one's at a time.

    Args:
        database: as dispatchers.
        days: for which figures are kept; 0 for ever.
    """
    tidied = -_TIDY
    while True:
        try:
            async with database.connection() as conn:
                await figures.begin(conn)
            await run_once(database)
            if days and time.monotonic() - tidied >= _TIDY:
                await prune(database, datetime.now(UTC) - timedelta(days=days))
                tidied = time.monotonic()
        except AWAY:
            pass  # an outage has its own line
        except psycopg.Error as error:
            log.warning("figures.failed", error=type(error).__name__)
        await asyncio.sleep(PAUSE)


async def run_once(database: Database) -> int:
    """One round over all merchants; gives how many events it counted. No connection is held between steps."""
    counted, place = 0, figures.START
    while True:
        began = time.perf_counter()
        async with database.connection() as conn:
            step = await figures.fold(conn, place)
        counted += step.events
        if step.full:
            await asyncio.sleep(min((time.perf_counter() - began) * (_SHARE - 1), _MOST))
            continue  # the same merchants once more
        if step.place == figures.START:
            return counted
        place = step.place


async def prune(database: Database, before: datetime) -> int:
    """Drop the figures of before that time, a statement at a time; gives how many these were."""
    dropped = 0
    while True:
        async with database.connection() as conn:
            some = await figures.prune(conn, before)
        dropped += some
        if some < figures.PRUNED:
            break
        await asyncio.sleep(_BREATH)
    if dropped:
        log.info("figures.dropped", rows=dropped)
    return dropped
