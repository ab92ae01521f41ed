"""kill -9 of the API under load: a 201 is a promise, no answer is none, and a retry with the same key settles which."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import psycopg
import pytest

from gateway import demo
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
)
from tests.support.load import HEADERS, load
from tests.support.waiting import until

pytestmark = pytest.mark.faults

KILLS = 10 if LONG else 3
PAYMENTS_BETWEEN = 300 if LONG else 150


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
        assert_all_told(shop, conn)
        _replays(shop.url, clients.acknowledged.items())
        retried = [answer for answer in clients.acknowledged.values() if answer.tries > 1]
        assert clients.broken_off >= KILLS  # there were requests in flight at each kill
        print(
            f"\nAPI killed {KILLS} times: {len(clients.acknowledged)} payments acknowledged, 0 missing, 0 twice;"
            f" {clients.broken_off} requests cut off, {sum(answer.replayed for answer in retried)} of {len(retried)}"
            f" retried payments had been committed; {count(conn, 'SELECT count(*) AS n FROM events')} events, all told"
        )


def _replays(url: str, answers) -> None:
    """The clients that were cut off, and some others, get the very answer again."""
    picked = [item for n, item in enumerate(answers) if item[1].tries > 1 or n % 50 == 0]
    with httpx.Client(headers=HEADERS) as client:
        for key, answer in picked:
            again = client.post(f"{url}/api/v1/payments", json=answer.request, headers={"Idempotency-Key": key})
            assert (again.status_code, again.content) == (201, answer.body)
            assert again.headers["Idempotent-Replayed"] == "true"
