"""The SDK as it is built, two origins that serve pages, and Debian's Chromium."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.checkout.origins import Checkout, Shop
from tests.support.npm import Installed, installed
from tests.support.tools import node_program

__all__ = ["installed"]
LONGEST = 90
SDK = Path(__file__).parents[2] / "sdk-js"


@pytest.fixture(scope="session")
def sdk(installed: Installed) -> Path:
    """A copy of `sdk-js` with its packages and a fresh `dist/`; workers of pytest-xdist share it."""
    copy = installed(SDK)
    with (copy / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (copy / "built").exists():
            said = subprocess.run(
                [node_program(), "build.mjs"], cwd=copy, capture_output=True, text=True, timeout=120, check=False
            )
            assert said.returncode == 0, said.stdout + said.stderr
            (copy / "built").touch()
    return copy


@pytest.fixture(scope="session")
def checkout(sdk: Path) -> Iterator[Checkout]:
    """The checkout's origin: the built SDK, and a frame that does what a test says."""
    with Checkout(sdk / "dist") as served:
        yield served


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    """A merchant's origin, which is another site."""
    with Shop() as served:
        yield served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium: apt-get install chromium, or set CHROMIUM")
    async with async_playwright() as playwright:
        # No sandbox: the tests may run as root, where Chromium has none.
        launched = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A window of 1280 by 800, of a browser that has seen nothing; an error that nobody caught fails the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-IN")
    made = await context.new_page()
    made.set_default_timeout(10_000)
    uncaught: list[str] = []
    made.on("pageerror", lambda error: uncaught.append(str(error)))
    made.uncaught = uncaught  # type: ignore[attr-defined]
    # Not every call of the driver has a time limit of its own.
    loop = asyncio.get_running_loop()
    limit = loop.call_later(LONGEST, lambda: loop.create_task(context.close(reason=f"longer than {LONGEST} s")))
    yield made
    limit.cancel()
    await context.close()
    assert uncaught == []
