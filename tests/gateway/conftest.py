"""The real application on a real database, called in-process as the demo merchant."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar

from gateway import demo
from gateway.api.app import make_app
from gateway.config import Config

AUTH = {"X-Api-Key": demo.KEY_ID, "X-Api-Secret": demo.SECRET}
UPI = {"order_id": "order_test_123", "method": "upi", "vpa": "user@paytm"}
CARD = {"number": "4111 1111 1111 1111", "expiry_month": 12, "expiry_year": 2040, "cvv": "123", "name": "A Payer"}


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


@contextlib.asynccontextmanager
async def side_by_side(config: Config, make: Callable[[Config], Litestar] = make_app) -> AsyncIterator[Api]:
    """The application in this loop: requests that a test sends with `gather` race, as they do behind a server.

    Litestar's test client hands each request to a loop of its own and blocks until it is answered, so that what is
    sent with `gather` comes one after the other, and races nobody.
    """
    app = make(config)
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
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver.local") as client:
            yield Api(client)
    finally:
        over.set()
        waiting.cancel()
        await living
