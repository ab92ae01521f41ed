"""Tell pages that something is new: one question for all who look at the same thing, asked while somebody looks.

A page says `data-live="/dashboard/live"` on an element with `hx-get` and `hx-trigger="live"`; the script listens there,
and triggers it when a word comes. Where no stream is to be had it triggers from time to time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from litestar.response import Stream

from gateway.errors import UnavailableError
from kit import tasks
from kit.db import AWAY

if TYPE_CHECKING:
    from litestar import Request

log = structlog.get_logger()

Ask = Callable[[], Awaitable[str]]
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
        """How many are open."""

    async def close(self) -> None:
        """Ask nothing any more."""
        for topic in self._topics.values():
            if topic.asking is not None:
                await tasks.end(topic.asking)

    def stream(self, request: Request[Any, Any, Any], name: str, ask: Ask) -> Stream:
        """Server-sent events: `new` whenever the answer to `ask` is another than before.

        It lives no longer than a request may, and not while the process is leaving: the page then comes again. An
        address with `?seen=` and the mark that the page was made with hears of what happened in between, too.

        Args:
            request: who looks.
            name: of what they look at, the merchant's id in it; those who look at the same share one question.
            ask: gives a mark that changes when there is something new; one cheap statement.

        Raises:
            UnavailableError: as many look as may; the page then asks from time to time.
        """
        if self.streams >= self._most:
            raise UnavailableError("too many pages listen; ask from time to time", reason="streams_taken")
        gateway = request.app.state.gateway
        until = time.monotonic() + gateway.config.request_timeout * _LIFE
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        events = self._events(name, ask, until, gateway.leaving, request.query_params.get("seen") or None)
        return Stream(events, media_type="text/event-stream", headers=headers)

    async def _events(
        self, name: str, ask: Ask, until: float, leaving: Callable[[], bool], told: str | None = None
    ) -> AsyncIterator[bytes]:
        topic = self._topics.setdefault(name, _Topic())
        topic.readers += 1
        self.streams += 1
        if topic.asking is None:
            topic.asking = asyncio.create_task(self._ask(name, topic, ask, leaving))
        try:
            yield b"retry: 1000\n\n"
            while (left := until - time.monotonic()) > 0 and not leaving():
                changed = topic.changed
                told = topic.mark if told is None else told
                if topic.mark not in {None, told}:
                    told = topic.mark
                    yield b"event: new\ndata: \n\n"
                    continue
                try:
                    async with asyncio.timeout(min(_HEARTBEAT, left)):
                        await changed.wait()
                except TimeoutError:
                    yield b": here\n\n"
        finally:
            self.streams -= 1
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
