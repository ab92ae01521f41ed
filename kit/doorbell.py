"""Ring when there is work: NOTIFY as a hint, never as the truth; whoever misses it polls a moment later."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import psycopg

from kit.db import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.db import Database

# Outside of any payment's transaction: NOTIFY takes a lock on the whole cluster until its commit, and that commit
# need not wait for the disk.
_NOTIFY = "SELECT pg_notify('ledgate_work', ''), set_config('synchronous_commit', 'off', true)"
_QUIET = 0.02


class Doorbell:
    """Sends at most one NOTIFY per 20 ms, the first at once, however often it is rung."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Ask for a NOTIFY; costs nothing and cannot fail."""
        self._rung.set()

    async def run(self) -> None:
        """Send for ever. An outage is somebody else's news."""
        while True:
            await self._rung.wait()
            self._rung.clear()
            with contextlib.suppress(*AWAY):
                async with self._database.connection() as conn:
                    await conn.execute(_NOTIFY)
            await asyncio.sleep(_QUIET)


async def listen(url: str, wake: Callable[[], None]) -> None:
    """Call `wake` at each ring, for ever; a lost connection is made again with a back-off of up to 5 seconds."""
    pause = 0.2
    while True:
        with contextlib.suppress(*AWAY, psycopg.Error):
            async with await psycopg.AsyncConnection.connect(
                url,
                autocommit=True,
                connect_timeout=5,
                application_name="ledgate-doorbell",
                keepalives_idle=10,
            ) as conn:
                await conn.execute("LISTEN ledgate_work")
                pause = 0.2
                wake()  # whatever rang while nobody listened
                async for _ in conn.notifies():
                    wake()
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5.0)
