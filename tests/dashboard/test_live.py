"""What a page is told by its stream: every change since it was made, whenever it came."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dashboard.live import OF_ONE_USER, Live, Stands
from tests.dashboard.conftest import VIEWER, Browser, House

NEW = b"event: new\ndata: \n\n"


async def yes() -> bool:
    return True


async def test_a_page_hears_of_what_happened_before_its_stream_was_open() -> None:
    async def ask() -> str:
        return "done"

    live = Live(most=2, interval=0.01)
    late = live._events("recovery:1", ask, time.monotonic() + 20, lambda: False, yes, told="running", user_id="usr_1")
    assert [await anext(late), await anext(late)] == [b"retry: 1000\n\n", NEW]
    in_time = live._events("recovery:1", ask, time.monotonic() + 0.1, lambda: False, yes, told="done", user_id="usr_1")
    assert [one async for one in in_time if one == NEW] == [], "that is how the page was made"
    await late.aclose()


async def test_a_change_while_another_is_being_told_is_not_lost() -> None:
    mark = "a"

    async def ask() -> str:
        return mark

    live = Live(most=2, interval=0.01)
    stream = live._events("log:1", ask, time.monotonic() + 20, lambda: False, yes, told="before", user_id="usr_1")
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
    stream = live._events("log:1", ask, time.monotonic() + 20, lambda: gone, yes, told=None, user_id="usr_1")
    assert await anext(stream) == b"retry: 1000\n\n"
    ending = asyncio.ensure_future(anext(stream, b"the end"))
    await asked.wait()  # and the stream waits for a change
    asked.clear()
    await asked.wait()
    gone = True

    async with asyncio.timeout(2):
        assert await ending == b"the end"
    assert live.streams == 0


async def test_who_may_no_longer_look_hears_nothing_more() -> None:
    """Signed out, removed from the merchant, disabled: an open stream ends before it tells that something happened."""
    mark, may = "a", True

    async def ask() -> str:
        return mark

    async def stands() -> bool:
        return may

    live = Live(most=2, interval=0.01)
    stream = live._events("log:1", ask, time.monotonic() + 20, lambda: False, stands, told="before", user_id="usr_1")
    assert [await anext(stream), await anext(stream)] == [b"retry: 1000\n\n", NEW]
    mark, may = "b", False
    assert [one async for one in stream] == []
    assert (live.streams, live.of_users) == (0, {})


async def test_a_stream_stands_with_the_session_and_the_role_that_opened_it(house: House, viewer: Browser) -> None:
    told: list[Stands] = []
    live = house.app.state.live
    events = live._events

    def watched(*given: Any, **more: Any) -> Any:
        told.append(given[4])
        return events(*given, **more)

    live._events = watched
    house.app.state.gateway.leaving = lambda: True  # it ends at once, or the client would wait for its end
    await viewer.client.get("/dashboard/live")
    (stands,) = told
    assert await stands()
    house.conn.execute("UPDATE memberships SET role = 'developer' WHERE role = 'viewer'")
    assert not await stands(), "another role sees other pages"
    house.conn.execute("UPDATE memberships SET role = 'viewer' WHERE role = 'developer'")
    assert await stands()
    house.conn.execute("DELETE FROM sessions")
    assert not await stands()


async def test_one_user_cannot_take_all_streams(house: House, viewer: Browser, owner: Browser) -> None:
    house.app.state.gateway.leaving = lambda: True
    row = house.conn.execute("SELECT id FROM users WHERE email = %s", [VIEWER]).fetchone()
    assert row
    house.app.state.live.of_users[row["id"]] = OF_ONE_USER
    assert (await viewer.client.get("/dashboard/live")).status_code == 503
    assert (await owner.client.get("/dashboard/live")).status_code == 200
