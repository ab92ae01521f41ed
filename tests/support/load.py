"""Clients that pay, or ask for something else, and insist: no answer or a 503, and they ask again with the same key."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import aiohttp
import msgspec

from gateway import demo
from tests.support.waiting import until

HEADERS = {"X-Api-Key": demo.KEY_ID, "X-Api-Secret": demo.SECRET, "Content-Type": "application/json"}
_BACK_OFF = 0.05  # seconds that a client waits before it asks again
_PATIENCE = 60.0  # seconds after which a client gives up, which is a failure


Ask = Callable[[str, int], tuple[str, dict[str, Any]]]
"""An Idempotency-Key and a number -> the path below `/api/v1` and the body of a POST."""


class Answer(NamedTuple):
    """The 201 that ended a client's insisting."""

    path: str
    request: dict[str, Any]
    body: bytes
    tries: int
    replayed: bool


class Load:
    """So many clients, each with one connection, in a thread of their own so that tests read from top to bottom."""

    def __init__(self, url: str, *, connections: int, thinks: float, ask: Ask, refusals: AbstractSet[str]) -> None:
        self.acknowledged: dict[str, Answer] = {}
        """Idempotency-Key -> its 201."""
        self.statuses: Counter[int] = Counter()
        """Every answer's status."""
        self.declined: Counter[str] = Counter()
        """The expected refusals that ended a client's insisting, by reason."""
        self.refused = 0
        """Tries to connect that were refused."""
        self.broken_off = 0
        """Requests that were sent, and got no answer or half of one."""
        self.wrong: list[str] = []
        """What no client should ever see."""
        self.slowest_refusal = 0.0
        """Seconds until the slowest 503."""
        self._url = f"{url}/api/v1"
        self._ask = ask
        self._refusals = refusals
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

    def await_more(self, answers: int, *, within: float = 30.0) -> None:
        """Wait until that many more requests were acknowledged."""
        goal = len(self.acknowledged) + answers
        until(
            lambda: len(self.acknowledged) >= goal,
            within=within,
            what=f"{answers} more 201s; so far {len(self.acknowledged)}, {self.statuses}, {self.wrong[:3]}",
        )

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._connections)
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=HEADERS) as session:
            await asyncio.gather(*(self._client(session) for _ in range(self._connections)))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping:
            await self._insist(session)
            await asyncio.sleep(self._thinks)

    async def _insist(self, session: aiohttp.ClientSession) -> None:
        self._count += 1
        key = f"{self._salt}-{self._count}"
        path, request = self._ask(key, self._count)
        give_up = time.monotonic() + _PATIENCE
        for tries in range(1, 10_000):
            asked = time.monotonic()
            if asked > give_up:
                self.wrong.append(f"{key}: no 201 within {_PATIENCE:g} s")
                return
            try:
                async with session.post(self._url + path, json=request, headers={"Idempotency-Key": key}) as response:
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
                self.acknowledged[key] = Answer(path, request, body, tries, replayed)
                return
            error = msgspec.json.decode(body)["error"]
            if status == 400 and error.get("reason") in self._refusals:
                self.declined[error["reason"]] += 1
                return
            if status != 503 or error["code"] != "UNAVAILABLE":
                self.wrong.append(f"{key}: {status} {body[:300]!r}")
                return
            self.slowest_refusal = max(self.slowest_refusal, time.monotonic() - asked)
            await asyncio.sleep(_BACK_OFF)


def payment(key: str, number: int) -> tuple[str, dict[str, Any]]:
    """By turns: a known order, one that the payment opens, one paid by card, one that the bank declines."""
    opened = {"order_id": f"order-{key}", "amount": 100 + number, "currency": "INR"}
    card = {"number": "4111111111111111", "expiry_month": 12, "expiry_year": 2040, "cvv": "123", "name": "A. Payer"}
    match number % 4:
        case 0:
            return "/payments", {"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "user@paytm"}
        case 1:
            return "/payments", {**opened, "method": "upi", "vpa": "user@paytm", "notes": {"cart": key}}
        case 2:
            return "/payments", {**opened, "method": "card", "card": card}
        case _:
            return "/payments", {**opened, "method": "upi", "vpa": "failure@paytm"}


@contextlib.contextmanager
def load(
    url: str,
    *,
    connections: int = 16,
    thinks: float = 0.0,
    ask: Ask = payment,
    refusals: AbstractSet[str] = frozenset(),
) -> Iterator[Load]:
    """A load that ends with the block.

    Args:
        url: of the API.
        connections: clients.
        thinks: seconds that a client waits from an answer to its next request.
        ask: what each request is; payments by default.
        refusals: reasons of a 400 that are right, and end a request.
    """
    running = Load(url, connections=connections, thinks=thinks, ask=ask, refusals=refusals)
    running.start()
    try:
        yield running
    finally:
        running.stop()
