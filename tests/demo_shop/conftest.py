"""The demo shop before the real API and a real dispatcher, called as a browser calls it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestServer

from demo_shop.app import Settings, make_app
from gateway import demo
from gateway.config import Config
from tests.gateway.conftest import Api, api
from tests.support.ports import steady_port
from tests.support.waiting import eventually

__all__ = ["api"]

KEYS = (demo.SHOP_KEY_ID, demo.SHOP_SECRET)
CHECKOUT = "http://localhost:3001"


class Shopper:
    """A browser without script, and the merchant's own look at the gateway."""

    def __init__(self, url: str, api: Api) -> None:
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, trust_env=False)
        self._api = api.client

    async def put(self, tea: str, quantity: int = 1) -> httpx.Response:
        return await self.http.post("/basket", data={"tea": tea, "quantity": str(quantity)})

    async def order(self) -> dict[str, Any]:
        """Have the basket made an order, as the page's script does; what the checkout is opened with."""
        said = await self.http.post("/orders", headers={"Accept": "application/json"})
        assert said.status_code == 200, said.text
        till: dict[str, Any] = said.json()
        return till

    async def state(self, till: dict[str, Any]) -> str:
        """How the order's page says that it stands, to somebody who comes from the checkout."""
        said = await self.http.get(f"{till['page']}?thanks")
        return re.search(r'data-state="(\w+)"', said.text)[1]

    async def at_the_gateway(self, path: str) -> Any:
        said = await self._api.get(f"/api/v1{path}", auth=KEYS)
        assert said.status_code == 200, said.text
        return said.json()

    async def pay(self, till: dict[str, Any], vpa: str = "success@paytm") -> None:
        body = {"order_id": till["orderId"], "method": "upi", "vpa": vpa}
        said = await self._api.post("/api/v1/payments", json=body, auth=KEYS)
        assert said.status_code == 201, said.text

    async def patch_endpoint(self, endpoint_id: str, body: dict[str, Any]) -> None:
        said = await self._api.patch(f"/api/v1/webhook-endpoints/{endpoint_id}", json=body, auth=KEYS)
        assert said.status_code == 200, said.text


@contextlib.asynccontextmanager
async def selling(
    api: Api, *, url: str = "", transport: httpx.AsyncBaseTransport | None = None, **changes: str
) -> AsyncIterator[Shopper]:
    """The shop, on a port of its own; it is left to the test to wait for its endpoint."""
    port = steady_port()
    settings = {"key": KEYS[0], "secret": KEYS[1], **changes}
    app = make_app(
        Settings("http://testserver.local", CHECKOUT, url or f"http://127.0.0.1:{port}/webhook", **settings),
        transport=transport or api.client._transport,
    )
    server = TestServer(app, host="127.0.0.1", port=port)
    await server.start_server()
    shopper = Shopper(str(server.make_url("")), api)
    try:
        yield shopper
    finally:
        await shopper.http.aclose()
        await server.close()


async def ready(shopper: Shopper) -> None:
    async def running() -> bool:
        said = await shopper.http.get("/health")
        return bool(json.loads(said.content)["status"] == "running")

    await eventually(running, what="a shop with an endpoint")


@pytest.fixture
async def merchant(config: Config, demo_merchant: str) -> None:
    await demo.seed_shop(config.database_url, config)


@pytest.fixture
async def shopper(api: Api, merchant: None) -> AsyncIterator[Shopper]:
    async with selling(api) as made:
        await ready(made)
        yield made
