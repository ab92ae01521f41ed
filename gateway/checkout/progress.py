"""Watch payments until they settle: one statement for all that anybody waits for, however many wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import psycopg
import structlog

from gateway.errors import UnavailableError
from gateway.merchants import SQL
from kit.db import AWAY, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.merchants import Merchant
    from kit.db import Database

log = structlog.get_logger()

INTERVAL = 0.25
"""Seconds between two looks."""
_AT_ONCE = 1000  # payments that one statement asks for


class Watched(NamedTuple):
    """A payment, as the statement asks for it."""

    bucket: int
    merchant_id: str
    id: str


class _Waiting:
    """Those who wait for one payment."""

    def __init__(self) -> None:
        self.settled = asyncio.Event()
        self.count = 0


class Progress:
    """The one poller of a process."""

    def __init__(self, database: Database, *, most: int) -> None:
        """Set up; `most` may wait at once, a tenth of them from one address."""
        self._database = database
        self._most = most
        self._most_each = max(1, most // 10)
        self._from: Counter[str] = Counter()
        self._waiting: dict[Watched, _Waiting] = {}
        self._wanted = asyncio.Event()
        self.streams = 0
        """How many wait now."""
        self.asked = 0
        """Statements so far."""

    def has_room(self, address: str) -> bool:
        """Whether one more may wait, from there."""
        return self.streams < self._most and self._from[address] < self._most_each

    def check_room(self, address: str) -> None:
        """Raises `UnavailableError` when as many wait as may: the page then asks from time to time by itself."""
        if not self.has_room(address):
            raise UnavailableError("too many wait here; ask for the state from time to time", reason="streams_taken")

    @contextlib.contextmanager
    def watching(self, merchant: Merchant, payment_id: str, address: str) -> Iterator[asyncio.Event]:
        """An event that is set once the payment is no longer pending."""
        key = Watched(merchant.bucket, merchant.merchant_id, payment_id)
        waiting = self._waiting.setdefault(key, _Waiting())
        waiting.count += 1
        self.streams += 1
        self._from[address] += 1
        self._wanted.set()
        try:
            yield waiting.settled
        finally:
            self.streams -= 1
            self._from[address] -= 1
            if not self._from[address]:
                del self._from[address]
            waiting.count -= 1
            if not waiting.count and self._waiting.get(key) is waiting:
                del self._waiting[key]

    async def run(self) -> None:
        """Look for ever, while somebody waits. An outage of the database is no news: the payment is still pending."""
        while True:
            await self._wanted.wait()
            try:
                await self.look()
            except AWAY:
                pass
            except psycopg.Error as error:  # pages still ask for themselves; whoever comes next may be luckier
                log.error("progress.failed", error=type(error).__name__, sqlstate=error.sqlstate)  # noqa: TRY400
            if not self._waiting:
                self._wanted.clear()
                continue
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Ask once for all that are waited for, and wake those whose payment has settled."""
        wanted = [key for key, waiting in self._waiting.items() if not waiting.settled.is_set()]
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            watched = msgspec.json.encode([{"n": n, **key._asdict()} for n, key in enumerate(some)]).decode()
            async with self._database.connection(reading=True) as conn:
                rows = await fetch(conn, SQL["get_payment_statuses"], {"watched": watched})
            self.asked += 1
            for row in rows:
                if row["status"] != "pending" and (waiting := self._waiting.get(some[row["n"]])):
                    waiting.settled.set()
