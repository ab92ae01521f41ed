"""A dispatcher dies between the processor's answer and the settle: the next one asks, and never takes money twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.shop import LONG, Look, assert_all_told, assert_sound, await_quiet, count, open_shop, pay, report
from tests.support.waiting import until

pytestmark = pytest.mark.faults

PAYMENTS = 30
DEATHS = (1, 7, 15, 4, 20) if LONG else (7,)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_money_moves_once(database_url: str, conn: Look, tmp_path: Path, moment: str) -> None:
    """Killed just before the processor is asked, or just after it answered: each payment is asked for once and
    succeeds once, its money moves once, its events are written and told once."""
    leases = {"LEDGATE_PROCESSING_LEASE": "3", "LEDGATE_DELIVERY_LEASE": "3"}
    with open_shop(database_url, tmp_path, TEST_PROCESSING_DELAY="0", **leases) as shop:
        shop.start_api()
        for at in DEATHS:
            for _ in range(PAYMENTS):
                pay(shop)
            dying = shop.process("tests.faults.dying_dispatcher", DIES=moment, DIES_AT=str(at))
            dying.start()
            assert dying.wait() == -signal.SIGKILL
        undecided = _undecided(conn)
        shop.start_dispatcher()
        until(lambda: count(conn, "SELECT count(*) AS n FROM payments WHERE status = 'pending'") == 0, what="all ended")
        await_quiet(conn)

        payments = PAYMENTS * len(DEATHS)
        if moment == "after":
            assert undecided >= 1  # money had moved, and nobody had written it down
        assert count(conn, "SELECT count(*) AS n FROM payments WHERE status = 'success'") == payments
        assert count(conn, "SELECT count(*) AS n FROM simulator.movements") == payments
        assert count(conn, "SELECT count(*) AS n FROM simulator.charges WHERE calls = 1 AND approved") == payments
        assert_sound(conn)
        told = assert_all_told(shop, conn)
        assert {told["counts"][f"payment.{end}"] for end in ("created", "pending", "success")} == {payments}
        report(
            f"{len(DEATHS)} deaths {moment} the answer, {undecided} payments charged and not written down: none twice"
        )


def _undecided(conn: Look) -> int:
    """Payments that the processor has decided and the ledger does not know of."""
    return count(
        conn,
        "SELECT count(*) AS n FROM simulator.charges c JOIN payments p ON p.id = c.idempotency_key"
        " WHERE p.status = 'pending'",
    )
