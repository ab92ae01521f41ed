"""Bounds of a request: how often, how large, how slow. Over a real server where the server has a part in it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import msgspec
import psycopg
import pytest
from litestar.testing import AsyncTestClient

from gateway import demo
from gateway.api.app import make_app
from gateway.api.bounds import HEADERS
from gateway.config import Config
from tests.gateway.conftest import AUTH, UPI, Api
from tests.support import calls
from tests.support.processes import Stack, stack


@contextlib.asynccontextmanager
async def limited(config: Config, **settings: float) -> AsyncIterator[Api]:
    async with AsyncTestClient(
        make_app(msgspec.structs.replace(config, **settings)), raise_server_exceptions=False
    ) as client:
        yield Api(client)


@pytest.mark.usefixtures("demo_merchant")
async def test_a_key_that_asks_too_often_is_told_when_to_come_back(config: Config) -> None:
    async with limited(config, rate_limit=0.5, rate_burst=3) as api:
        said = [await api.get("/orders") for _ in range(4)]

    assert [one.status_code for one in said] == [200, 200, 200, 429]
    assert [one.headers["ratelimit-remaining"] for one in said] == ["2", "1", "0", "0"]
    assert {one.headers["ratelimit-limit"] for one in said} == {"3"}
    assert said[3].json()["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(said[3].headers["retry-after"]) <= 2
    assert int(said[3].headers["ratelimit-reset"]) >= 5


@pytest.mark.usefixtures("demo_merchant")
async def test_wrong_credentials_are_limited_by_address_and_leave_the_key_its_share(config: Config) -> None:
    async with limited(config, rate_limit=0.1, rate_burst=100) as api:
        wrong = {"X-Api-Key": demo.KEY_ID, "X-Api-Secret": "guess"}
        said = [await api.client.get("/api/v1/orders", headers=wrong) for _ in range(101)]
        right = await api.get("/orders")

    assert {one.status_code for one in said[:100]} == {401}
    assert said[100].status_code == 429
    assert (right.status_code, right.headers["ratelimit-remaining"]) == (200, "99")


@pytest.mark.usefixtures("demo_merchant")
async def test_a_refused_request_leaves_nothing(config: Config) -> None:
    async with limited(config, rate_limit=0.1, rate_burst=1) as api:
        await api.get("/orders")
        said = await api.post("/payments", UPI, **{"Idempotency-Key": "k"})
    assert said.status_code == 429
    async with await psycopg.AsyncConnection.connect(config.database_url) as conn:
        assert await (await conn.execute("SELECT count(*) FROM idempotency_keys")).fetchone() == (0,)


@pytest.mark.usefixtures("demo_merchant")
async def test_a_request_that_waits_too_long_is_a_503_and_leaves_nothing(config: Config) -> None:
    """Another transaction holds what the payment needs; the request's time ends before the statement's does."""
    async with limited(config, request_timeout=0.5) as api:
        async with await psycopg.AsyncConnection.connect(config.database_url) as holder:
            await holder.execute("LOCK TABLE payments IN EXCLUSIVE MODE")
            said = await api.post("/payments", UPI, **{"Idempotency-Key": "k"})
        assert (said.status_code, said.json()["error"]["reason"]) == (503, "request_timeout")
        assert said.headers["retry-after"] == "1"
        assert said.headers["x-request-id"] == said.json()["error"]["request_id"]
        again = await api.post("/payments", UPI, **{"Idempotency-Key": "k"})
        assert (again.status_code, "idempotent-replayed" in again.headers) == (201, False)


@pytest.fixture
def server(config: Config, demo_merchant: str, tmp_path: Path) -> Iterator[Stack]:
    """The real server, with little patience."""
    with stack(config.database_url, tmp_path, LEDGATE_BODY_TIMEOUT="1", LEDGATE_HEAD_TIMEOUT="1") as made:
        made.start_api()
        yield made


def test_slow_and_large_requests_end_within_their_bounds(server: Stack) -> None:
    """A body that drips, a head that drips, too many headers, too large a body: each is answered or cut off in time,
    and the server serves others meanwhile."""
    head = (
        f"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nX-Api-Key: {demo.KEY_ID}\r\nX-Api-Secret: {demo.SECRET}\r\n"
        "Content-Type: application/json\r\n"
    )
    slow_body = _talk(server, f"{head}Content-Length: 100\r\n\r\n{{", within=5)
    assert b" 408 " in slow_body.splitlines()[0]
    assert b'"code":"REQUEST_TIMEOUT"' in slow_body

    slow_head = _talk(server, head, within=5)
    assert slow_head == b"" or b" 408 " in slow_head.splitlines()[0]
    assert _talk(server, "", within=5) == b""  # who says nothing at all holds a place no longer

    wide = calls.get(f"{server.url}/api/v1/orders", headers={**AUTH, "X-Filler": "x" * HEADERS})
    assert (wide.status_code, wide.json()["error"]["code"]) == (431, "HEADERS_TOO_LARGE")
    larger = _talk(server, f"{head}X-Filler: {'x' * 100_000}\r\n\r\n", within=5)
    assert larger == b"" or b" 431 " in larger.splitlines()[0]

    big = calls.post(f"{server.url}/api/v1/payments", headers=AUTH, json={"notes": {"a": "x" * 70_000}})
    assert (big.status_code, big.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert calls.get(f"{server.url}/health").status_code == 200


def _talk(server: Stack, text: str, *, within: float) -> bytes:
    """What the server says to this, until it closes the connection or has nothing more to say."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.api_port), timeout=within) as line:
        line.sendall(text.encode())
        said = b""
        while part := line.recv(65536):
            said += part
            if b'"request_id"' in said:
                break
    assert time.monotonic() - began < within
    return said


async def test_idle_requests_do_not_hold_others_up(server: Stack) -> None:
    """Two hundred clients that send half a body: a two hundred and first is served at once."""
    lines = [await asyncio.open_connection("127.0.0.1", server.api_port) for _ in range(200)]
    for _, writer in lines:
        writer.write(b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    async with httpx.AsyncClient() as client:
        said = await client.get(f"{server.url}/api/v1/orders", headers=AUTH)
    assert said.status_code == 200
    for _, writer in lines:
        writer.close()
