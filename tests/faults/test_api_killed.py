"""kill -9 of the API under load: a 201 is a promise, no answer is none, and a retry with the same key settles which."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from kit.children import alive, descendants
from tests.faults.shop import (
    LONG,
    Look,
    assert_all_told,
    assert_kept,
    assert_sound,
    await_quiet,
    count,
    open_shop,
    pay,
    report,
)
from tests.support.load import HEADERS, Answer, load
from tests.support.processes import Process
from tests.support.waiting import until

pytestmark = pytest.mark.faults

KILLS = 10 if LONG else 3
PAYMENTS_BETWEEN = 300 if LONG else 100


def test_no_payment_is_lost_or_made_twice(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Each 201 that a client saw is there with its events, deliveries and work; each key is one payment, however often
    it was sent; nothing is half there."""
    with open_shop(database_url, tmp_path) as shop:
        shop.start_api()
        shop.start_dispatcher()

        with load(shop.url) as clients:
            for _ in range(KILLS):
                clients.await_more(PAYMENTS_BETWEEN)
                shop.api.kill()
                shop.start_api()
            clients.await_more(PAYMENTS_BETWEEN)
        await_quiet(conn)

        assert_kept(clients, conn)
        assert_sound(conn)
        told = assert_all_told(shop, conn)
        assert clients.broken_off >= KILLS  # there were requests in flight at each kill
        _assert_replayed(shop.url, clients.acknowledged)
        retried = [answer for answer in clients.acknowledged.values() if answer.tries > 1]
        report(
            f"API killed {KILLS} times: {len(clients.acknowledged)} payments acknowledged, 0 missing, 0 twice;"
            f" {clients.broken_off} requests cut off, {sum(answer.replayed for answer in retried)} of them had been"
            f" committed; {count(conn, 'SELECT count(*) AS n FROM events')} events told, {told['duplicates']} twice"
        )


def test_worker_dies_with_its_parent(database_url: str, conn: Look, tmp_path: Path) -> None:
    """kill -9 of the parent process alone, while it serves and while its worker only just starts, leaves nobody behind
    who holds the port: the next start serves."""
    with open_shop(database_url, tmp_path) as shop:
        shop.start_api()
        _kill_parent(shop.api, _workers(shop.api))

        shop.api.start()
        _kill_parent(shop.api, until(lambda: _workers(shop.api), what="a worker that starts"))

        shop.start_api()
        pay(shop)


def test_parent_replaces_a_dead_worker(database_url: str, conn: Look, tmp_path: Path) -> None:
    """kill -9 of the worker alone: its parent starts another, without anybody's help."""
    with open_shop(database_url, tmp_path) as shop:
        shop.start_api()
        (worker,) = _workers(shop.api)

        os.kill(worker, signal.SIGKILL)

        until(lambda: set(_workers(shop.api)) - {worker}, what="another worker")
        shop.await_api()
        assert shop.api.running
        pay(shop)


def _workers(api: Process) -> list[int]:
    return [pid for pid in descendants(api.pid) if alive(pid)]


def _kill_parent(api: Process, workers: list[int]) -> None:
    os.kill(api.pid, signal.SIGKILL)
    assert api.wait() == -signal.SIGKILL
    until(lambda: not any(alive(worker) for worker in workers), within=10, what=f"the end of {workers}")


def _assert_replayed(url: str, answers: Mapping[str, Answer]) -> None:
    """Every client that was cut off, and some others, would get the very same answer again."""
    picked = {key: answer for n, (key, answer) in enumerate(answers.items()) if answer.tries > 1 or n % 50 == 0}
    with httpx.Client(headers=HEADERS) as client:
        for key, answer in picked.items():
            again = client.post(f"{url}/api/v1/payments", json=answer.request, headers={"Idempotency-Key": key})
            assert (again.status_code, again.content) == (201, answer.body)
            assert again.headers["Idempotent-Replayed"] == "true"
