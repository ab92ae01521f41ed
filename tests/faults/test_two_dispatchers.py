"""Two dispatchers over one database share the work and do none of it twice."""

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
    count,
    open_shop,
    outages,
    pay,
    report,
)
from tests.support import calls
from tests.support.load import HEADERS, load
from tests.support.processes import Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults

PAYMENTS = 2000 if LONG else 300
ORDERS = 40 if LONG else 12


def test_nothing_is_done_twice(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Without a crash each payment is at the processor once and each webhook comes once, and both dispatchers work."""
    with open_shop(database_url, tmp_path) as shop:
        shop.start_api()
        both = shop.start_dispatcher(), shop.start_dispatcher()
        with load(shop.url, thinks=0.05) as clients:
            clients.await_more(PAYMENTS)
        await_quiet(conn)

        assert_kept(clients, conn)
        assert_sound(conn)
        told = assert_all_told(shop, conn)
        assert told["duplicates"] == 0
        payments = len(clients.acknowledged)
        assert count(conn, "SELECT count(*) AS n FROM simulator.charges WHERE calls = 1") == payments
        shares = [(len(one.said("payment.processed")), len(one.said("delivery.attempted"))) for one in both]
        assert all(processed and delivered for processed, delivered in shares), shares
        assert [sum(share) for share in zip(*shares, strict=True)] == [payments, sum(told["counts"].values())]
        assert [outages(one) for one in both] == [(0, 0), (0, 0)]
        report(f"{payments} payments by two dispatchers, none twice; (payments, webhooks) of each: {shares}")


def test_an_order_is_paid_once(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Two pending payments of one order, taken up by two dispatchers at once: one of them moves money and pays the
    order, the other one fails for that reason."""
    one_at_a_time = {"LEDGATE_CLAIM_SIZE": "1", "LEDGATE_MAX_PROCESSING": "1", "TEST_PROCESSING_DELAY": "300"}
    with open_shop(database_url, tmp_path, **one_at_a_time) as shop:
        shop.start_api()
        orders = [_open_order(shop, amount=1000 + n) for n in range(ORDERS)]
        rivals = [(pay(shop, order_id=order)["id"], pay(shop, order_id=order)["id"]) for order in orders]
        shop.start_dispatcher()
        shop.start_dispatcher()
        until(lambda: _contested(conn), what="an order whose payments both dispatchers have in hand")
        await_quiet(conn)

        ends = {row["id"]: row for row in conn.execute("SELECT id, status, error_code FROM payments")}
        for pair in rivals:
            told = {(ends[one]["status"], ends[one]["error_code"]) for one in pair}
            assert told == {("success", None), ("failed", "order_already_paid")}
        assert count(conn, "SELECT count(*) AS n FROM orders WHERE status = 'paid' AND attempts = 2") == ORDERS
        assert count(conn, "SELECT count(*) AS n FROM simulator.movements") == ORDERS
        asked = "SELECT count(*) AS n FROM simulator.charges"
        assert count(conn, asked) == ORDERS  # nobody even asked the processor for the others
        assert_sound(conn)
        assert_all_told(shop, conn)


def _open_order(shop: Stack, *, amount: int) -> str:
    answer = calls.post(f"{shop.url}/api/v1/orders", json={"amount": amount, "currency": "INR"}, headers=HEADERS)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _contested(conn: Look) -> int:
    """Orders with one payment at the processor and another one claimed: by the other dispatcher, as each takes one."""
    return count(
        conn,
        "SELECT count(*) AS n FROM (SELECT FROM outbox o JOIN payments p ON p.id = o.id WHERE o.claims > 0"
        " GROUP BY p.order_id HAVING count(*) = 2) AS contested",
    )
