"""Debian's Chromium, one for each worker of a run; each test has a browser that has seen nothing.

Where its `chromium-headless-shell` is, it is that: the same engine, built without the window that nobody sees, which
takes half of the processor time. `CHROMIUM` names another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
PROGRAM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
PATIENCE = 20_000  # milliseconds for a step; a bound, not an expectation
LONGEST = 90  # seconds for a test
PHONE = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}

_wrong: WeakKeyDictionary[BrowserContext, list[str]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Chromium, which has scrollbars as shoppers' browsers have; what it loads of Playwright, only tests of it load."""
    if PROGRAM is None:
        required = os.environ.get("CI_BROWSER") == "required"
        (pytest.fail if required else pytest.skip)("no Chromium: apt-get install chromium, or set CHROMIUM")
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(
            executable_path=PROGRAM,
            # The tests may run as root, where Chromium has no sandbox. Pages are drawn by the processor either way: by
            # way of a graphics card that is none, that takes a tenth longer.
            args=["--no-sandbox", "--disable-gpu"],
            ignore_default_args=["--hide-scrollbars"],
        )
        try:
            yield made
        finally:
            await made.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The worker's own. Its tests run in the session's loop: `pytest.mark.asyncio(loop_scope="session")`."""
    async with launched() as made:
        yield made


@contextlib.asynccontextmanager
async def shopper(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """Somebody's browser, with nothing in it: a window of 1280 by 800.

    What goes wrong in any of its pages fails the test, see `wrong`; and so does a step that takes for ever, since not
    every call of the driver has a time limit of its own.
    """
    context = await browser.new_context(**{"viewport": WIDE, "locale": "en-IN", **options})
    context.set_default_timeout(PATIENCE)
    said = _wrong[context] = []
    context.on("weberror", lambda error: said.append(str(error.error)))
    context.on("console", lambda line: said.append(line.text) if "Content Security Policy" in line.text else None)
    loop = asyncio.get_running_loop()
    limit = loop.call_later(LONGEST, lambda: loop.create_task(context.close(reason=f"longer than {LONGEST} s")))
    try:
        yield context
    finally:
        limit.cancel()
        await context.close()
    assert said == []


def wrong(page: Page) -> list[str]:
    """Errors that no page of its context caught, and what a policy refused; who expects some, takes them out."""
    return _wrong[page.context]


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    async with shopper(browser) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


async def go(page: Page, address: str) -> None:
    """Go to an address, also while networks of containers come and go on this machine: each time, Chromium aborts."""
    from playwright.async_api import Error

    for left in reversed(range(5)):
        try:
            await page.goto(address)
        except Error as error:
            if "ERR_NETWORK_CHANGED" not in str(error) or not left:
                raise
        else:
            return
