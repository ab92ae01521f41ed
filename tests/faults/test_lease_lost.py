"""A dispatcher that stands still past its lease: another one takes over, and the late answer changes nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.faults.shop import (
    Look,
    Row,
    assert_all_told,
    assert_calm,
    assert_sound,
    await_quiet,
    behave,
    leased,
    open_shop,
    owed,
    pay,
    received,
)
from tests.support.processes import Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults


def test_late_payment_changes_nothing(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Stopped while the processor decides, overtaken, continued: the money moved once, the end is told once, the late
    dispatcher says once that its lease was lost."""
    with open_shop(database_url, tmp_path, LEDGATE_PROCESSING_LEASE="3") as shop:
        shop.start_api()
        late = shop.start_dispatcher(TEST_PROCESSING_DELAY="2000")
        payment = pay(shop)
        until(lambda: owed(conn) == 1, what="both webhooks delivered, and the payment at the processor")
        assert leased(conn, "payment.process") == 1
        os.kill(late.pid, signal.SIGSTOP)

        shop.start_dispatcher()
        await_quiet(conn)
        before = _ledger(conn)
        os.kill(late.pid, signal.SIGCONT)

        until(lambda: late.said("payment.lease_lost"), what="the late answer")
        assert [line["outcomes"] for line in late.said("payment.lease_lost")] == [1]
        assert late.said("payment.processed")[0]["payment"] == payment["id"]
        assert _ledger(conn) == before
        assert_sound(conn)
        assert_all_told(shop, conn)
        assert_calm(late)


def test_late_delivery_changes_nothing(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Stopped while the receiver thinks, overtaken, continued: the delivery stays as the other dispatcher settled it,
    the late one says once that its lease was lost."""
    with open_shop(database_url, tmp_path, LEDGATE_DELIVERY_LEASE="2") as shop:
        shop.start_api()
        behave(shop, "hang", seconds=1, times=1, event="payment.success")
        late = shop.start_dispatcher()
        payment = pay(shop)
        until(lambda: _arrived(shop, payment), what="the webhook at the receiver")
        until(lambda: owed(conn) == 1, what="the one delivery in flight")
        os.kill(late.pid, signal.SIGSTOP)

        shop.start_dispatcher()
        await_quiet(conn)
        before = _ledger(conn)
        os.kill(late.pid, signal.SIGCONT)

        until(lambda: late.said("delivery.lease_lost"), what="the late answer")
        assert [line["outcomes"] for line in late.said("delivery.lease_lost")] == [1]
        assert _ledger(conn) == before
        assert len(_arrived(shop, payment)) == 2
        assert_sound(conn)
        assert_all_told(shop, conn)
        assert_calm(late)


def _arrived(shop: Stack, payment: Row) -> list[Row]:
    found: list[Row] = received(shop, payment_id=payment["id"], event="payment.success")["data"]
    return found


def _ledger(conn: Look) -> list[list[Row]]:
    """Everything that a late answer could have changed."""
    return [
        conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
        for table in ("payments", "orders", "events", "deliveries", "delivery_attempts", "simulator.movements")
    ]
