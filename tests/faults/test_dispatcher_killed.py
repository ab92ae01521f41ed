"""kill -9 of a dispatcher with requests in flight: another one does what it held, and nothing else twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.shop import (
    LONG,
    Look,
    assert_all_told,
    assert_kept,
    assert_sound,
    await_quiet,
    behave,
    count,
    leased,
    open_shop,
    received,
    report,
)
from tests.support.load import load
from tests.support.processes import Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults

KILLS = 5 if LONG else 2
PAYMENTS_BETWEEN = 200 if LONG else 60
LEASES = {"LEDGATE_DELIVERY_LEASE": "6", "LEDGATE_PROCESSING_LEASE": "3"}


def test_another_dispatcher_does_what_a_killed_one_held(database_url: str, conn: Look, tmp_path: Path) -> None:
    """What was in flight is done once its lease ends: webhooks come again under the same webhook-id, money never
    moves again; all else comes once."""
    with open_shop(database_url, tmp_path, TEST_PROCESSING_DELAY="500", **LEASES) as shop:
        shop.start_api()
        with load(shop.url, thinks=0.2) as clients:
            for _ in range(KILLS):
                behave(shop, "hang", seconds=4, event="payment.pending")
                dispatcher = shop.start_dispatcher()
                clients.await_more(PAYMENTS_BETWEEN)
                until(lambda: leased(conn, "payment.process") and _held(shop), what="work and webhooks in flight")
                dispatcher.kill()
        behave(shop, "ok")
        shop.start_dispatcher()
        await_quiet(conn)

        assert_kept(clients, conn)
        assert_sound(conn)
        told = assert_all_told(shop, conn)
        again = count(conn, "SELECT coalesce(sum(claims - attempts), 0) AS n FROM deliveries")
        assert KILLS <= told["duplicates"] <= again
        assert _ids_of_duplicates(received(shop, limit=1000)["data"]) <= _claimed_again(conn)
        assert count(conn, "SELECT count(*) AS n FROM simulator.charges WHERE calls > 1") == 0
        report(
            f"Dispatcher killed {KILLS} times under {len(clients.acknowledged)} payments: all told,"
            f" {told['duplicates']} of {sum(told['counts'].values())} webhooks twice and under the same webhook-id,"
            f" no money moved twice"
        )


def _held(shop: Stack) -> int:
    """Webhooks that the receiver has and has not answered."""
    return sum(one["status"] is None for one in received(shop, limit=1000, event="payment.pending")["data"])


def _ids_of_duplicates(arrivals: list[dict[str, str]]) -> set[str]:
    return {one["webhook_id"] for one in arrivals if one["duplicate"]}


def _claimed_again(conn: Look) -> set[str]:
    return {row["event_id"] for row in conn.execute("SELECT event_id FROM deliveries WHERE claims > attempts")}
