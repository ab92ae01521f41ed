"""The five attempts of test mode once in real time: 0, 5, 10, 15 and 20 seconds after the failure before."""

from __future__ import annotations

import itertools
import time
from typing import Any

import psycopg
from aiohttp import web

from gateway.config import Config
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.support.crowd import add_endpoint, add_merchant, owe
from tests.support.waiting import eventually

STEPS = [0, 5, 10, 15, 20]
Conn = psycopg.Connection[dict[str, Any]]


async def test_five_attempts_in_real_time_with_equal_bytes_and_id(config: Config, conn: Conn) -> None:
    arrived: list[tuple[float, str, str, bytes]] = []

    async def receive(request: web.Request) -> web.Response:
        told = (request.headers["webhook-id"], request.headers["X-Webhook-Attempt"])
        arrived.append((time.monotonic(), *told, await request.read()))
        return web.Response(status=500)

    async with receiving(receive) as url:
        endpoint = add_endpoint(conn, config, add_merchant(conn, bucket=7, name="m"), url)
        owe(conn, endpoint, 1)
        began = time.monotonic()
        async with dispatching(config):

            async def ended() -> bool:
                return conn.execute("SELECT FROM deliveries WHERE status = 'failed'").fetchone() is not None

            await eventually(ended, within=70, what="five attempts")
    assert [attempt for _, _, attempt, _ in arrived] == ["1", "2", "3", "4", "5"]
    assert len({(webhook_id, body) for _, webhook_id, _, body in arrived}) == 1
    times = [began, *(at for at, *_ in arrived)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # Never early; late by a poll and by what a loaded machine adds.
    assert all(step - 0.05 <= gap <= step + 4 for gap, step in zip(gaps, STEPS, strict=True)), gaps
