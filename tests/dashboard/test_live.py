"""What a page is told by its stream: every change since it was made, whenever it came."""

from __future__ import annotations

import asyncio
import time

from dashboard.live import Live

NEW = b"event: new\ndata: \n\n"


async def test_a_page_hears_of_what_happened_before_its_stream_was_open() -> None:
    async def ask() -> str:
        return "done"

    live = Live(most=2, interval=0.01)
    late = live._events("recovery:1", ask, time.monotonic() + 20, lambda: False, "running")
    assert [await anext(late), await anext(late)] == [b"retry: 1000\n\n", NEW]
    in_time = live._events("recovery:1", ask, time.monotonic() + 0.1, lambda: False, "done")
    assert [one async for one in in_time if one == NEW] == [], "that is how the page was made"
    await late.aclose()


async def test_a_change_while_another_is_being_told_is_not_lost() -> None:
    mark = "a"

    async def ask() -> str:
        return mark

    live = Live(most=2, interval=0.01)
    stream = live._events("log:1", ask, time.monotonic() + 20, lambda: False, "before")
    assert [await anext(stream), await anext(stream)] == [b"retry: 1000\n\n", NEW]
    mark = "b"
    assert await anext(stream) == NEW
    await stream.aclose()
    assert live.streams == 0


async def test_a_stream_ends_soon_when_the_process_is_leaving() -> None:
    """Not at its next heartbeat: whoever stops the process waits for it."""
    gone = False
    asked = asyncio.Event()

    async def ask() -> str:
        asked.set()
        return "same"

    live = Live(most=2, interval=0.01)
    stream = live._events("log:1", ask, time.monotonic() + 20, lambda: gone)
    assert await anext(stream) == b"retry: 1000\n\n"
    ending = asyncio.ensure_future(anext(stream, b"the end"))
    await asked.wait()  # and the stream waits for a change
    asked.clear()
    await asked.wait()
    gone = True

    async with asyncio.timeout(2):
        assert await ending == b"the end"
    assert live.streams == 0
