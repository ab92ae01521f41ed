"""One endpoint's trouble is its own: windows, rates, backlogs and order, against real receivers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import psycopg
import pytest
from aiohttp import web

from dispatcher.fairness import FIRST_WINDOW, Fairness
from gateway.config import Config
from outbox.work import BEGINNING, Work
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.support.crowd import add_endpoint, add_merchant, owe
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]
BUCKET = 7


def some_work(n: int = 0, *, endpoint: str = "whep_a", merchant: str = "mer_a") -> Work:
    return Work(
        bucket=BUCKET, merchant_id=merchant, id=f"dlv_{n}", endpoint_id=endpoint, attempts=0, claims=1,
        created_at=BEGINNING, due_at=BEGINNING,
    )  # fmt: skip


class Time:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_begins_small_earns_more_and_loses_it_when_answers_are_slow() -> None:
    fairness = Fairness(ceiling=20, per_merchant=1000)
    work = some_work()

    def room() -> int:
        taken = 0
        while fairness.admit(work) is None:
            taken += 1
        for _ in range(taken):
            fairness.leave(work)
        return taken

    assert room() == FIRST_WINDOW
    for _ in range(100):
        fairness.hear(work, success=True, took=0.01)
    assert room() == 20, "the ceiling"
    fairness.hear(work, success=True, took=5.0)
    assert room() == 10
    for _ in range(100):
        fairness.hear(work, success=False, took=10.0)
    assert room() == 1, "one at least, or nobody would ever learn that it works again"


def test_a_merchant_has_a_share_whatever_its_endpoints_could_use() -> None:
    fairness = Fairness(ceiling=50, per_merchant=20)
    started = sum(fairness.admit(some_work(endpoint=f"whep_{n}")) is None for n in range(50))
    assert started == 20
    assert fairness.admit(some_work(endpoint="whep_z", merchant="mer_b")) is None
    assert fairness.rooms()["whep_0"] == 0
    fairness.leave(some_work(endpoint="whep_0"))
    assert fairness.admit(some_work(endpoint="whep_0")) is None


@pytest.mark.parametrize(("rate", "dispatchers"), [(1, 1), (10, 1), (10, 4), (1000, 1), (3, 2)])
def test_a_rate_is_kept_in_every_second_and_put_back_work_comes_in_its_turn(rate: int, dispatchers: int) -> None:
    clock = Time()
    fairness = Fairness(ceiling=5000, per_merchant=5000, clock=clock)
    fairness.dispatchers = dispatchers
    waiting = [(clock.now, n) for n in range(3 * rate)]
    sent: list[float] = []
    while waiting:
        waiting.sort()
        due, n = waiting.pop(0)
        clock.now = max(clock.now, due)
        delay = fairness.spend(some_work(n), rate)
        if delay is None:
            sent.append(clock.now)
        else:
            assert delay > 0
            waiting.append((clock.now + delay, n))
    share = rate / dispatchers
    for begin in sent:
        assert sum(begin <= one < begin + 1 for one in sent) <= share + max(1.0, share / 4) + 1e-6
    assert sent[-1] - sent[0] <= 3 * rate / share * 1.1 + 1, "and no slower than it may be"


def test_nothing_of_a_held_endpoint_is_admitted_until_the_hold_ends() -> None:
    clock = Time()
    fairness = Fairness(ceiling=9, per_merchant=9, clock=clock)
    fairness.hold(some_work(), 3)
    assert fairness.admit(some_work()) == 3
    assert fairness.rooms() == {"whep_a": 0}
    clock.now += 3
    assert fairness.admit(some_work()) is None
    fairness.hold(some_work(), 300)
    assert fairness.admit(some_work()) == 5, "then it is asked again: the merchant may have mended it"


@pytest.mark.parametrize("kind", ["webhook.deliver", "webhook.retry"])
async def test_a_backlog_that_cannot_move_holds_up_nobody_in_its_bucket(config: Config, conn: Conn, kind: str) -> None:
    """10,000 due deliveries of a receiver that never answers stand before one of somebody else."""
    arrived = asyncio.Event()
    hanging = Counter[str]()
    release = asyncio.Event()

    async def receive(request: web.Request) -> web.Response:
        if request.path == "/other":
            arrived.set()
        else:
            hanging[request.path] += 1
            await release.wait()
        return web.Response()

    async with receiving(receive) as url:
        big = add_merchant(conn, bucket=BUCKET, name="big")
        jam = add_endpoint(conn, config, big, url.replace("/hook", "/jam"))
        other = add_endpoint(
            conn, config, add_merchant(conn, bucket=BUCKET, name="small"), url.replace("/hook", "/other")
        )
        owe(conn, jam, 10_000, kind=kind)
        owe(conn, other, 1, kind=kind)
        async with dispatching(config, drain=0.1):
            await asyncio.wait_for(arrived.wait(), 15)
            assert hanging["/jam"] <= FIRST_WINDOW, "a receiver that never answered holds few connections"
            touched = conn.execute("SELECT count(*) AS n FROM outbox WHERE claims > 0").fetchone()
            assert touched is not None
            assert touched["n"] < 2_000, "and its backlog was not claimed to get behind it"
            release.set()


async def test_many_that_hang_at_once_leave_room_for_one_that_does_not(config: Config, conn: Conn) -> None:
    """40 receivers take in more than the dispatcher's capacity and never answer; somebody else is told meanwhile."""
    arrived = asyncio.Event()
    release = asyncio.Event()
    hanging = 0

    async def receive(request: web.Request) -> web.Response:
        nonlocal hanging
        if request.path == "/other":
            arrived.set()
        else:
            hanging += 1
            await release.wait()
        return web.Response()

    async with receiving(receive) as url:
        for n in range(40):
            jam = add_endpoint(conn, config, add_merchant(conn, bucket=n, name="jam"), url.replace("/hook", "/jam"))
            owe(conn, jam, 3)
        merchant = add_merchant(conn, bucket=50, name="other")
        other = add_endpoint(conn, config, merchant, url.replace("/hook", "/other"))
        async with dispatching(config, drain=0.1, max_deliveries=80):

            async def full() -> bool:
                return hanging >= 80

            await eventually(full, what="a dispatcher that is full of requests without answers")
            owe(conn, other, 1)
            await asyncio.wait_for(arrived.wait(), 8)
            ended = conn.execute("SELECT FROM delivery_attempts WHERE response_code IS NULL").fetchall()
            assert not ended, "none that hung had timed out"
            release.set()


