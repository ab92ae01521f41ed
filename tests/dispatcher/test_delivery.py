"""A dispatcher against a real receiver that misbehaves in every way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp.test_utils
import msgspec
import psycopg
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from dispatcher.app import Dispatcher
from dispatcher.sender import Answered, Sender, Unreachable
from gateway.config import Config
from gateway.secrets import make_sealer
from kit import egress
from kit.db import Connection
from outbox import endpoints
from tests.support.paying import MERCHANT, pay
from tests.support.ports import steady_port
from tests.support.waiting import eventually

LOOPBACK = egress.Rules(allow=egress.networks(egress.LOOPBACK))
Conn = psycopg.Connection[dict[str, Any]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def receiving(handler: Handler) -> AsyncIterator[str]:
    """A receiver at `/hook`; yields its URL."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    server = aiohttp.test_utils.TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/hook"))
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def dispatching(config: Config, **changes: Any) -> AsyncIterator[Dispatcher]:
    """A dispatcher in this process."""
    one = Dispatcher(msgspec.structs.replace(config, **changes))
    running = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        one.stop()
        await asyncio.wait_for(running, 30)


async def _point(conn: Conn, url: str, *, schedule: list[int] | None = None) -> None:
    conn.execute("UPDATE endpoints SET url = %s, retry_schedule = %s", [url, schedule])


async def _finished(conn: Conn, count: int) -> list[dict[str, Any]]:
    async def all_there() -> list[dict[str, Any]] | None:
        rows = conn.execute("SELECT * FROM deliveries ORDER BY id").fetchall()
        return rows if len(rows) >= count else None

    return await eventually(all_there, what=f"{count} finished deliveries")


