"""Refunds through the dispatcher: money goes back once, whoever dies in between; what fails gives its amount back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from dispatcher.app import Dispatcher
from gateway import payments, refunds
from gateway.captures import CapturePayment, capture
from gateway.config import Config
from gateway.payments import CreatePayment
from gateway.processors import MoneyBack, Outcome, ProcessorUnreachableError
from gateway.processors.simulator import Simulator
from gateway.refunds import CreateRefund
from gateway.secrets import make_sealer
from kit.db import Connection
from outbox import work
from schema.invariants import broken
from tests.support.paying import MERCHANT
from tests.support.waiting import eventually
from tests.support.working import hands, work_off

Conn = psycopg.Connection[dict[str, Any]]
AMOUNT = 50_000
REFUND: work.Kind = "refund.process"


class Silent(Simulator):
    """A processor that cannot be reached."""

    async def refund(self, asked: MoneyBack) -> Outcome:
        raise ProcessorUnreachableError(asked.refund_id)


async def _paid(db: Connection, config: Config, vpa: str = "user@psp") -> str:
    """A successful payment."""
    request = CreatePayment(order_id="order_test_123", method="upi", vpa=vpa)
    draft = payments.draft(MERCHANT, request, key=None, sealer=make_sealer(config), now=datetime.now(UTC))
    await payments.create_batch(db, [draft])
    await work_off(config, "payment.process")
    return str(draft.item["id"])


async def _refund(db: Connection, config: Config, payment: str, *amounts: int | None) -> list[str]:
    """Refunds of these amounts, pending; their ids."""
    sealer = make_sealer(config)
    made = [
        await refunds.create(db, MERCHANT, payment, CreateRefund(amount=amount), key=None, sealer=sealer)
        for amount in amounts
    ]
    return [msgspec.json.decode(one.body)["id"] for one in made]


async def test_a_dispatcher_sends_money_back_and_tells_it(config: Config, db: Connection, conn: Conn) -> None:
    """The real one, with all its lanes: paid, captured, refunded twice; every fact told, all work counted."""
    payment = await _paid(db, config)
    await capture(db, MERCHANT, payment, CapturePayment(), key=None, sealer=make_sealer(config))
    first, rest = await _refund(db, config, payment, 20_000, None)
    assert (await work.status(db)).pending == 2 + conn.execute("SELECT FROM webhook_logs").rowcount
    conn.execute("DELETE FROM outbox WHERE kind = 'webhook.deliver'")
    conn.execute("DELETE FROM endpoints")
    conn.execute("UPDATE events SET deliveries = 0")
    before = (await work.status(db)).completed

    one = Dispatcher(config)
    running = asyncio.create_task(one.run())

    async def done() -> bool:
        return conn.execute("SELECT FROM outbox").rowcount == 0

    await eventually(done, what="an empty outbox")
    one.stop()
    await asyncio.wait_for(running, 30)

    rows = conn.execute("SELECT id, amount, status, error_code, processor_ref FROM refunds ORDER BY id").fetchall()
    assert [(row["id"], row["amount"], row["status"], row["error_code"]) for row in rows] == [
        (first, 20_000, "processed", None),
        (rest, 30_000, "processed", None),
    ]
    assert all(row["processor_ref"] for row in rows)
    moved = conn.execute("SELECT idempotency_key AS key, amount FROM simulator.movements ORDER BY amount").fetchall()
    assert [(row["key"], row["amount"]) for row in moved] == [(rest, -30_000), (first, -20_000), (payment, AMOUNT)]
    status = await work.status(db)
    assert (status.pending, status.processing, status.completed - before, status.failed) == (0, 0, 2, 0)
    assert broken(conn) == {}
    events = conn.execute("SELECT subject_id, body FROM events WHERE type = 'refund.processed'").fetchall()
    told = {row["subject_id"]: msgspec.json.decode(row["body"])["data"]["refund"] for row in events}
    for refund in (first, rest):
        shown = await refunds.get(db, MERCHANT, refund)
        assert told[refund] == msgspec.to_builtins(shown), "the event shows the refund as the API does"


async def test_what_fails_gives_its_amount_back(config: Config, db: Connection, conn: Conn) -> None:
    """Several of one payment in one batch too; then all of it can be refunded again."""
    payment, other = await _paid(db, config, "refund-failure@psp"), await _paid(db, config)
    await _refund(db, config, payment, 10_000, 20_000, None)
    await _refund(db, config, other, 5)
    before = conn.execute("SELECT version FROM payments WHERE id = %s", [payment]).fetchone()
    async with hands(config) as some:
        assert await some.work_off(REFUND) == 4

    rows = conn.execute("SELECT status, error_code, payment_id FROM refunds ORDER BY id").fetchall()
    assert [(row["status"], row["error_code"]) for row in rows] == [("failed", "refund_declined")] * 3 + [
        ("processed", None)
    ]
    left = conn.execute("SELECT amount_refunded, version FROM payments WHERE id = %s", [payment]).fetchone()
    assert before is not None
    assert left == {"amount_refunded": 0, "version": before["version"] + 1}
    assert conn.execute("SELECT FROM simulator.movements WHERE amount < 0").rowcount == 1
    told = conn.execute("SELECT type, count(*) AS n FROM events WHERE type LIKE 'refund.%' GROUP BY type").fetchall()
    assert {row["type"]: row["n"] for row in told} == {"refund.created": 4, "refund.failed": 3, "refund.processed": 1}
    assert broken(conn) == {}

    await _refund(db, config, payment, None)
    assert broken(conn) == {}


async def test_failures_settle_at_once_from_two_dispatchers(config: Config, db: Connection, conn: Conn) -> None:
    """Batches that give back to the same payments in different orders neither lose a sum nor wait for each other."""
    ids = [await _paid(db, config, "refund-failure@psp") for _ in range(5)]
    for amount in range(1, 9):
        for payment in ids if amount % 2 else reversed(ids):
            await _refund(db, config, payment, amount)
    async with hands(config, who="one") as one, hands(config, who="two") as two:
        ended = await one.take(REFUND)
        assert len(ended) == 40
        conn.execute("UPDATE outbox SET leased_by = 'two' WHERE id = ANY(%s)", [[each.work.id for each in ended[::2]]])
        shares = [(two, ended[::2]), (one, ended[1::2][::-1])]
        await asyncio.gather(*(who.settle(REFUND, share) for who, share in shares))

    assert conn.execute("SELECT DISTINCT amount_refunded FROM payments").fetchall() == [{"amount_refunded": 0}]
    assert broken(conn) == {}


async def test_one_who_died_after_the_answer_is_asked_after_not_repeated(
    config: Config, db: Connection, conn: Conn
) -> None:
    """The money went back, nobody wrote it down: the next dispatcher finds the answer, and nothing moves again."""
    payment = await _paid(db, config)
    (refund,) = await _refund(db, config, payment, 300)
    async with hands(config, who="dies") as dying:
        assert len(await dying.take(REFUND)) == 1
    assert conn.execute("SELECT status FROM refunds").fetchone() == {"status": "pending"}
    conn.execute("UPDATE outbox SET next_retry_at = now() - interval '1 second' WHERE id = %s", [refund])

    async with hands(config, who="next") as other:
        assert await other.work_off(REFUND) == 1

    assert conn.execute("SELECT status FROM refunds").fetchone() == {"status": "processed"}
    asked = conn.execute("SELECT calls, refund_of FROM simulator.charges WHERE idempotency_key = %s", [refund])
    assert asked.fetchall() == [{"calls": 1, "refund_of": payment}]
    assert broken(conn) == {}


async def test_a_late_answer_of_a_lost_lease_changes_nothing(config: Config, db: Connection, conn: Conn) -> None:
    payment = await _paid(db, config, "refund-failure@psp")
    (refund,) = await _refund(db, config, payment, 300)
    async with hands(config, who="late") as late, hands(config, who="other") as other:
        ended = await late.take(REFUND)
        conn.execute("UPDATE outbox SET next_retry_at = now() - interval '1 second' WHERE id = %s", [refund])
        theirs = await other.take(REFUND)
        await late.settle(REFUND, ended)
        assert conn.execute("SELECT status FROM refunds").fetchone() == {"status": "pending"}
        await other.settle(REFUND, theirs)
        await other.settle(REFUND, theirs)
        await late.settle(REFUND, ended)

    assert conn.execute("SELECT status, version FROM refunds").fetchone() == {"status": "failed", "version": 2}
    assert broken(conn) == {}


async def test_a_processor_without_an_answer_is_asked_again(config: Config, db: Connection, conn: Conn) -> None:
    """Money may have gone back or not: the refund stays pending, its amount promised, its work due again."""
    payment = await _paid(db, config)
    (refund,) = await _refund(db, config, payment, None)
    async with hands(config, processor=lambda database: Silent(database, config)) as some:
        assert await some.work_off(REFUND) == 0

    row = conn.execute("SELECT leased_by, claims, next_retry_at > now() AS later FROM outbox WHERE id = %s", [refund])
    assert row.fetchone() == {"leased_by": None, "claims": 1, "later": True}
    assert conn.execute("SELECT amount_refunded FROM payments").fetchone() == {"amount_refunded": AMOUNT}
    conn.execute("UPDATE outbox SET next_retry_at = now() WHERE id = %s", [refund])
    async with hands(config) as some:
        assert await some.work_off(REFUND) == 1
    assert conn.execute("SELECT status FROM refunds").fetchone() == {"status": "processed"}
    assert broken(conn) == {}


async def test_work_of_a_refund_that_has_ended_ends(config: Config, db: Connection, conn: Conn) -> None:
    """Nothing is asked, nothing moves, nothing is told; the work is gone."""
    payment = await _paid(db, config)
    await _refund(db, config, payment, 7)
    await work_off(config)
    conn.execute(
        "INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)"
        " SELECT bucket, merchant_id, id, 'refund.process', now(), now() FROM refunds"
    )
    async with hands(config) as some:
        assert await some.work_off(REFUND) == 1
    assert conn.execute("SELECT FROM simulator.movements").rowcount == 2
    assert broken(conn) == {}


async def test_the_setting_of_payments_does_not_decide_refunds(config: Config, db: Connection, conn: Conn) -> None:
    """`TEST_PAYMENT_SUCCESS=false` fails payments; what was taken can still go back."""
    payment = await _paid(db, config)
    await _refund(db, config, payment, 7)
    await work_off(msgspec.structs.replace(config, test_payment_success=False))
    assert conn.execute("SELECT status FROM refunds").fetchone() == {"status": "processed"}
