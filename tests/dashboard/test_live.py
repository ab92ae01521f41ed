"""What a page is told by its stream: every change since it was made, whenever it came."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dashboard import operations
from dashboard.live import OF_ONE_USER, Ask, Live, Stands
from kit import ids
from tests.dashboard.conftest import VIEWER, Browser, House
from tests.dashboard.hooks import WHOSE
from tests.dashboard.paying import Till


def new(mark: str) -> bytes:
    return f"event: new\nid: {mark}\ndata: \n\n".encode()


async def yes() -> bool:
    return True


async def test_a_page_hears_of_what_happened_before_its_stream_was_open() -> None:
    async def ask() -> str:
        return "done"

    live = Live(most=2, interval=0.01)
    late = live._events("recovery:1", ask, time.monotonic() + 20, lambda: False, yes, told="running", user_id="usr_1")
    assert [await anext(late), await anext(late)] == [b"retry: 1000\n\n", new("done")]
    in_time = live._events("recovery:1", ask, time.monotonic() + 0.1, lambda: False, yes, told="done", user_id="usr_1")
    assert [one async for one in in_time if b"new" in one] == [], "that is how the page was made"
    await late.aclose()


async def test_a_change_while_another_is_being_told_is_not_lost() -> None:
    mark = "a"

    async def ask() -> str:
        return mark

    live = Live(most=2, interval=0.01)
    stream = live._events("log:1", ask, time.monotonic() + 20, lambda: False, yes, told="before", user_id="usr_1")
    assert [await anext(stream), await anext(stream)] == [b"retry: 1000\n\n", new("a")]
    mark = "b"
    assert await anext(stream) == new("b")
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
    assert [await anext(stream), await anext(stream)] == [b"retry: 1000\n\n", new("a")]
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


def _a_recovery(house: House) -> str:
    recovery = ids.new("rcv")
    house.conn.execute(
        "INSERT INTO recoveries (bucket, merchant_id, id, recovers, since, until, up_to_now, rate, total,"
        " total_is_exact, place, created_at, updated_at) VALUES (%(bucket)s, %(merchant_id)s, %(id)s, '{failed}',"
        " now() - interval '1 h', now(), true, 1, 5, true, 'dlv_', now(), now())",
        WHOSE | {"id": recovery},
    )
    return f"/dashboard/webhooks/recoveries/{recovery}"


async def _attempted(till: Till) -> None:
    await till.db.execute("UPDATE outbox SET attempts = attempts + 1 WHERE kind = 'webhook.deliver'")


async def _scheduled(till: Till) -> None:
    await till.db.execute("UPDATE recoveries SET scheduled = scheduled + 1")


LIVE: dict[str, Callable[[Till], Awaitable[None]]] = {
    "/dashboard": _attempted,
    "/dashboard/payments": Till.settle,
    "/dashboard/payments/{payment_id}": _attempted,
    "/dashboard/webhooks": _attempted,
    "/dashboard/webhooks/{delivery_id}": _attempted,
    "/dashboard/webhooks/recoveries/{recovery_id}": _scheduled,
}
"""Pages that follow by themselves, and something that each of them shows."""


@pytest.mark.parametrize(("page", "happen"), LIVE.items(), ids=LIVE)
async def test_every_page_says_what_it_has_seen(
    house: House, till: Till, owner: Browser, page: str, happen: Callable[[Till], Awaitable[None]]
) -> None:
    """So that its stream tells what came between the page's reading and the stream's first look, and nothing else: a
    page that is as the database is would come anew for ever. Who comes again says what they heard last."""
    payment = await till.pay(settled=False)
    await till.refund(await till.pay(amount=500), 5)  # another's mark
    (row,) = house.conn.execute("SELECT id FROM outbox WHERE event_type = 'payment.created' ORDER BY id LIMIT 1")
    recovery = _a_recovery(house)
    heard: list[tuple[Ask, str | None]] = []

    async def nothing(_name: str, ask: Ask, *_: Any, told: str | None, **__: Any):
        heard.append((ask, told))
        yield b""

    house.app.state.live._events = nothing
    path = page.format(payment_id=payment, delivery_id=row["id"], recovery_id=recovery.rpartition("/")[2])
    await owner.get(path)
    (address,) = re.findall(r'data-live="([^"]+)"', owner.page.text)
    await owner.client.get(html.unescape(address))
    (ask, told) = heard.pop()
    assert told == await ask()
    await happen(till)
    newer = await ask()
    assert newer != told
    assert newer.isprintable()

    await owner.client.get(html.unescape(address), headers={"last-event-id": newer})
    assert heard.pop()[1] == newer


def test_no_live_page_is_left_out(house: House) -> None:
    """But for operators': their figures change with the clock, which says a word every few seconds."""
    streams = {route.path_format.removesuffix("/live") for route in house.app.routes if route.path.endswith("/live")}
    assert {one for one in streams if not one.startswith(operations.OVERVIEW)} == set(LIVE)
