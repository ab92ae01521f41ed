"""A circuit in the path of deliveries: nothing is sent while it is open, one probe when it is half open."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
from aiohttp import web

from dispatcher.fairness import FIRST_WINDOW
from gateway import webhooks
from gateway.config import Config
from gateway.merchants import Merchant
from gateway.webhooks import SendTest
from tests.dispatcher.test_delivery import receiving
from tests.support.clock import Clock
from tests.support.courier import courier
from tests.support.crowd import add_endpoint, add_merchant, owe

Conn = psycopg.Connection[dict[str, Any]]


async def test_an_open_circuit_holds_deliveries_without_attempts_and_one_probe_opens_or_closes_it(
    config: Config, conn: Conn
) -> None:
    """Two dispatchers, ten failures, 10 s and then 20 s; what was held is neither lost nor counted as tried."""
    clock = Clock(config.database_url)
    config = msgspec.structs.replace(config, circuit_failures=10, webhook_retry_intervals_test=False)
    status = 503
    arrived: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        arrived.append(request.headers["X-Webhook-Id"])
        return web.Response(status=status)

    async with (
        receiving(receive) as url,
        courier(config, clock=clock) as one,
        courier(config, who="two", clock=clock) as two,
    ):
        endpoint = add_endpoint(conn, config, add_merchant(conn, bucket=7, name="m"), url, retry_schedule=[0, 3600])
        owe(conn, endpoint, FIRST_WINDOW)
        assert await one.go() == FIRST_WINDOW
        for _ in range(2):  # the window is narrow now
            owe(conn, endpoint, 1)
            assert await one.go() == 1
        owed = owe(conn, endpoint, 30)
        assert (await one.go(), await two.go()) == (0, 0), "open"
        assert len(arrived) == 10

        clock.move(seconds=12)
        assert await one.go() + await two.go() == 1, "half open: one probe"
        assert arrived[-1] in owed
        clock.move(seconds=12)
        assert await one.go() + await two.go() == 0, "open for 20 s now"
        clock.move(seconds=10)
        status = 200
        assert await two.go() + await one.go() == 1
        assert conn.execute("SELECT FROM endpoint_health").fetchall() == []

        for _ in range(20):
            clock.move(seconds=2)
            await one.go()
        assert len(arrived) == len(set(arrived)) == 40
        assert sorted(set(arrived) & set(owed)) == sorted(owed), "all that was held came, and at once"
        attempts = conn.execute("SELECT attempts, count(*) AS n FROM webhook_logs GROUP BY attempts").fetchall()
        assert attempts == [{"attempts": 1, "n": 40}], "being held is not an attempt"


async def test_who_asks_for_a_test_or_a_retry_need_not_wait_for_the_circuit(config: Config, conn: Conn) -> None:
    clock = Clock(config.database_url)
    config = msgspec.structs.replace(config, circuit_failures=1, webhook_retry_intervals_test=False)
    status = 503
    arrived: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        arrived.append(request.headers["X-Webhook-Id"])
        return web.Response(status=status)

    async with receiving(receive) as url, courier(config, clock=clock) as one:
        merchant_id = add_merchant(conn, bucket=7, name="m")
        endpoint = add_endpoint(conn, config, merchant_id, url)
        merchant = Merchant(merchant_id, 7, "m", "key", frozenset({"write"}))
        owe(conn, endpoint, 1)
        assert await one.go() == 1
        (held,) = owe(conn, endpoint, 1)
        assert await one.go() == 0
        async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as own:
            for ask in (webhooks.send_test(own, merchant, SendTest(endpoint_id=endpoint)), None):
                if ask is not None:
                    asked = (await ask).id
                else:
                    await webhooks.retry(own, merchant, held)
                    asked, status = held, 200
                clock.move(seconds=5)  # a dispatcher believes an open circuit for so long
                assert await one.go() == 1
                assert arrived[-1] == asked
        assert conn.execute("SELECT FROM endpoint_health").fetchall() == []
