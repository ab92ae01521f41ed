"""Clients that ask once: they go elsewhere only when refused, and what is not answered as it should be is a failure."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp

from gateway import demo
from tests.support.load import HEADERS
from tests.support.waiting import until

_ORDER = demo.ORDER_IDS[0]
_THINKS = 0.1  # seconds from an answer to the next request


class Customers:
    """So many of them, each with a kept connection, by turns paying with a key, without one, and reading."""

    def __init__(self, urls: Sequence[str], *, clients: int, without_key: bool) -> None:
        self.failed: list[str] = []
        """Requests that were not answered 200 or 201."""
        self.paid: list[str] = []
        """The payments that were acknowledged."""
        self.answered = 0
        self.refused = 0
        """Connections that were refused, before anything was sent."""
        self.seconds: list[tuple[float, float]] = []
        """When each request began, by `time.monotonic`, and how long it took."""
        self._urls = urls
        self._clients = clients
        self._without_key = without_key
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="customers")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let each see its last request through."""
        self._stopping = True
        self._thread.join(70)
        assert not self._thread.is_alive()

    def await_more(self, answers: int, *, within: float = 60.0) -> None:
        """Wait until that many more requests were answered."""
        goal = self.answered + answers
        until(lambda: self.answered >= goal, within=within, what=f"{answers} more answers; failed: {self.failed[:3]}")

    def percentile(self, share: float, *, since: float = 0.0) -> float:
        """Seconds within which that share of the requests that began since then was answered."""
        found = sorted(took for began, took in self.seconds if began >= since)
        return found[min(len(found) - 1, int(share * len(found)))] if found else 0.0

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, headers=HEADERS, connector=connector) as session:
            await asyncio.gather(*(self._customer(session, number) for number in range(self._clients)))

    async def _customer(self, session: aiohttp.ClientSession, number: int) -> None:
        at, turn = number, number
        while not self._stopping:
            turn += 1
            began = time.monotonic()
            for _ in range(100):
                try:
                    await self._ask(session, self._urls[at % len(self._urls)], turn % 3)
                except aiohttp.ClientConnectorError:
                    self.refused += 1
                    at += 1
                    await asyncio.sleep(0.02)
                    continue
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self.failed.append(repr(error))
                break
            else:
                self.failed.append("refused everywhere")
            self.answered += 1
            self.seconds.append((began, time.monotonic() - began))
            await asyncio.sleep(_THINKS)

    async def _ask(self, session: aiohttp.ClientSession, url: str, turn: int) -> None:
        if turn == 0:
            asking = session.get(f"{url}/api/v1/orders/{_ORDER}")
        else:
            body = {"order_id": _ORDER, "method": "upi", "vpa": "user@paytm"}
            key = {"Idempotency-Key": uuid.uuid4().hex} if turn == 1 or not self._without_key else {}
            asking = session.post(f"{url}/api/v1/payments", json=body, headers=key)
        async with asking as answer:
            said: dict[str, Any] = await answer.json()
            if answer.status not in {200, 201}:
                self.failed.append(f"{answer.status} {said}")
            elif turn:
                self.paid.append(said["id"])


@contextlib.contextmanager
def customers(urls: Sequence[str], *, clients: int = 8, without_key: bool = True) -> Iterator[Customers]:
    """Customers who are gone after the block.

    Args:
        urls: of the API's processes; who is refused by one goes to the next.
        clients: how many.
        without_key: whether every other payment goes without an Idempotency-Key.
    """
    made = Customers(urls, clients=clients, without_key=without_key)
    made.start()
    try:
        yield made
    finally:
        made.stop()
