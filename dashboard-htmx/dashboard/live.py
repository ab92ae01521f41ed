"""Tell pages that something is new: one question for all who look at the same thing, asked while somebody looks.

A page says `data-live="/dashboard/live"` on an element with `hx-get` and `hx-trigger="live"`; the script listens there,
and triggers it when a word comes. Where no stream is to be had it triggers from time to time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from litestar.response import Stream

from dashboard import sessions
from dashboard.admission import visit_of
from gateway.errors import UnavailableError
from kit import tasks
from kit.db import AWAY

if TYPE_CHECKING:
    from litestar import Request

log = structlog.get_logger()

Ask = Callable[[], Awaitable[str]]
Stands = Callable[[], Awaitable[bool]]
OF_ONE_USER = 30
"""Streams of one user; nobody looks at more pages, and who takes them all leaves none to others."""
INTERVAL = 1.0
"""Seconds between two looks at one thing."""
_HEARTBEAT = 3.0  # seconds
_LIFE = 0.8  # of the time that any request may take


class _Topic:
    """One thing that pages look at."""

    def __init__(self) -> None:
        self.readers = 0
        self.changed = asyncio.Event()
        self.mark: str | None = None
        self.asking: asyncio.Task[None] | None = None


class Live:
    """The topics of a process."""

    def __init__(self, *, most: int, interval: float = INTERVAL) -> None:
        """Set up; `most` streams may be open at once, and each thing is looked at every `interval` seconds."""
        self._most = most
        self._interval = interval
        self._topics: dict[str, _Topic] = {}
        self.streams = 0
        """How many are open,"""
        self.of_users: Counter[str | None] = Counter()
        """and of whom."""

    async def close(self) -> None:
        """Ask nothing any more."""
        for topic in self._topics.values():
            if topic.asking is not None:
                await tasks.end(topic.asking)

    def stream(self, request: Request[Any, Any, Any], name: str, ask: Ask) -> Stream:
        """Server-sent events: `new` whenever the answer to `ask` is another than before.

        It lives no longer than a request may, and not while the process is leaving: the page then comes again. An
        address with `?seen=` and the mark that the page was made with hears of what happened in between, too; and so
        does who comes again, since each word carries its mark, and browsers say which one they heard last.

        Args:
            request: who looks.
            name: of what they look at, the merchant's id in it; those who look at the same share one question.
            ask: gives a mark that changes when there is something new, in one line; one cheap statement.

        Raises:
            UnavailableError: as many look as may; the page then asks from time to time.
        """
        gateway, visit = request.app.state.gateway, visit_of(request)
        me = visit.me
        if self.streams >= self._most or self.of_users[me.user_id] >= OF_ONE_USER:
            raise UnavailableError("too many pages listen; ask from time to time", reason="streams_taken")

        async def stands() -> bool:
            async with gateway.database.connection(reading=True) as conn:
                now = await sessions.find(conn, gateway.config, visit.token)
            return now is not None and (now.merchant_id, now.role) == (me.merchant_id, me.role)

        until = time.monotonic() + gateway.config.request_timeout * _LIFE
        headers = {"X-Accel-Buffering": "no"}
        seen = request.headers.get("last-event-id") or request.query_params.get("seen") or None
        events = self._events(name, ask, until, gateway.leaving, stands, told=seen, user_id=me.user_id)
        return Stream(events, media_type="text/event-stream", headers=headers)

    async def _events(
        self,
        name: str,
        ask: Ask,
        until: float,
        leaving: Callable[[], bool],
        stands: Stands,
        *,
        told: str | None,
        user_id: str | None,
    ) -> AsyncIterator[bytes]:
        topic = self._topics.setdefault(name, _Topic())
        topic.readers += 1
        self.streams += 1
        self.of_users[user_id] += 1
        if topic.asking is None:
            topic.asking = asyncio.create_task(self._ask(name, topic, ask, leaving))
        try:
            yield b"retry: 1000\n\n"
            while (left := until - time.monotonic()) > 0 and not leaving():
                changed = topic.changed
                told = topic.mark if told is None else told
                if topic.mark not in {None, told}:
                    told = topic.mark
                    if not await _still(stands):
                        return
                    yield f"event: new\nid: {told}\ndata: \n\n".encode()
                    continue
                try:
                    async with asyncio.timeout(min(_HEARTBEAT, left)):
                        await changed.wait()
                except TimeoutError:
                    yield b": here\n\n"
        finally:
            self.streams -= 1
            self.of_users -= Counter({user_id: 1})  # drops who has none
            topic.readers -= 1
            if not topic.readers:
                self._topics.pop(name, None)
                if topic.asking is not None:
                    topic.asking.cancel()

    async def _ask(self, name: str, topic: _Topic, ask: Ask, leaving: Callable[[], bool]) -> None:
        """Look for as long as somebody listens, until the process is leaving. An outage is no news."""
        while not leaving():
            try:
                mark = await ask()
            except AWAY:
                pass
            except psycopg.Error as error:  # the page can still be loaded anew
                about = {"topic": name.partition(":")[0], "sqlstate": error.sqlstate}
                log.error("live.failed", error=type(error).__name__, **about)  # noqa: TRY400
            else:
                if mark != topic.mark:
                    topic.mark = mark
                    topic.changed.set()
                    topic.changed = asyncio.Event()
            await asyncio.sleep(self._interval)
        topic.changed.set()  # those who listen then see it, too


async def _still(stands: Stands) -> bool:
    """Whether who listens may still know. Where nobody can say, the page comes again and is asked who it is."""
    try:
        return await stands()
    except AWAY:
        return False
