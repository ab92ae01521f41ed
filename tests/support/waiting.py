"""Wait for what must come; never sleep and hope."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def until(probe: Callable[[], T | None], *, within: float = 15.0, what: str | Callable[[], str] = "") -> T:
    """Call `probe` until it gives something true; fail after `within` seconds, naming `what` as it is then."""
    end = time.monotonic() + within
    while True:
        if value := probe():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not come within {within:g} s: {(what() if callable(what) else what) or probe}")
        time.sleep(0.02)


async def eventually(probe: Callable[[], Awaitable[T | None]], *, within: float = 15.0, what: str = "") -> T:
    """The same for a coroutine function."""
    end = time.monotonic() + within
    while True:
        if value := await probe():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not come within {within:g} s: {what or probe}")
        await asyncio.sleep(0.02)
