"""Clients that pay, and insist: no answer or a 503, and they ask again with the same Idempotency-Key."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import aiohttp
import msgspec

from gateway import demo
from tests.support.waiting import until

HEADERS = {"X-Api-Key": demo.KEY_ID, "X-Api-Secret": demo.SECRET, "Content-Type": "application/json"}
_BACK_OFF = 0.05  # seconds that a client waits before it asks again
_PATIENCE = 60.0  # seconds after which a client gives up, which is a failure


class Answer(NamedTuple):
    """The 201 that ended a client's insisting."""

    request: dict[str, Any]
    body: bytes
    tries: int
    replayed: bool


class Load:
    """So many clients, each with one connection, in a thread of their own so that tests read from top to bottom."""

    def __init__(self, url: str, *, connections: int, thinks: float) -> None:
        self.acknowledged: dict[str, Answer] = {}
        """Idempotency-Key -> its 201."""
        self.statuses: Counter[int] = Counter()
        """Every answer's status."""
        self.refused = 0
        """Tries to connect that were refused."""
        self.broken_off = 0
        """Requests that were sent, and got no answer or half of one."""
        self.wrong: list[str] = []
        """What no client should ever see."""
        self.slowest_refusal = 0.0
        """Seconds until the slowest 503."""
        self._url = f"{url}/api/v1/payments"
        self._connections = connections
        self._thinks = thinks
        self._salt = uuid.uuid4().hex[:8]
        self._count = 0
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let each client see its last payment through."""
        self._stopping = True
        self._thread.join(_PATIENCE + 10)
        assert not self._thread.is_alive()

    def await_more(self, payments: int, *, within: float = 30.0) -> None:
        """Wait until that many more payments were acknowledged."""
        goal = len(self.acknowledged) + payments
        until(
            lambda: len(self.acknowledged) >= goal,
            within=within,
            what=f"{payments} more 201s; so far {len(self.acknowledged)}, {self.statuses}, {self.wrong[:3]}",
        )

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._connections)
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=HEADERS) as session:
            await asyncio.gather(*(self._client(session) for _ in range(self._connections)))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping:
            await self._pay(session)
            await asyncio.sleep(self._thinks)

    async def _pay(self, session: aiohttp.ClientSession) -> None:
        self._count += 1
        key = f"{self._salt}-{self._count}"
        request = _payment(key, self._count)
        give_up = time.monotonic() + _PATIENCE
        for tries in range(1, 10_000):
            asked = time.monotonic()
            if asked > give_up:
                self.wrong.append(f"{key}: no 201 within {_PATIENCE:g} s")
                return
            try:
                async with session.post(self._url, json=request, headers={"Idempotency-Key": key}) as response:
                    body = await response.read()
                    status, replayed = response.status, "Idempotent-Replayed" in response.headers
            except aiohttp.ClientConnectorError:
                self.refused += 1
                await asyncio.sleep(_BACK_OFF)
                continue
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.broken_off += 1
                await asyncio.sleep(_BACK_OFF)
                continue
            self.statuses[status] += 1
            if status == 201:
                self.acknowledged[key] = Answer(request, body, tries, replayed)
                return
            if status != 503 or msgspec.json.decode(body)["error"]["code"] != "UNAVAILABLE":
                self.wrong.append(f"{key}: {status} {body[:300]!r}")
                return
            self.slowest_refusal = max(self.slowest_refusal, time.monotonic() - asked)
            await asyncio.sleep(_BACK_OFF)


@contextlib.contextmanager
def load(url: str, *, connections: int = 16, thinks: float = 0.0) -> Iterator[Load]:
    """A load that ends with the block.

    Args:
        connections: clients.
        thinks: seconds that a client waits from an answer to its next payment.
    """
    running = Load(url, connections=connections, thinks=thinks)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def _payment(key: str, number: int) -> dict[str, Any]:
    """By turns: a known order, one that the payment opens, one paid by card, one that the bank declines."""
    opened = {"order_id": f"order-{key}", "amount": 100 + number, "currency": "INR"}
    card = {"number": "4111111111111111", "expiry_month": 12, "expiry_year": 2040, "cvv": "123", "name": "A. Payer"}
    match number % 4:
        case 0:
            return {"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "user@paytm"}
        case 1:
            return {**opened, "method": "upi", "vpa": "user@paytm", "notes": {"cart": key}}
        case 2:
            return {**opened, "method": "card", "card": card}
        case _:
            return {**opened, "method": "upi", "vpa": "failure@paytm"}
