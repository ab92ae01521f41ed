"""A real browser before a real checkout process; payments settle when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
from playwright.async_api import Locator, Page
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import load
from tests.support import browser, calls
from tests.support.ports import steady_port
from tests.support.processes import Process, Stack
from tests.support.server import fresh_database
from tests.support.waiting import eventually, until
from tests.support.working import work_off

REUSABLE = "order_test_123"


class Hosted:
    """The checkout's process, the merchant behind it, and a processor that waits for the test."""

    def __init__(self, stack: Stack, port: int, database_url: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.database_url = database_url
        self.process: Process = stack.process("gateway.checkout")
        self.config = load({**stack.env, "TEST_PROCESSING_DELAY": "0"})
        self.conn = psycopg.connect(database_url, autocommit=True, row_factory=dict_row)
        asyncio.run(demo.seed(database_url, self.config))

    def start(self) -> None:
        """Start it (again)."""
        self.process.start()

        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return calls.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            return False

        until(ready, within=30, what="checkout ready")

    def order(self, amount: int = 129_900, currency: str = "INR") -> str:
        """A new order of the demo merchant; its id."""
        order_id = f"order_{uuid.uuid4().hex[:12]}"
        self.conn.execute(
            "INSERT INTO orders (bucket, merchant_id, id, amount, currency, reusable, created_at, updated_at)"
            " SELECT bucket, id, %s, %s, %s, false, statement_timestamp(), statement_timestamp()"
            " FROM merchants WHERE id = %s",
            [order_id, amount, currency, demo.MERCHANT_ID],
        )
        return order_id

    def payments(self, order_id: str) -> list[dict[str, Any]]:
        return self.conn.execute("SELECT * FROM payments WHERE order_id = %s ORDER BY id", [order_id]).fetchall()

    async def pending(self, order_id: str, count: int = 1) -> str:
        """Wait for the payment that the page has started; its id."""

        async def there() -> bool:
            return len(self.payments(order_id)) >= count

        await eventually(there, what="a payment in the database")
        return str(self.payments(order_id)[-1]["id"])

    async def settle(self) -> None:
        """Let the processor answer for all that is pending."""
        await work_off(self.config, "payment.process")

    def frame_on(self, *origins: str) -> None:
        """Say where the merchant's pages are."""
        self.conn.execute("UPDATE merchants SET checkout_origins = %s", [list(origins)])

    def address(self, order_id: str, **more: str) -> str:
        query = httpx.QueryParams({"order_id": order_id, "key": demo.KEY_ID, **more})
        return f"{self.url}/checkout?{query}"


class Tab:
    """One tab of a shopper's."""

    def __init__(self, hosted: Hosted, page: Page) -> None:
        self.hosted = hosted
        self.page = page

    def __getitem__(self, test_id: str) -> Locator:
        return self.page.locator(f'[data-test-id="{test_id}"]')

    async def open(self, order_id: str, **more: str) -> None:
        """Open the checkout until its script is there."""
        await self.go(self.hosted.address(order_id, **more))
        await self.ready()

    async def go(self, address: str) -> None:
        await browser.go(self.page, address)

    async def ready(self) -> None:
        await self.page.wait_for_selector("html[data-script=ready]", state="attached")

    async def pay_by_upi(self, vpa: str = "success@paytm") -> None:
        await self["vpa-input"].fill(vpa)
        await self["pay-button"].click()

    async def fill_card(self, number: str = "4111111111111111") -> None:
        await self["method-card"].click()
        await self["card-number-input"].fill(number)
        await self["expiry-input"].fill("12/40")
        await self["cvv-input"].fill("123")
        await self["cardholder-name-input"].fill("Asha Rao")


@contextlib.contextmanager
def hosting(folder: Path) -> Iterator[Hosted]:
    """A checkout process on a fresh database of the run's server."""
    with (
        fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url,
        host(url, folder) as made,
    ):
        yield made


@contextlib.contextmanager
def host(database_url: str, folder: Path, **settings: str) -> Iterator[Hosted]:
    """A checkout process on a migrated database."""
    port = steady_port()
    stack = Stack(database_url, folder, LEDGATE_CHECKOUT_PORT=str(port), **settings)
    try:
        made = Hosted(stack, port, database_url)
        made.start()
        with contextlib.closing(made.conn):
            yield made
    finally:
        stack.close()
