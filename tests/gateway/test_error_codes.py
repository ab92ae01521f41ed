"""Every error code that the API promises is produced here; a code without a way to produce it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from litestar.testing import AsyncTestClient

from gateway import errors
from gateway.api.app import make_app
from gateway.api.bounds import HEADERS
from gateway.config import Config
from gateway.errors import LedgateError
from gateway.merchants import add_key
from tests.gateway.conftest import AUTH, UPI

Client = AsyncTestClient[Any]
KEYED = {**AUTH, "Idempotency-Key": "k"}
CONTRACT = {
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "BAD_REQUEST_ERROR": 400,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "RATE_LIMITED": 429,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INTERNAL_ERROR": 500,
    "UNAVAILABLE": 503,
}


async def _forbidden(client: Client, config: Config) -> httpx.Response:
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        key_id, secret = await add_key(conn, "mer_demo", scopes=["read"])
    return await client.post("/api/v1/payments", json=UPI, headers={"X-Api-Key": key_id, "X-Api-Secret": secret})


async def _reused(client: Client, config: Config) -> httpx.Response:
    assert (await client.post("/api/v1/payments", json=UPI, headers=KEYED)).status_code == 201
    return await client.post("/api/v1/payments", json={**UPI, "vpa": "other@psp"}, headers=KEYED)


async def _limited(client: Client, config: Config) -> httpx.Response:
    for _ in range(config.rate_burst):
        assert (await client.get("/api/v1/orders", headers=AUTH)).status_code == 200
    return await client.get("/api/v1/orders", headers=AUTH)


async def _broken(client: Client, config: Config) -> httpx.Response:
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        await conn.execute("DROP TABLE outbox CASCADE")
    return await client.post("/api/v1/payments", json=UPI, headers=AUTH)


async def _held_up(client: Client, config: Config) -> httpx.Response:
    async with await psycopg.AsyncConnection.connect(config.database_url) as conn:
        await conn.execute("LOCK TABLE payments")
        return await client.post("/api/v1/payments", json=UPI, headers=AUTH)


async def _slow_body(client: Client, config: Config) -> httpx.Response:
    """Through the application itself: the test client would not send half a body."""
    said: dict[str, Any] = {}

    async def receive() -> Any:
        import asyncio

        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        said.update(message)

    head = [(name.lower().encode(), value.encode()) for name, value in AUTH.items()]
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/payments", "raw_path": b"/api/v1/payments",
        "query_string": b"", "headers": [*head, (b"content-type", b"application/json"), (b"content-length", b"99")],
        "scheme": "http", "server": ("x", 80), "client": ("127.0.0.1", 1), "http_version": "1.1", "asgi": {},
    }  # fmt: skip
    await client.app(scope, receive, send)
    return httpx.Response(said["status"], content=said["body"])


WAYS: dict[type[LedgateError], Callable[[Client, Config], Awaitable[httpx.Response]]] = {
    errors.UnauthorizedError: lambda client, _: client.get("/api/v1/orders"),
    errors.ForbiddenError: _forbidden,
    errors.NotFoundError: lambda client, _: client.get("/api/v1/payments/pay_x", headers=AUTH),
    errors.BadRequestError: lambda client, _: client.post("/api/v1/payments", json={}, headers=AUTH),
    errors.IdempotencyKeyReusedError: _reused,
    errors.RateLimitedError: _limited,
    errors.PayloadTooLargeError: lambda client, _: client.post(
        "/api/v1/payments", json={"order_id": "x" * 100_000}, headers=AUTH
    ),
    errors.UnsupportedMediaTypeError: lambda client, _: client.post("/api/v1/payments", content=b"{}", headers=AUTH),
    errors.MethodNotAllowedError: lambda client, _: client.put("/api/v1/payments", headers=AUTH),
    errors.HeadersTooLargeError: lambda client, _: client.get("/health", headers={"X-Filler": "x" * HEADERS}),
    errors.RequestTimeoutError: _slow_body,
    errors.UnavailableError: _held_up,
    errors.InternalError: _broken,
}


def test_the_codes_are_those_of_the_contract_and_each_has_a_way() -> None:
    kinds = {one for one in LedgateError.__subclasses__() if one.__module__ == "gateway.errors"}
    assert set(WAYS) == kinds
    codes = {one.code: one.status for one in kinds}
    assert codes.items() >= CONTRACT.items()
    assert codes.keys() - CONTRACT.keys() == {"METHOD_NOT_ALLOWED", "HEADERS_TOO_LARGE", "REQUEST_TIMEOUT"}


@pytest.mark.usefixtures("demo_merchant")
@pytest.mark.parametrize("kind", WAYS, ids=lambda kind: kind.code)
async def test_each_code_is_produced(config: Config, kind: type[LedgateError]) -> None:
    settings = msgspec.structs.replace(config, request_timeout=1.0, body_timeout=0.5, rate_burst=20, rate_limit=0.1)
    async with AsyncTestClient(make_app(settings), raise_server_exceptions=False) as client:
        said = await WAYS[kind](client, settings)

    error = said.json()["error"]
    assert (said.status_code, error["code"]) == (kind.status, kind.code)
    assert error["description"]
    assert error["request_id"].startswith("req_")
    assert "Traceback" not in said.text
    assert "outbox" not in said.text
