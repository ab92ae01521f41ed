"""The invariants hold for what the write path writes, and each of them notices what breaks it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from gateway.config import Config
from kit.db import Connection
from schema.invariants import INVARIANTS, broken
from tests.support.paying import pay

_OF_DEMO = "SELECT bucket, merchant_id"
_REFUND = f"""
    INSERT INTO refunds (bucket, merchant_id, id, payment_id, amount, status, created_at, processed_at)
    {_OF_DEMO}, 'rfnd_none', id, 1"""
_PENDING_REFUND = f"{_REFUND}, 'pending', created_at, NULL FROM payments"
_PROCESSED_REFUND = f"{_REFUND}, 'processed', created_at, created_at FROM payments"
BREAKS = {
    "payment_without_first_events": "DELETE FROM events WHERE type = 'payment.pending'",
    "event_without_its_deliveries": "DELETE FROM outbox WHERE event_type = 'payment.created'",
    "delivery_without_event": "DELETE FROM events WHERE type = 'payment.created'",
    "delivered_without_proof": f"""
        INSERT INTO deliveries (bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status,
                                attempts, claims, created_at, finished_at)
        {_OF_DEMO}, id, event_id, event_type, subject_id, endpoint_id, 'success', 1, 1, created_at, created_at
        FROM outbox WHERE kind = 'webhook.deliver'""",
    "pending_payment_without_work": "DELETE FROM outbox WHERE kind = 'payment.process'",
    "settled_payment_with_work": "UPDATE payments SET status = 'success'",
    "settled_payment_without_end_event": "UPDATE payments SET status = 'failed', error_code = 'none'",
    "paid_order_without_event": "UPDATE orders SET reusable = false, amount_paid = amount, status = 'paid'",
    "order_with_wrong_sums": "UPDATE orders SET attempts = attempts + 1",
    "order_held_by_nobody": "UPDATE orders SET reusable = false, paying_payment_id = 'pay_none'",
    "payment_without_order": "DELETE FROM orders",
    "payment_with_wrong_refunds": _PENDING_REFUND,
    "capture_without_event": "UPDATE payments SET status = 'success', amount_captured = amount",
    "pending_refund_without_work": _PENDING_REFUND,
    "settled_refund_with_work": f"""
        INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)
        {_OF_DEMO}, 'rfnd_none', 'refund.process', created_at, created_at FROM payments""",
    "refund_without_its_events": _PENDING_REFUND,
    "event_ahead_of_its_object": "UPDATE payments SET version = 0",
    "versions_told_out_of_order": """
        INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)
        SELECT bucket, merchant_id, 'evt_none', 'payment.failed', subject_id, 0, body, created_at
        FROM events WHERE type = 'payment.created'""",
    "recovery_without_work": f"""
        INSERT INTO recoveries (bucket, merchant_id, id, recovers, since, until, up_to_now, rate, total, total_is_exact,
                                place, created_at, updated_at)
        {_OF_DEMO}, 'rcv_none', '{{failed}}', created_at, created_at, false, 1, 0, true, '', created_at, created_at
        FROM payments""",
    "stored_answer_without_effect": f"""
        INSERT INTO idempotency_keys (bucket, merchant_id, key, request_hash, status, body, created_at)
        {_OF_DEMO}, 'key', 'hash', 201, '{{"id":"pay_none"}}', created_at FROM payments""",
    "money_moved_twice": "INSERT INTO simulator.movements SELECT id, amount FROM payments, generate_series(1, 2)",
    "money_moved_for_nothing": "INSERT INTO simulator.movements SELECT id, amount FROM payments",
    "more_given_back_than_taken": """
        WITH approved AS (
            INSERT INTO simulator.charges (idempotency_key, refund_of, amount, currency, approved)
            SELECT 'rfnd_none', id, 1, currency, true FROM payments
        )
        INSERT INTO simulator.movements VALUES ('rfnd_none', -1)""",
    "success_without_money": "UPDATE payments SET status = 'success'",
    "refunded_without_money": _PROCESSED_REFUND,
}


@pytest.fixture
async def payment(db: Connection, config: Config) -> None:
    """One payment as it was just started."""
    await pay(db, config)


@pytest.mark.usefixtures("payment")
def test_a_started_payment_breaks_none(conn: psycopg.Connection[dict[str, Any]]) -> None:
    """Pending, with its events, deliveries and work."""
    assert broken(conn) == {}


@pytest.mark.usefixtures("payment")
@pytest.mark.parametrize("name", INVARIANTS)
def test_each_notices_what_breaks_it(conn: psycopg.Connection[dict[str, Any]], name: str) -> None:
    """A rule that nothing could break would promise nothing."""
    conn.execute(BREAKS[name])

    assert name in broken(conn)
