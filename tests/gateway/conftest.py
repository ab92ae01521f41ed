"""The real application on a real database, called in-process as the demo merchant."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar import Litestar

from gateway import demo
from gateway.api.app import make_app
from gateway.config import Config

AUTH = {"X-Api-Key": demo.KEY_ID, "X-Api-Secret": demo.SECRET}
UPI = {"order_id": "order_test_123", "method": "upi", "vpa": "user@paytm"}
CARD = {"number": "4111 1111 1111 1111", "expiry_month": 12, "expiry_year": 2040, "cvv": "123", "name": "A Payer"}
BASE = "http://testserver.local"


class Api:
    """Calls as the demo merchant."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        return await self.client.post(f"/api/v1{path}", json=body, headers={**AUTH, **headers})

    async def get(self, path: str, **params: object) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", params=params, headers=AUTH)


@pytest.fixture
async def api(config: Config, demo_merchant: str) -> AsyncIterator[Api]:
    async with side_by_side(config) as made:
        yield made


_idle: defaultdict[tuple[Callable[[Config], Litestar], Config], list[tuple[Litestar, Config]]] = defaultdict(list)


@contextlib.contextmanager
def built(config: Config, make: Callable[[Config], Litestar]) -> Iterator[Litestar]:
    """The application; one that a test before has used, where they differ in their database only.

    To register the routes takes an eighth of a second. Of what was before, the figures of /metrics alone are left: all
    else is made as the application starts, from its settings.
    """
    idle = _idle[make, msgspec.structs.replace(config, database_url="")]
    if idle:
        app, own = idle.pop()
        msgspec.structs.force_setattr(own, "database_url", config.database_url)
    else:
        own = msgspec.structs.replace(config)
        app = make(own)
    yield app
    idle.append((app, own))


@contextlib.asynccontextmanager
async def side_by_side(config: Config, make: Callable[[Config], Litestar] = make_app) -> AsyncIterator[Api]:
    """The application in this loop: requests that a test sends with `gather` race, as they do behind a server.

    Litestar's test client hands each request to a loop of its own and blocks until it is answered, so that what is
    sent with `gather` comes one after the other, and races nobody.
    """
    with built(config, make) as app:
        async with living(app) as transport, httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            yield Api(client)


@contextlib.asynccontextmanager
async def living(app: Litestar) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """The application between its start and its end."""
    ready, over = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        """In a task of its own: what the application opens must be closed by whoever opened it, and fixtures move."""
        async with app.lifespan():
            ready.set()
            await over.wait()

    living = asyncio.create_task(live())
    await asyncio.wait([living, waiting := asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    try:
        yield transport
    finally:
        over.set()
        waiting.cancel()
        await living
