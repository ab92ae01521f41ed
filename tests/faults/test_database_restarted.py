"""A restart of PostgreSQL costs time, not a request: what it cut is done again when that is safe, and only then."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from gateway import demo
from kit.embedded import Server
from tests.faults.database import AWAY, look, watch
from tests.faults.shop import (
    LONG,
    assert_all_told,
    assert_calm,
    assert_sound,
    await_quiet,
    count,
    open_shop,
    report,
)
from tests.support.customers import customers
from tests.support.load import HEADERS
from tests.support.processes import Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults

STOPS: list[Callable[[Server], None]] = [
    lambda server: server.stop("fast"),
    lambda server: server.stop("immediate"),
    lambda server: server.kill(),
]
ROUNDS = 3 if LONG else 1
BETWEEN = 200 if LONG else 50
PATIENT = {"LEDGATE_PATIENCE": "60", "LEDGATE_REQUEST_TIMEOUT": "60"}  # a busy machine starts a server slowly
QUICK = 2.0
WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
BODY = {"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "user@paytm"}


def test_restarts_under_load(server: Server, url: str, tmp_path: Path) -> None:
    """Shut down or crashed and started again: reads, and payments with a key, are answered all the same, nobody asks
    twice, and each key is charged once. There are more clients than connections, so that some stand in their queue."""
    with open_shop(url, tmp_path, LEDGATE_API_POOL_SIZE="4", **PATIENT) as shop:
        shop.start_api()
        shop.start_dispatcher()
        with customers([shop.url], clients=16, without_key=False) as clients:
            clients.await_more(BETWEEN)
            calm, began, down = clients.percentile(0.99), time.monotonic(), []
            for stop in STOPS * ROUNDS:
                stopped = time.monotonic()
                stop(server)
                server.restart()
                down.append(time.monotonic() - stopped)
                clients.await_more(BETWEEN)
        with look(url) as conn:
            await_quiet(conn)
            assert clients.failed == []
            assert {row["id"] for row in conn.execute("SELECT id FROM payments")} == set(clients.paid)
            keys = count(conn, "SELECT count(*) AS n FROM idempotency_keys")
            assert len(set(clients.paid)) == len(clients.paid) == keys
            assert_sound(conn)
            assert_all_told(shop, conn)
        assert_calm(shop.api)
        then = {f"p{100 * one:g}": round(clients.percentile(one, since=began), 3) for one in (0.5, 0.9, 0.99, 1)}
        report(
            f"{len(down)} restarts of PostgreSQL, {min(down):.2f} to {max(down):.2f} s: {clients.answered} requests,"
            f" {len(clients.paid)} payments, 0 failed; p99 {calm:.3f} s before, then {then}"
        )


def test_only_what_is_safe_is_done_again(server: Server, url: str, tmp_path: Path) -> None:
    """Cut in the middle of its statement, a payment with a key is made after the restart, once; one without a key is a
    503 and is not made. Without a key, what comes during the outage was never begun, and is made once after it."""
    with open_shop(url, tmp_path, **PATIENT) as shop, ThreadPoolExecutor(3) as aside:
        shop.start_api()
        with contextlib.closing(psycopg.connect(url)) as holder, contextlib.closing(psycopg.connect(url)) as conn:
            conn.autocommit = True
            holder.execute("LOCK TABLE payments IN SHARE MODE")
            keyed = aside.submit(_pay, shop, key=uuid.uuid4().hex)
            keyless = aside.submit(_pay, shop)
            until(lambda: conn.execute(WAITING).fetchone() == (2,), what="two payments in flight")
            server.stop("immediate")
        assert keyless.result().status_code == 503
        later = aside.submit(_pay, shop)
        assert _ready(shop) == 503
        server.restart()

        assert keyed.result().status_code == 201
        assert later.result().status_code == 201
        with look(url) as conn:
            made = {row["id"] for row in conn.execute("SELECT id FROM payments")}
            assert made == {keyed.result().json()["id"], later.result().json()["id"]}
        assert_calm(shop.api)


def test_a_long_outage_is_told_at_once(server: Server, url: str, tmp_path: Path) -> None:
    """Whoever comes early waits as long as patience lasts; whoever comes later is told at once, as is everybody who
    asks how things are."""
    with open_shop(url, tmp_path, LEDGATE_PATIENCE="1") as shop, ThreadPoolExecutor(8) as aside:
        shop.start_api()
        server.stop()
        assert _ready(shop) == 503
        early = [aside.submit(_pay, shop, key=uuid.uuid4().hex) for _ in range(8)]
        assert {one.result().status_code for one in early} == {503}

        seen = watch(shop, seconds=0.5)

        assert seen.answers == AWAY
        assert seen.slowest < QUICK
        assert_calm(shop.api)
        server.restart()


def _pay(shop: Stack, *, key: str | None = None) -> httpx.Response:
    headers = {**HEADERS, **({"Idempotency-Key": key} if key else {})}
    return httpx.post(f"{shop.url}/api/v1/payments", json=BODY, headers=headers, timeout=90)


def _ready(shop: Stack) -> int:
    return httpx.get(f"{shop.url}/health/ready", timeout=10).status_code