async def test_standard_webhooks_verifies_and_the_body_is_the_event_s(
    config: Config, db: Connection, conn: Conn
) -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    async def accept(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return web.Response()

    secret = endpoints.new_secret()
    async with receiving(accept) as url:
        conn.execute("DELETE FROM endpoints")
        await endpoints.add(
            db, make_sealer(config), bucket=MERCHANT.bucket, merchant_id=MERCHANT.merchant_id, url=url, secret=secret
        )
        await pay(db, config)
        async with dispatching(config):
            rows = await _finished(conn, 3)

    assert {(row["status"], row["attempts"], row["response_code"]) for row in rows} == {("success", 1, 200)}
    bodies = {row["id"]: row["body"] for row in conn.execute("SELECT id, body FROM events").fetchall()}
    assert len(got) == 3
    for headers, body in got:
        lower = {name.lower(): value for name, value in headers.items()}
        Webhook(secret).verify(body, lower)
        assert bodies[lower["webhook-id"]] == body.decode()
        assert lower["x-webhook-attempt"] == "1"
        assert lower["x-webhook-event"] == msgspec.json.decode(body)["event"]
        assert lower["user-agent"].startswith("Ledgate/")


@pytest.mark.parametrize("status", [400, 404, 500, 503, 301, 302, 307, 204])
async def test_only_2xx_is_success_and_redirects_are_not_followed(
    config: Config,
    db: Connection,
    conn: Conn,
    status: int,
) -> None:
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with receiving(answer) as url:
        await _point(conn, url, schedule=[0])
        await pay(db, config)
        async with dispatching(config):
            rows = await _finished(conn, 3)

    assert {row["status"] for row in rows} == {"success" if status == 204 else "failed"}
    assert {row["response_code"] for row in rows} == {status}
    assert paths == ["/hook"] * 3


async def test_failures_follow_the_schedule_with_equal_bytes_and_id_until_exhausted(
    config: Config,
    db: Connection,
    conn: Conn,
) -> None:
    got: list[tuple[str, str, bytes]] = []

    async def fail(request: web.Request) -> web.Response:
        got.append((request.headers["webhook-id"], request.headers["X-Webhook-Attempt"], await request.read()))
        return web.Response(status=500, text="no\0t \xff now")

    async with receiving(fail) as url:
        await _point(conn, url, schedule=[0, 0, 0])
        await pay(db, config)
        async with dispatching(config):
            rows = await _finished(conn, 3)

    assert {(row["status"], row["attempts"]) for row in rows} == {("failed", 3)}
    assert len(got) == 9
    assert len({(webhook_id, body) for webhook_id, _, body in got}) == 3, "same id, same bytes"
    assert sorted(attempt for _, attempt, _ in got) == ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    attempts = conn.execute("SELECT * FROM delivery_attempts").fetchall()
    assert {(row["response_code"], row["response_body"]) for row in attempts} == {(500, "no\0t \xff now".encode())}
    assert conn.execute("SELECT count(*) AS n FROM outbox").fetchone() == {"n": 0}


async def test_410_disables_the_endpoint_with_a_reason(config: Config, db: Connection, conn: Conn) -> None:
    async def gone(request: web.Request) -> web.Response:
        return web.Response(status=410)

    async with receiving(gone) as url:
        await _point(conn, url)
        await pay(db, config)
        async with dispatching(config):
            await _finished(conn, 2)
            await pay(db, config)

            async def paid() -> bool:
                row = conn.execute("SELECT count(*) AS n FROM payments WHERE status = 'success'").fetchone()
                return row == {"n": 2}

            await eventually(paid)

    endpoint = conn.execute("SELECT enabled, disabled_reason FROM endpoints").fetchone()
    assert endpoint == {"enabled": False, "disabled_reason": "the receiver answered 410 Gone"}
    kept = conn.execute("SELECT count(*) AS n FROM events WHERE deliveries = 0").fetchone()
    assert kept is not None
    assert kept["n"] >= 2, "its events are kept, and say that nobody was told"


async def test_an_unreachable_receiver_is_an_attempt_with_its_error(config: Config, db: Connection, conn: Conn) -> None:
    await _point(conn, f"http://127.0.0.1:{steady_port()}/hook", schedule=[0])
    await pay(db, config)
    async with dispatching(config):
        rows = await _finished(conn, 3)
    assert {(row["status"], row["response_code"]) for row in rows} == {("failed", None)}
    errors = conn.execute("SELECT DISTINCT error FROM delivery_attempts").fetchall()
    assert len(errors) == 1
    assert errors[0]["error"] == "no connection: connection refused"


async def test_strange_answers_are_bounded_and_kept_readable() -> None:
    """A huge body, foreign bytes and NULs in headers, no HTTP at all: values, not exceptions."""

    async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    answers = [
        b"HTTP/1.1 200 OK\r\nX-Odd: caf\xe9\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"",
    ]
    server = await asyncio.start_server(raw, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    one = Sender(LOOPBACK, connections=1)
    said = [await one.send(url, b"{}", {}) for _ in range(6)]
    await one.close()
    server.close()

    big, ssh, long, busy, half, nothing = said
    assert isinstance(big, Answered)
    assert len(big.body) == 16 * 1024
    msgspec.json.encode(big.headers)
    assert isinstance(busy, Answered)
    assert (busy.status, busy.retry_after) == (429, 7.0)
    assert all(isinstance(other, Unreachable) for other in (ssh, long, half, nothing))


async def test_a_receiver_that_drips_is_cut_by_the_total_time() -> None:
    """Bytes that keep coming do not extend the time."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b".")
            await asyncio.sleep(0.05)
        return response

    async with receiving(drip) as url:
        one = Sender(LOOPBACK, connections=1, total=0.5)
        said = await one.send(url, b"{}", {})
        await one.close()
    assert isinstance(said, Unreachable)
    assert "0.5 s" in said.error
    assert said.duration < 2


async def test_work_of_an_endpoint_that_is_gone_ends(config: Config, db: Connection, conn: Conn) -> None:
    await pay(db, config)
    conn.execute("DELETE FROM endpoints")
    async with dispatching(config):
        rows = await _finished(conn, 2)
    assert {(row["status"], row["attempts"]) for row in rows} == {("failed", 0)}


async def test_a_payment_that_is_declined_says_why(config: Config, db: Connection, conn: Conn) -> None:
    async with receiving(_ok) as url:
        await _point(conn, url)
        await pay(db, config, order_id="o-1", amount=100)
        async with dispatching(config, test_payment_success=False):
            await _finished(conn, 3)
    payment = conn.execute("SELECT status, error_code, sealed_instrument FROM payments").fetchone()
    assert payment == {"status": "failed", "error_code": "payment_declined", "sealed_instrument": None}
    order = conn.execute(
        "SELECT status, attempts, amount_paid, paying_payment_id FROM orders WHERE id = 'o-1'"
    ).fetchone()
    assert order == {"status": "attempted", "attempts": 1, "amount_paid": 0, "paying_payment_id": None}


async def test_an_order_is_paid_once_whatever_is_pending(config: Config, db: Connection, conn: Conn) -> None:
    """Five payments of one order: one takes the money, the others fail without asking the processor."""
    async with receiving(_ok) as url:
        await _point(conn, url)
        for _ in range(5):
            await pay(db, config, order_id="o-1", amount=100)
        async with dispatching(config):
            await _finished(conn, 16)

    states = conn.execute("SELECT status, error_code, count(*) AS n FROM payments GROUP BY 1, 2 ORDER BY n").fetchall()
    assert [tuple(row.values()) for row in states] == [("success", None, 1), ("failed", "order_already_paid", 4)]
    assert conn.execute("SELECT count(*) AS n FROM simulator.movements").fetchone() == {"n": 1}
    order = conn.execute("SELECT status, attempts, amount_paid FROM orders WHERE id = 'o-1'").fetchone()
    assert order == {"status": "paid", "attempts": 5, "amount_paid": 100}
    paid = conn.execute("SELECT body FROM events WHERE type = 'order.paid'").fetchall()
    assert len(paid) == 1
    shown = msgspec.json.decode(paid[0]["body"])["data"]["order"]
    assert (shown["status"], shown["amount_paid"], shown["amount_due"]) == ("paid", 100, 0)


async def _ok(request: web.Request) -> web.Response:
    return web.Response()
