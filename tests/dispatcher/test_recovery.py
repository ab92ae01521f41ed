"""Recoveries with a real dispatcher and a real receiver: what was missed arrives, in order where order is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from aiohttp import web

from gateway.config import Config
from kit.db import Connection
from schema.invariants import broken
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.gateway.conftest import AUTH, Api
from tests.support.paying import pay
from tests.support.recovering import write_past
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]


async def _ended(api: Api, conn: Conn, job: str) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = (await api.get(f"/webhooks/recoveries/{job}")).json()
        open_work = conn.execute("SELECT FROM outbox").rowcount
        return found if found["status"] == "done" and not open_work else None

    return await eventually(ended, within=30, what="the end of a recovery")


async def _since(conn: Conn) -> str:
    row = conn.execute("SELECT min(created_at) AS at FROM events").fetchone()
    assert row is not None
    return str(row["at"].isoformat())


async def test_what_was_missed_while_an_endpoint_was_off_arrives_once_it_is_on_and_in_order(
    api: Api, config: Config, db: Connection, conn: Conn
) -> None:
    """Nothing was made for it at the time. An endpoint that keeps its order gets the events as they happened."""
    arrived: list[str] = []

    async def accept(request: web.Request) -> web.Response:
        arrived.append(request.headers["webhook-id"])
        return web.Response()

    async with receiving(accept) as url:
        conn.execute("UPDATE endpoints SET url = %s, ordered = true, enabled = false, disabled_at = now()", [url])
        async with dispatching(config):
            await pay(db, config, 4)

            async def paid() -> bool:
                return conn.execute("SELECT FROM payments WHERE status = 'success'").rowcount == 4

            await eventually(paid)
            events = [row["id"] for row in conn.execute("SELECT id FROM events ORDER BY id")]
            assert (len(events), arrived) == (12, [])
            (endpoint,) = (await api.get("/webhook-endpoints")).json()["data"]
            await api.client.patch(f"/api/v1/webhook-endpoints/{endpoint['id']}", json={"enabled": True}, headers=AUTH)
            jobs = [(await api.post("/webhooks/recover", {"since": await _since(conn)})).json()["id"] for _ in range(2)]
            done = [await _ended(api, conn, job) for job in jobs]

    assert arrived == events
    assert sum(one["scheduled"] for one in done) == 12, "two jobs share it"
    assert broken(conn) == {}
    log = (await api.get("/webhooks", status="success")).json()
    assert log["total"] == 12


async def test_new_events_do_not_wait_for_a_recovery(api: Api, config: Config, db: Connection, conn: Conn) -> None:
    """A receiver that takes its time, a backlog of hundreds on its way to it: a payment's webhooks come in between."""
    arrived: list[str] = []

    async def slow(request: web.Request) -> web.Response:
        arrived.append(request.headers["webhook-id"])
        await asyncio.sleep(0.05)
        return web.Response()

    async with receiving(slow) as url:
        row = conn.execute("UPDATE endpoints SET url = %s RETURNING id", [url]).fetchone()
        assert row is not None
        past = write_past(conn, 600, to=[row["id"]])
        job = (await api.post("/webhooks/recover", {"since": await _since(conn), "rate": 1000})).json()["id"]
        async with dispatching(config):

            async def under_way() -> bool:
                return len(arrived) > 20

            await eventually(under_way)
            await pay(db, config)
            new = {row["id"] for row in conn.execute("SELECT id FROM events WHERE NOT id = ANY(%s)", [past])}

            async def told() -> bool:
                return new <= set(arrived)

            await eventually(told)
            before = len(set(arrived) & set(past))
            done = await _ended(api, conn, job)

    assert before < len(past), "they came before the backlog was through"
    assert done["scheduled"] == len(past)
    assert sorted(one for one in arrived if one in set(past)) == sorted(past), "each once"
