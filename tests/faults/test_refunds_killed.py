"""kill -9 while money goes back: a 201 is a promise that is kept once, whoever dies between it and the settle."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults.shop import (
    LONG,
    Look,
    assert_all_told,
    assert_sound,
    await_quiet,
    count,
    leased,
    open_shop,
    pay,
    report,
)
from tests.support import calls
from tests.support.load import HEADERS, Load, load
from tests.support.waiting import until

pytestmark = pytest.mark.faults

KILLS = 8 if LONG else 1
REFUNDS_BETWEEN = 200 if LONG else 60
PAYMENTS = 200 if LONG else 40
DEATHS = (1, 7, 15, 4, 20) if LONG else (7,)
MOMENTS = ("before", "after") if LONG else ("after",)
REFUNDS = 15
LEASES = {"LEDGATE_PROCESSING_LEASE": "3", "LEDGATE_DELIVERY_LEASE": "3"}


def test_no_refund_is_lost_or_made_twice(database_url: str, conn: Look, tmp_path: Path) -> None:
    """API and dispatcher killed by turns under load: each 201 that a client saw is a refund that ended, each key is one
    refund, money went back once for each that was processed, and what failed is there to be refunded again."""
    with open_shop(database_url, tmp_path, TEST_PROCESSING_DELAY="300", **LEASES) as shop:
        shop.start_api()
        dispatcher = shop.start_dispatcher(TEST_PROCESSING_DELAY="0")
        ids = [pay(shop, vpa="refund-failure@psp" if n % 4 == 3 else "user@psp")["id"] for n in range(PAYMENTS)]
        await_quiet(conn)
        dispatcher.kill()

        def refund(key: str, number: int) -> tuple[str, dict[str, Any]]:
            """Small ones of many payments; every fourth goes for one that cannot give them all."""
            if number % 4:
                return f"/payments/{ids[number % PAYMENTS]}/refunds", {"amount": 100 + number % 9, "reason": key}
            return f"/payments/{ids[0]}/refunds", {"amount": 9_000}

        with load(shop.url, thinks=0.05, ask=refund, refusals={"amount_too_large", "fully_refunded"}) as clients:
            for _ in range(KILLS):
                dispatcher = shop.start_dispatcher()
                clients.await_more(REFUNDS_BETWEEN)
                shop.api.kill()
                shop.start_api()
                clients.await_more(REFUNDS_BETWEEN // 2)
                until(lambda: leased(conn, "refund.process"), what="refunds at the processor")
                dispatcher.kill()
        shop.start_dispatcher()
        await_quiet(conn)

        _assert_kept(clients, conn)
        assert clients.broken_off >= KILLS  # there were requests in flight when the API died
        assert clients.declined["amount_too_large"] >= 1
        assert count(conn, "SELECT amount_refunded AS n FROM payments WHERE id = %s", ids[0]) == 45_000
        # Whoever came after the dead asked first, and did not act again.
        assert count(conn, "SELECT count(*) AS n FROM simulator.charges WHERE calls > 1") == 0
        assert_sound(conn)
        told = assert_all_told(shop, conn)
        report(
            f"API and dispatcher killed {KILLS} times each under {len(clients.acknowledged)} refunds: 0 lost, 0 twice;"
            f" {clients.broken_off} requests cut off, {sum(clients.declined.values())} refused for want of money,"
            f" {told['counts']['refund.failed']} failed and gave back"
        )


@pytest.mark.parametrize("moment", MOMENTS)
def test_money_goes_back_once(database_url: str, conn: Look, tmp_path: Path, moment: str) -> None:
    """Killed just before the processor is asked, or just after it answered: each refund is asked for once, its money
    goes back once, its end is written and told once."""
    with open_shop(database_url, tmp_path, TEST_PROCESSING_DELAY="0", **LEASES) as shop:
        shop.start_api()
        dispatcher = shop.start_dispatcher()
        ids = [pay(shop)["id"] for _ in range(REFUNDS)]
        await_quiet(conn)
        dispatcher.kill()
        for at in DEATHS:
            for payment in ids:
                said = calls.post(
                    f"{shop.url}/api/v1/payments/{payment}/refunds", json={"amount": 100}, headers=HEADERS
                )
                assert said.status_code == 201, said.text
            dying = shop.process("tests.faults.dying_dispatcher", DIES=moment, DIES_AT=str(at))
            dying.start()
            assert dying.wait() == -signal.SIGKILL
        undecided = count(
            conn,
            "SELECT count(*) AS n FROM simulator.charges c JOIN refunds r ON r.id = c.idempotency_key"
            " WHERE r.status = 'pending'",
        )
        shop.start_dispatcher()
        await_quiet(conn)

        made = REFUNDS * len(DEATHS)
        if moment == "after":
            assert undecided >= 1  # money had gone back, and nobody had written it down
        assert count(conn, "SELECT count(*) AS n FROM refunds WHERE status = 'processed'") == made
        assert count(conn, "SELECT count(*) AS n FROM simulator.movements WHERE amount = -100") == made
        assert count(conn, "SELECT count(*) AS n FROM simulator.charges WHERE calls > 1") == 0
        assert_sound(conn)
        told = assert_all_told(shop, conn)
        assert {told["counts"][f"refund.{what}"] for what in ("created", "processed")} == {made}
        report(f"{len(DEATHS)} deaths {moment} the answer, {undecided} refunds done and not written down: none twice")


def _assert_kept(clients: Load, conn: Look) -> None:
    """Every 201 that a client saw is a refund as it was told, and has ended; there is none that nobody asked for."""
    assert clients.wrong == []
    rows = {
        row["key"]: row
        for row in conn.execute(
            "SELECT k.key, k.body, r.id, r.payment_id, r.amount, r.reason, r.status, p.vpa"
            " FROM idempotency_keys k"
            " JOIN refunds r ON r.bucket = k.bucket AND r.merchant_id = k.merchant_id AND r.id = k.body::json ->> 'id'"
            " JOIN payments p ON p.bucket = r.bucket AND p.merchant_id = r.merchant_id AND p.id = r.payment_id"
        )
    }
    assert rows.keys() == clients.acknowledged.keys()
    for key, answer in clients.acknowledged.items():
        row, told = rows[key], msgspec.json.decode(answer.body)
        assert row["body"].encode() == answer.body
        assert {name: told[name] for name in ("id", "payment_id", "amount", "reason")} == {
            name: row[name] for name in ("id", "payment_id", "amount", "reason")
        }
        assert (told["amount"], told["reason"]) == (answer.request["amount"], answer.request.get("reason"))
        assert answer.path == f"/payments/{row['payment_id']}/refunds"
        assert row["status"] == ("failed" if row["vpa"] == "refund-failure@psp" else "processed")
    assert count(conn, "SELECT count(*) AS n FROM refunds") == len(rows)
