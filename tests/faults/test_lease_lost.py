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
    count,
    leased,
    open_shop,
    owed,
    pay,
    received,
)
from tests.support.processes import Process, Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults


def test_late_payment_changes_nothing(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Stopped while the processor decides, continued while another dispatcher has the payment there: the other one's
    end counts, the money moved once, all is told once, and the late one says once that its lease was lost."""
    with open_shop(database_url, tmp_path) as shop:
        shop.start_api()
        late = shop.start_dispatcher(LEDGATE_PROCESSING_LEASE="3", TEST_PROCESSING_DELAY="2000")
        payment = pay(shop)
        until(lambda: owed(conn) == 1, what="both webhooks delivered, and the payment at the processor")
        assert leased(conn, "payment.process") == 1
        os.kill(late.pid, signal.SIGSTOP)

        other = shop.start_dispatcher(TEST_PROCESSING_DELAY="6000")
        until(lambda: _holder(conn) == _id(other), what="another holder")
        os.kill(late.pid, signal.SIGCONT)
        until(lambda: late.said("payment.lease_lost"), what="the late answer")
        assert _holder(conn) == _id(other)
        await_quiet(conn)

        assert [line["outcomes"] for line in late.said("payment.lease_lost")] == [1]
        assert [len(one.said("payment.processed")) for one in (late, other)] == [1, 1]
        assert conn.execute("SELECT id, status FROM payments").fetchall() == [
            {"id": payment["id"], "status": "success"}
        ]
        assert count(conn, "SELECT count(*) AS n FROM simulator.movements") == 1
        assert_sound(conn)
        assert assert_all_told(shop, conn)["duplicates"] == 0
        assert_calm(late, other)


def test_late_delivery_changes_nothing(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Stopped while the receiver thinks, continued while another dispatcher sends the webhook again: the other one's
    attempt is written down, and the late one says once that its lease was lost."""
    with open_shop(database_url, tmp_path) as shop:
        shop.start_api()
        behave(shop, "hang", seconds=5, event="payment.success")
        late = shop.start_dispatcher(LEDGATE_DELIVERY_LEASE="3")
        payment = pay(shop)
        until(lambda: _arrived(shop, payment), what="the webhook at the receiver")
        until(lambda: owed(conn) == 1, what="the one delivery in flight")
        os.kill(late.pid, signal.SIGSTOP)

        other = shop.start_dispatcher()
        until(lambda: _holder(conn) == _id(other), what="another holder")
        os.kill(late.pid, signal.SIGCONT)
        until(lambda: late.said("delivery.lease_lost"), what="the late answer")
        assert _holder(conn) == _id(other)
        await_quiet(conn)

        assert [line["outcomes"] for line in late.said("delivery.lease_lost")] == [1]
        assert len(_arrived(shop, payment)) == 2
        settled = "SELECT claim, response_code FROM delivery_attempts WHERE delivery_id = %s"
        assert conn.execute(settled, [_arrived(shop, payment)[0]["delivery_id"]]).fetchall() == [
            {"claim": 2, "response_code": 200}
        ]
        assert_sound(conn)
        assert_all_told(shop, conn)
        assert_calm(late, other)


def _id(dispatcher: Process) -> str:
    return str(dispatcher.said("dispatcher.started")[0]["dispatcher"])


def _holder(conn: Look) -> str | None:
    """Who has the only open work."""
    row = conn.execute("SELECT leased_by FROM outbox").fetchone()
    return row["leased_by"] if row else None


def _arrived(shop: Stack, payment: Row) -> list[Row]:
    found: list[Row] = received(shop, payment_id=payment["id"], event="payment.success")["data"]
    return found
