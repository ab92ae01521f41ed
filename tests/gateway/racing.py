"""The application called by many at once: requests run side by side, as they do behind a server.

Litestar's test client hands each request to the application's loop and blocks until it is answered: what a test sends
with `gather` through it comes one after the other, and races nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
from litestar.testing import AsyncTestClient

from gateway.api.app import make_app
from gateway.config import Config
from tests.gateway.conftest import Api


@contextlib.asynccontextmanager
async def racing_api(config: Config) -> AsyncIterator[Api]:
    """Calls as the demo merchant, in this loop and side by side."""
    app = make_app(config)
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
            yield Api(cast("AsyncTestClient[Any]", client))
    finally:
        over.set()
        waiting.cancel()
        await living
