"""A real browser before a real dashboard process."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
from playwright.async_api import Locator, Page
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import load
from tests.dashboard.conftest import COOKIE
from tests.dashboard.entering import begin_session
from tests.support import browser, calls
from tests.support.ports import steady_port
from tests.support.processes import Process, Stack
from tests.support.server import fresh_database
from tests.support.waiting import until


class Served:
    """The dashboard's process and its database."""

    def __init__(self, stack: Stack, port: int, database_url: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.database_url = database_url
        self.process: Process = stack.process("dashboard")
        self.config = load(stack.env)
        self.conn = psycopg.connect(database_url, autocommit=True, row_factory=dict_row)
        asyncio.run(demo.seed(database_url, self.config))

    def start(self) -> None:
        """Start it (again)."""
        self.process.start()

        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return calls.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            return False

        until(ready, within=30, what="dashboard ready")


class Tab:
    """One tab of a user's."""

    def __init__(self, served: Served, page: Page) -> None:
        self.served = served
        self.page = page

    def __getitem__(self, test_id: str) -> Locator:
        return self.page.locator(f'[data-test-id="{test_id}"]')

    async def go(self, path: str) -> None:
        await browser.go(self.page, f"{self.served.url}{path}")

    async def enter(self, email: str = demo.USERS[0].email) -> None:
        """With a session as the sign-in makes it; that has its own tests, and takes two pages."""
        served = self.served
        token = await begin_session(served.config, email)
        await self.page.context.add_cookies([{"name": COOKIE, "value": token, "url": served.url}])

    async def sign_in(self, email: str = demo.USERS[0].email, password: str = demo.PASSWORD) -> None:
        await self.go("/login")
        await self.page.fill("#email", email)
        await self.page.fill("#password", password)
        await self["sign-in-button"].click()
        await self.page.wait_for_url("**/dashboard**")


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Served]:
    """A dashboard process on a fresh database of the run's server."""
    with fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url:
        port = steady_port()
        stack = Stack(url, folder, LEDGATE_DASHBOARD_PORT=str(port), **settings)
        try:
            made = Served(stack, port, url)
            made.start()
            with contextlib.closing(made.conn):
                yield made
        finally:
            stack.close()