async def test_all_endpoints_of_a_crowded_bucket_are_served_in_turn(config: Config, conn: Conn) -> None:
    """30 endpoints with 80 due each, put in one after the other: none is done before all have begun."""
    got: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        got.append(request.path)
        return web.Response()

    async with receiving(receive) as url:
        for n in range(30):
            merchant = add_merchant(conn, bucket=BUCKET, name=f"m{n}")
            owe(conn, add_endpoint(conn, config, merchant, url.replace("/hook", f"/{n}")), 80)
        async with dispatching(config, claim_size=20):

            async def all_there() -> bool:
                return len(conn.execute("SELECT FROM deliveries").fetchall()) == 2_400

            await eventually(all_there, within=60, what="2,400 deliveries")
    first_seen = max(got.index(f"/{n}") for n in range(30))
    first_done = min(len(got) - 1 - got[::-1].index(f"/{n}") for n in range(30))
    assert first_seen < first_done
    assert Counter(got) == {f"/{n}": 80 for n in range(30)}


async def test_a_rate_holds_for_a_backlog_and_leaves_other_endpoints_alone(config: Config, conn: Conn) -> None:
    times: dict[str, list[float]] = {"/slow": [], "/fast": []}

    async def receive(request: web.Request) -> web.Response:
        times[request.path].append(time.monotonic())
        return web.Response()

    async with receiving(receive) as url:
        merchant = add_merchant(conn, bucket=BUCKET, name="m")
        owe(conn, add_endpoint(conn, config, merchant, url.replace("/hook", "/slow"), rate=10), 40)
        owe(conn, add_endpoint(conn, config, merchant, url.replace("/hook", "/fast")), 400)
        async with dispatching(config):

            async def all_there() -> bool:
                return len(times["/slow"]) == 40 and len(times["/fast"]) == 400

            await eventually(all_there, within=30, what="all deliveries")
    slow = times["/slow"]
    # 10 a second and a burst of 2: the 40th comes 3.8 s after the first at the earliest.
    assert slow[-1] - slow[0] >= 3.6
    assert times["/fast"][-1] < slow[-1]


async def test_ordered_deliveries_wait_for_the_one_before_and_others_do_not(config: Config, conn: Conn) -> None:
    """The first of an ordered endpoint fails three times; nothing passes it, and two dispatchers keep the order."""
    got: dict[str, list[str]] = {"/ordered": [], "/free": []}
    refusals = 3

    async def receive(request: web.Request) -> web.Response:
        nonlocal refusals
        got[request.path].append(request.headers["X-Webhook-Id"])
        if request.path == "/ordered" and refusals:
            refusals -= 1
            assert len(got["/free"]) == 50 or await all_free()
            return web.Response(status=503)
        return web.Response()

    async def all_free() -> bool:
        async def there() -> bool:
            return len(got["/free"]) == 50

        return await eventually(there, what="what another endpoint is owed")

    async with receiving(receive) as url:
        merchant = add_merchant(conn, bucket=BUCKET, name="m")
        ordered = add_endpoint(
            conn, config, merchant, url.replace("/hook", "/ordered"), ordered=True, retry_schedule=[0, 0, 0, 0]
        )
        owed = owe(conn, ordered, 60, kind="webhook.ordered")
        owe(conn, add_endpoint(conn, config, merchant, url.replace("/hook", "/free")), 50)
        async with dispatching(config), dispatching(config):

            async def all_there() -> bool:
                return len(got["/ordered"]) == 63

            await eventually(all_there, within=30, what="60 deliveries in order")
    assert got["/ordered"] == [owed[0]] * 3 + owed


async def test_an_ordered_line_goes_on_when_its_head_is_given_up(config: Config, conn: Conn) -> None:
    got: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        got.append(request.headers["X-Webhook-Id"])
        return web.Response(status=500 if request.headers["X-Webhook-Id"] == owed[0] else 200)

    async with receiving(receive) as url:
        merchant = add_merchant(conn, bucket=BUCKET, name="m")
        endpoint = add_endpoint(conn, config, merchant, url, ordered=True, retry_schedule=[0, 0])
        owed = owe(conn, endpoint, 3, kind="webhook.ordered")
        async with dispatching(config):

            async def all_there() -> bool:
                return len(conn.execute("SELECT FROM deliveries").fetchall()) == 3

            await eventually(all_there, what="three ended deliveries")
    assert got == [owed[0], owed[0], owed[1], owed[2]]
