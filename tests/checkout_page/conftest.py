"""The checkout's application on a real database, called as its page calls it."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from gateway import demo
from gateway.checkout.app import make_app
from gateway.checkout.progress import Progress
from gateway.config import Config
from tests.checkout_page.browsing import Hosted, hosting
from tests.gateway.conftest import CARD, api, side_by_side
from tests.support.working import Hands, hands

__all__ = ["api"]

KEY = demo.KEY_ID
COLLECT = {"method": "upi", "flow": "collect", "vpa": "success@paytm"}
BY_CARD = {"method": "card", "card": CARD}

Conn = psycopg.Connection[dict[str, Any]]


class Page:
    """What the script of one page knows: its token and the number of its try."""

    def __init__(self, client: httpx.AsyncClient, answer: httpx.Response) -> None:
        self.client = client
        self.html = answer.text
        self.headers = answer.headers
        found = re.search(r'<script type="application/json" id="boot"[^>]*>(.*?)</script>', answer.text, re.DOTALL)
        assert found, answer.text
        self.boot: dict[str, Any] = msgspec.json.decode(found[1])
        self.token: str = self.boot["view"]["session"]

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers: Any = {"X-Checkout-Session": self.token.encode("latin-1"), **more.pop("headers", {})}
        said = await self.client.request(method, f"/checkout/{path}", headers=headers, **more)
        if said.status_code == 200 and "json" in said.headers["content-type"]:
            self.token = said.json()["session"]
        return said

    async def pay(self, body: object = COLLECT, *, attempt: int = 1) -> dict[str, Any]:
        said = await self.try_to_pay(body, attempt=attempt)
        assert said.status_code == 200, said.text
        view: dict[str, Any] = said.json()
        return view

    async def try_to_pay(self, body: object = COLLECT, *, attempt: int | str = 1) -> httpx.Response:
        return await self.call("POST", "pay", json=body, headers={"Idempotency-Key": str(attempt)})

    async def state(self) -> dict[str, Any]:
        said = await self.call("GET", "state")
        assert said.status_code == 200, said.text
        view: dict[str, Any] = said.json()
        return view

    def text(self, test_id: str) -> str:
        """What stands in the element of that test id; its own text alone."""
        found = re.search(rf'data-test-id="{test_id}"[^>]*>([^<]*)', self.html)
        assert found, test_id
        return html.unescape(found[1])


class Shop:
    """A shopper's browser before the checkout, and the merchant's orders behind it."""

    def __init__(self, client: httpx.AsyncClient, conn: Conn) -> None:
        self.client = client
        self.conn = conn

    def order(self, order_id: str, amount: int = 129_900, currency: str = "INR", *, reusable: bool = False) -> str:
        self.conn.execute(
            "INSERT INTO orders (bucket, merchant_id, id, amount, currency, reusable, created_at, updated_at)"
            " SELECT bucket, id, %s, %s, %s, %s, statement_timestamp(), statement_timestamp()"
            " FROM merchants WHERE id = %s",
            [order_id, amount, currency, reusable, demo.MERCHANT_ID],
        )
        return order_id

    async def ask(self, order_id: str, key: str = KEY, **more: str) -> httpx.Response:
        headers = {"Accept-Language": more.pop("language")} if "language" in more else {}
        return await self.client.get("/checkout", params={"order_id": order_id, "key": key, **more}, headers=headers)

    async def open(self, order_id: str, **more: str) -> Page:
        said = await self.ask(order_id, **more)
        assert said.status_code == 200, said.text
        return Page(self.client, said)

    @property
    def progress(self) -> Progress:
        """The poller of the application."""
        app: Any = self.client._transport.app  # type: ignore[attr-defined]
        found: Progress = app.state.checkout.progress
        return found

    def payments(self) -> list[dict[str, Any]]:
        return self.conn.execute("SELECT * FROM payments ORDER BY id").fetchall()


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A checkout process, shared: a test that changes it or its merchant puts it back."""
    with hosting(tmp_path_factory.mktemp("checkout")) as made:
        yield made


@pytest.fixture
async def shop(config: Config, demo_merchant: str, conn: Conn) -> AsyncIterator[Shop]:
    async with side_by_side(config, make_app) as made:
        yield Shop(made.client, conn)


@pytest.fixture(name="hands")
async def _hands(config: Config, demo_merchant: str) -> AsyncIterator[Hands]:
    async with hands(msgspec.structs.replace(config, test_processing_delay=0)) as made:
        yield made
