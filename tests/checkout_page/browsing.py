"""A real browser before a real checkout process; payments settle when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, expect, sync_playwright
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import load
from tests.support import calls
from tests.support.processes import Process, Stack, free_port
from tests.support.server import fresh_database
from tests.support.waiting import until
from tests.support.working import work_off

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
expect.set_options(timeout=20_000)  # milliseconds; a bound, not an expectation
REUSABLE = "order_test_123"
PHONE = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}


def _aside(work: Coroutine[Any, Any, None]) -> None:
    """In a thread: Playwright's own loop runs in ours."""
    with ThreadPoolExecutor(1) as one:
        one.submit(asyncio.run, work).result()


class Hosted:
    """The checkout's process, the merchant behind it, and a processor that waits for the test."""

    def __init__(self, stack: Stack, port: int, database_url: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.database_url = database_url
        self.process: Process = stack.process("gateway.checkout")
        self.config = load({**stack.env, "TEST_PROCESSING_DELAY": "0"})
        self.conn = psycopg.connect(database_url, autocommit=True, row_factory=dict_row)
        _aside(demo.seed(database_url, self.config))

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

    def pending(self, order_id: str, count: int = 1) -> str:
        """Wait for the payment that the page has started; its id."""
        until(lambda: len(self.payments(order_id)) >= count, what="a payment in the database")
        return str(self.payments(order_id)[-1]["id"])

    def settle(self) -> None:
        """Let the processor answer for all that is pending."""
        _aside(work_off(self.config, "payment.process"))

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
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on(
            "console", lambda said: self.wrong.append(said.text) if "Content Security Policy" in said.text else None
        )

    def __getitem__(self, test_id: str) -> Locator:
        return self.page.locator(f'[data-test-id="{test_id}"]')

    def open(self, order_id: str, **more: str) -> None:
        """Open the checkout until its script is there."""
        self.go(self.hosted.address(order_id, **more))
        self.ready()

    def go(self, address: str) -> None:
        for tries in range(5):  # networks of containers come and go on this machine, and each time Chromium aborts
            try:
                self.page.goto(address)
            except Error as error:
                if "ERR_NETWORK_CHANGED" not in str(error) or tries == 4:
                    raise
            else:
                return

    def ready(self) -> None:
        self.page.wait_for_selector("html[data-script=ready]", state="attached")

    def pay_by_upi(self, vpa: str = "success@paytm") -> None:
        self["vpa-input"].fill(vpa)
        self["pay-button"].click()

    def fill_card(self, number: str = "4111111111111111") -> None:
        self["method-card"].click()
        self["card-number-input"].fill(number)
        self["expiry-input"].fill("12/40")
        self["cvv-input"].fill("123")
        self["cardholder-name-input"].fill("Asha Rao")


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
    port = free_port()
    stack = Stack(database_url, folder, LEDGATE_CHECKOUT_PORT=str(port), **settings)
    try:
        made = Hosted(stack, port, database_url)
        made.start()
        with contextlib.closing(made.conn):
            yield made
    finally:
        stack.close()


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """Debian's Chromium."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium: apt-get install chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def shopper(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Somebody's browser, with nothing in it."""
    context = browser.new_context(**{"viewport": WIDE, "locale": "en-IN", **options})
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        context.close()
