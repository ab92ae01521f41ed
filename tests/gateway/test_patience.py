"""What an outage has cut is run again when that is safe; the outages here are connections that the server ends."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import psycopg
import pytest
import structlog

from gateway.api.app import make_app
from gateway.config import Config
from tests.gateway.conftest import AUTH, UPI, Api, side_by_side
from tests.support.waiting import until

Conn = psycopg.Connection[dict[str, Any]]
WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
WRITES_NOTHING = {"/api/v1/webhooks/verify"}


async def test_a_read_is_asked_again_and_counted_once(api: Api, conn: Conn) -> None:
    before = await api.get("/orders/order_123")
    _cut(conn)
    after = await api.get("/orders/order_123")

    assert (before.status_code, after.status_code, after.json()) == (200, 200, before.json())
    assert _remaining(before) - _remaining(after) <= 1


async def test_a_payment_with_a_key_is_made_once(api: Api, conn: Conn) -> None:
    _cut(conn, await api.get("/orders/order_123"))
    made = await api.post("/payments", UPI, **{"Idempotency-Key": "k"})
    again = await api.post("/payments", UPI, **{"Idempotency-Key": "k"})

    assert (made.status_code, again.json()) == (201, made.json())
    assert [row["id"] for row in conn.execute("SELECT id FROM payments")] == [made.json()["id"]]


async def test_a_connection_that_died_while_idle_is_not_used(api: Api, conn: Conn) -> None:
    """So a payment without a key was never begun, and is made once."""
    _cut(conn, await api.get("/orders/order_123"))
    made = await api.post("/payments", UPI)

    assert made.status_code == 201
    assert [row["id"] for row in conn.execute("SELECT id FROM payments")] == [made.json()["id"]]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_write_without_a_key_is_told_and_not_repeated(
    api: Api, config: Config, conn: Conn, method: str
) -> None:
    """Cut in its statement. A key does not help where none is taken."""
    gone = "/webhook-endpoints/whep_01jd000000e008000000000000"
    path = {"POST": "/payments", "PUT": "/webhooks/config", "DELETE": gone}
    body = {"PUT": {"webhook_url": "https://example.com/", "enabled": True, "events": ["*"]}, "POST": UPI}.get(method)
    headers = {**AUTH, **({} if method == "POST" else {"Idempotency-Key": "k"})}
    with psycopg.connect(config.database_url) as holder:
        holder.execute("LOCK TABLE payments, endpoints")
        asking = asyncio.create_task(api.client.request(method, f"/api/v1{path[method]}", json=body, headers=headers))
        await asyncio.to_thread(until, lambda: conn.execute(WAITING).rowcount, what="a statement that waits")
        _cut(conn)
        said = await asking

    assert (said.status_code, said.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert conn.execute("SELECT FROM payments").rowcount == 0


async def test_without_patience_nothing_is_repeated(config: Config, demo_merchant: str, conn: Conn) -> None:
    async with side_by_side(msgspec.structs.replace(config, patience=0.0)) as api:
        _cut(conn, await api.get("/orders/order_123"))
        assert (await api.get("/orders/order_123")).status_code == 503


async def test_a_statement_that_takes_too_long_is_not_run_again(config: Config, demo_merchant: str, conn: Conn) -> None:
    """Nor is anything that waits for a connection of a busy pool: both would only take longer."""
    hurried = msgspec.structs.replace(config, statement_timeout=0.5, api_pool_size=1)
    async with side_by_side(hurried) as api:
        await api.get("/orders/order_123")
        with psycopg.connect(config.database_url) as holder, structlog.testing.capture_logs() as lines:
            holder.execute("LOCK TABLE payments")
            said = await asyncio.gather(*(api.post("/payments", UPI, **{"Idempotency-Key": f"{n}"}) for n in range(3)))
    assert {one.status_code for one in said} == {503}
    assert 1 <= [line["event"] for line in lines].count("statement.timed_out") <= len(said)


def test_every_post_takes_a_key(config: Config) -> None:
    """So that the middleware may rely on it."""
    posts = {
        path: call["post"]
        for path, call in make_app(config).state.described()["paths"].items()
        if "post" in call and path not in WRITES_NOTHING
    }
    without = [
        path
        for path, call in posts.items()
        if not any(one["name"] == "Idempotency-Key" for one in call.get("parameters", ()))
    ]
    assert len(posts) > 10
    assert without == []


def _cut(conn: Conn, *_asked_before: object) -> None:
    """End every connection that the API has."""
    ended = conn.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'ledgate-api' AND datname = current_database()"
    )
    assert ended.rowcount > 0


def _remaining(answer: Any) -> int:
    found = re.fullmatch(r"\d+", answer.headers["ratelimit-remaining"])
    assert found
    return int(found[0])
