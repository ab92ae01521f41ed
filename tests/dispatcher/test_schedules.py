"""Every schedule to the second, with a clock that the test moves: nothing here waits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import psycopg
import pytest
from aiohttp import web

from dispatcher import schedule
from gateway.config import Config
from tests.dispatcher.test_delivery import receiving
from tests.support.clock import Clock
from tests.support.courier import Courier, courier
from tests.support.crowd import add_endpoint, add_merchant, owe

Conn = psycopg.Connection[dict[str, Any]]

DAYS = [0, 10, 3600, 86_400, 259_200, 604_800]
LATE = 2.5  # seconds that a loaded machine may take from the end of an attempt to the look for the next


class Run:
    """One endpoint that is owed one delivery, its receiver, a clock and a courier."""

    def __init__(self, conn: Conn, clock: Clock, courier: Courier, delivery: str) -> None:
        self.conn, self.clock, self.courier, self.delivery = conn, clock, courier, delivery
        self.answers: list[web.Response] = []
        self.arrived = 0

    async def attempt_comes_between(self, early: float, late: float) -> None:
        """Nothing before `early` seconds have passed, one attempt when `late` have."""
        if early > 0:
            self.clock.move(seconds=early)
            assert await self.courier.go() == 0, f"came within {early} s"
        self.clock.move(seconds=late - early)
        assert await self.courier.go() == 1, f"did not come within {late} s"

    def row(self) -> dict[str, Any]:
        """The delivery as it stands."""
        row = self.conn.execute("SELECT * FROM webhook_logs WHERE id = %s", [self.delivery]).fetchone()
        assert row is not None
        return row


@contextlib.asynccontextmanager
async def running(config: Config, conn: Conn, clock: Clock, **columns: Any) -> AsyncIterator[Run]:
    """A receiver that answers 503 unless told otherwise."""
    made: list[Run] = []

    async def receive(_: web.Request) -> web.Response:
        made[0].arrived += 1
        return made[0].answers.pop(0) if made[0].answers else web.Response(status=503)

    async with receiving(receive) as url, courier(config) as some:
        endpoint = add_endpoint(conn, config, add_merchant(conn, bucket=7, name="m"), url, **columns)
        kind = "webhook.ordered" if columns.get("ordered") else "webhook.deliver"
        due = f"{(columns.get('retry_schedule') or [0])[0]} seconds"
        made.append(Run(conn, clock, some, owe(conn, endpoint, 1, kind=kind, due=due)[0]))
        yield made[0]


@pytest.fixture
def clock(config: Config) -> Clock:
    return Clock(config.database_url)


@pytest.mark.parametrize(
    ("test_mode", "steps", "ordered"),
    [(False, None, False), (True, None, False), (False, DAYS, False), (False, [60, 60], False), (False, None, True)],
)
async def test_each_attempt_comes_in_its_time_and_the_last_ends_it(
    config: Config, conn: Conn, clock: Clock, *, test_mode: bool, steps: list[int] | None, ordered: bool
) -> None:
    """The contract's schedule with 10 % of jitter, the test mode's to the second, an endpoint's own up to days."""
    config = msgspec.structs.replace(config, webhook_retry_intervals_test=test_mode)
    expected = steps or list(schedule.TEST if test_mode else schedule.DEFAULT)
    jitter = 0.0 if test_mode else schedule.JITTER
    async with running(config, conn, clock, retry_schedule=steps, ordered=ordered) as run:
        for number, step in enumerate(expected):
            share = jitter if number else 0.0
            await run.attempt_comes_between(step * (1 - share) - LATE, step * (1 + share) + 0.5)
            assert run.row()["attempts"] == number + 1
        assert run.row()["status"] == "failed"
        clock.move(days=30)
        assert await run.courier.go() == 0
        assert run.arrived == len(expected)


@pytest.mark.parametrize(
    ("asked", "early", "late"), [(1, 54, 66), (90, 90 - LATE, 91), (119, 119 - LATE, 120), (3600, 120 - LATE, 121)]
)
async def test_retry_after_is_kept_between_one_and_two_steps(
    config: Config, conn: Conn, clock: Clock, asked: int, early: float, late: float
) -> None:
    config = msgspec.structs.replace(config, webhook_retry_intervals_test=False)
    async with running(config, conn, clock) as run:
        run.answers.append(web.Response(status=429, headers={"Retry-After": str(asked)}))
        await run.attempt_comes_between(0, 0)
        await run.attempt_comes_between(early, late)


async def test_retry_after_may_be_a_date(config: Config, conn: Conn, clock: Clock) -> None:
    """RFC 9110, 10.2.3: the other of its two forms, by the clock of the process that reads it."""
    config = msgspec.structs.replace(config, webhook_retry_intervals_test=False)
    async with running(config, conn, clock) as run:
        when = datetime.now(UTC) + timedelta(seconds=100)
        run.answers.append(web.Response(status=503, headers={"Retry-After": format_datetime(when, usegmt=True)}))
        await run.attempt_comes_between(0, 0)
        await run.attempt_comes_between(90, 101)


async def test_an_exhausted_delivery_can_be_sent_again_and_its_schedule_starts_over(
    config: Config, conn: Conn, clock: Clock
) -> None:
    from gateway import webhooks
    from gateway.merchants import Merchant

    async with running(config, conn, clock, retry_schedule=[0, 30]) as run:
        await run.attempt_comes_between(0, 0)
        await run.attempt_comes_between(26, 34)
        assert run.row()["status"] == "failed"
        merchant = Merchant(run.row()["merchant_id"], 7, "m", "key", frozenset({"write"}))
        async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as own:
            await webhooks.retry(own, merchant, run.delivery)
        await run.attempt_comes_between(0, 0)
        assert (run.row()["status"], run.row()["attempts"]) == ("pending", 1)
        run.answers.append(web.Response())
        await run.attempt_comes_between(26, 34)
        assert (run.row()["status"], run.row()["attempts"]) == ("success", 2)


async def test_an_endpoint_that_is_disabled_between_attempts_gets_no_more_and_stays_recoverable(
    config: Config, conn: Conn, clock: Clock
) -> None:
    async with running(config, conn, clock) as run:
        await run.attempt_comes_between(0, 0)
        conn.execute("UPDATE endpoints SET enabled = false")
        clock.move(hours=1)
        assert await run.courier.go() == 0
        assert (run.row()["status"], run.row()["attempts"], run.arrived) == ("failed", 1, 1)
