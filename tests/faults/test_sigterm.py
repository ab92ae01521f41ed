"""SIGTERM drains: what is in flight ends, nothing is begun, the rest is given back at once, the exit code is 0."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.faults.shop import (
    LONG,
    Look,
    assert_all_told,
    assert_calm,
    assert_kept,
    assert_sound,
    await_quiet,
    behave,
    count,
    leased,
    open_shop,
    owed,
    pay,
    received,
    report,
)
from tests.support import calls
from tests.support.load import HEADERS, load
from tests.support.waiting import until

pytestmark = pytest.mark.faults

IN_FLIGHT = 8
ROUNDS = 5 if LONG else 2
PAYMENTS_BETWEEN = 300 if LONG else 100
WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_dispatcher_ends_what_is_in_flight(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Its webhooks in flight are answered, written down and never sent again; what comes later waits for others."""
    with open_shop(database_url, tmp_path, TEST_PROCESSING_DELAY="4000") as shop:
        shop.start_api()
        behave(shop, "hang", seconds=5, event="payment.pending")
        dispatcher = shop.start_dispatcher()
        early = {pay(shop)["id"] for _ in range(IN_FLIGHT)}
        until(lambda: owed(conn) == 2 * IN_FLIGHT, what="webhooks and payments in flight, all else done")
        until(lambda: received(shop, event="payment.pending")["total"] == IN_FLIGHT, what="webhooks at the receiver")
        assert (leased(conn, "payment.process"), leased(conn, "webhook.deliver")) == (IN_FLIGHT, IN_FLIGHT)

        with ThreadPoolExecutor(1) as aside:
            ending = aside.submit(dispatcher.terminate)
            until(lambda: dispatcher.said("dispatcher.draining"), what="draining")
            later = [pay(shop) for _ in range(IN_FLIGHT)]
            assert ending.result() == 0

        (stopped,) = dispatcher.said("dispatcher.stopped")
        assert (stopped["processed"], stopped["released"]) == (IN_FLIGHT, 0)
        assert {line["payment"] for line in dispatcher.said("payment.processed")} == early
        assert count(conn, "SELECT count(*) AS n FROM outbox WHERE claims > 0") == 0
        assert count(conn, "SELECT count(*) AS n FROM outbox WHERE kind = 'payment.process'") == len(later)
        assert count(conn, "SELECT count(*) AS n FROM dispatchers") == 0
        behave(shop, "ok")
        shop.start_dispatcher()
        await_quiet(conn)
        assert_sound(conn)
        assert assert_all_told(shop, conn)["duplicates"] == 0
        assert_calm(dispatcher)


def test_dispatcher_gives_back_what_does_not_end(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Payments that a slow processor keeps are another dispatcher's at once, long before their lease would end."""
    with open_shop(database_url, tmp_path, LEDGATE_DRAIN="0.5", LEDGATE_PROCESSING_LEASE="60") as shop:
        shop.start_api()
        slow = shop.start_dispatcher(TEST_PROCESSING_DELAY="60000")
        for _ in range(IN_FLIGHT):
            pay(shop)
        until(
            lambda: leased(conn, "payment.process") == IN_FLIGHT == owed(conn), what="payments in flight, nothing else"
        )

        shop.start_dispatcher()
        told = time.monotonic()
        assert slow.terminate() == 0
        await_quiet(conn, within=15)

        assert time.monotonic() - told < 15
        (stopped,) = slow.said("dispatcher.stopped")
        assert stopped["released"] == IN_FLIGHT
        assert count(conn, "SELECT count(*) AS n FROM simulator.charges WHERE calls = 1") == IN_FLIGHT
        assert_sound(conn)
        assert assert_all_told(shop, conn)["duplicates"] == 0
        assert_calm(slow)


def test_api_answers_what_it_has_accepted(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Requests that wait for the database when SIGTERM comes get their 201; then the API is gone."""
    with open_shop(database_url, tmp_path) as shop, psycopg.connect(database_url) as holder:
        shop.start_api()
        pay(shop)
        holder.execute("LOCK TABLE payments IN SHARE MODE")

        with ThreadPoolExecutor(IN_FLIGHT + 1) as aside:
            paying = [aside.submit(pay, shop) for _ in range(IN_FLIGHT)]
            until(lambda: count(conn, WAITING) == IN_FLIGHT, what="requests in flight")
            ending = aside.submit(shop.api.terminate)
            until(lambda: _refuses(shop.url), what="an API that takes nothing new")
            assert not any(one.done() for one in paying)
            holder.rollback()
            answers = [one.result() for one in paying]
            assert ending.result() == 0

        assert {row["id"] for row in conn.execute("SELECT id FROM payments")} >= {one["id"] for one in answers}
        assert_calm(shop.api)


def test_api_under_load_loses_no_answer(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Stopped and started again and again under load: every payment that was made was answered, to its client, once."""
    with open_shop(database_url, tmp_path) as shop:
        shop.start_api()
        with load(shop.url) as clients:
            for _ in range(ROUNDS):
                clients.await_more(PAYMENTS_BETWEEN)
                assert shop.api.terminate() == 0
                shop.start_api()
            clients.await_more(PAYMENTS_BETWEEN)

        assert_kept(clients, conn)
        assert_sound(conn)
        assert not any(answer.replayed for answer in clients.acknowledged.values())
        served = [line for line in shop.api.said("request.served") if line["path"] == "/api/v1/payments"]
        assert len(served) == clients.statuses.total()
        assert_calm(shop.api)
        report(
            f"API stopped {ROUNDS} times: {len(clients.acknowledged)} payments acknowledged,"
            f" no answer lost; {clients.broken_off} requests met a connection that was closing"
        )


def _refuses(url: str) -> bool:
    try:
        calls.get(f"{url}/health", headers=HEADERS, timeout=1)
    except httpx.TransportError:
        return True
    return False
