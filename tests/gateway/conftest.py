"""The real application on a real database, called in-process as the demo merchant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar.testing import AsyncTestClient

from gateway import demo
from gateway.api.app import make_app
from gateway.config import Config

AUTH = {"X-Api-Key": demo.KEY_ID, "X-Api-Secret": demo.SECRET}
UPI = {"order_id": "order_test_123", "method": "upi", "vpa": "user@paytm"}
CARD = {"number": "4111 1111 1111 1111", "expiry_month": 12, "expiry_year": 2040, "cvv": "123", "name": "A Payer"}


class Api:
    """Calls as the demo merchant."""

    def __init__(self, client: AsyncTestClient[Any]) -> None:
        self.client = client

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        return await self.client.post(f"/api/v1{path}", json=body, headers={**AUTH, **headers})

    async def get(self, path: str, **params: object) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", params=params, headers=AUTH)


@pytest.fixture
async def api(config: Config, demo_merchant: str) -> AsyncIterator[Api]:
    async with AsyncTestClient(make_app(config), raise_server_exceptions=False) as client:
        yield Api(client)
