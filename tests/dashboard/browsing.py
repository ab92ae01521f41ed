"""A real browser before a real dashboard process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
from playwright.sync_api import Browser, BrowserContext, Locator, Page
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import load
from tests.checkout_page.browsing import PHONE, WIDE, _aside, browsing
from tests.support import calls
from tests.support.processes import Process, Stack, free_port
from tests.support.server import fresh_database
from tests.support.waiting import until

__all__ = ["PHONE", "WIDE", "browsing"]


class Served:
    """The dashboard's process and its database."""

    def __init__(self, stack: Stack, port: int, database_url: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process: Process = stack.process("dashboard")
        self.config = load(stack.env)
        self.conn = psycopg.connect(database_url, autocommit=True, row_factory=dict_row)
        _aside(demo.seed(database_url, self.config))

    def start(self) -> None:
        """Start it (again)."""
        self.process.start()

        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return calls.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            return False

        until(ready, within=30, what="dashboard ready")


class Tab:
    """One tab of a user's; what the console says of errors and of the policy is kept."""

    def __init__(self, served: Served, page: Page) -> None:
        self.served = served
        self.page = page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on(
            "console", lambda said: self.wrong.append(said.text) if "Content Security Policy" in said.text else None
        )

    def __getitem__(self, test_id: str) -> Locator:
        return self.page.locator(f'[data-test-id="{test_id}"]')

    def go(self, path: str) -> None:
        self.page.goto(f"{self.served.url}{path}")

    def sign_in(self, email: str = demo.USERS[0].email, password: str = demo.PASSWORD) -> None:
        self.go("/login")
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self["sign-in-button"].click()
        self.page.wait_for_url("**/dashboard**")


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Served]:
    """A dashboard process on a fresh database of the run's server."""
    with fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url:
        port = free_port()
        stack = Stack(url, folder, LEDGATE_DASHBOARD_PORT=str(port), **settings)
        try:
            made = Served(stack, port, url)
            made.start()
            with contextlib.closing(made.conn):
                yield made
        finally:
            stack.close()


@contextlib.contextmanager
def user(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Somebody's browser, with nothing in it."""
    context = browser.new_context(**{"viewport": WIDE, "locale": "en-IN", **options})
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        context.close()
