"""Put a made-up past down: COPY, one transaction, no rule of the ledger broken."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg import sql

from gateway import notes
from gateway.growth.business import moment
from schema import partitions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    import psycopg

    from gateway.growth.business import Business, Shop
    from gateway.growth.receivers import Sent

_TOLD = timedelta(hours=24)  # for which answers are kept under their keys


def make_partitions(conn: psycopg.Connection[Any], *, now: datetime, days: int) -> None:
    """Partitions for the days of the past, in a transaction of their own."""
    for day in range(-days, 1, partitions.DAYS_AHEAD):
        partitions.ensure(conn, (now + timedelta(days=day)).date())


def write(conn: psycopg.Connection[Any], shop: Shop, business: Business, sent: Sequence[Sent], *, now: datetime) -> int:
    """Write one shop's past in the caller's transaction; gives how many rows these are."""
    who = (shop.bucket, shop.merchant_id)
    wanted: dict[str, int] = {}
    for one in sent:
        wanted[one.event.id] = wanted.get(one.event.id, 0) + 1
    finished = [one for one in sent if one.status != "pending"]
    rows = _copy(conn, "orders", _ORDERS, _orders(business), who)
    rows += _copy(conn, "payments", _PAYMENTS, _payments(business), who)
    rows += _copy(conn, "refunds", _REFUNDS, _refunds(business), who)
    rows += _copy(conn, "idempotency_keys", _KEYS, _keys(business, now), who)
    rows += _copy(
        conn,
        "events",
        ("id", "type", "subject_id", "deliveries", "body", "created_at"),
        ((e.id, e.type, e.subject_id, wanted.get(e.id, 0), e.body, moment(e.at)) for e in business.events),
        who,
    )
    rows += _copy(conn, "deliveries", _DELIVERIES, map(_delivery, finished), who)
    rows += _copy(conn, "delivery_attempts", _ATTEMPTS, _attempts(sent), who)
    rows += _copy(conn, "outbox", _OUTBOX, [*_open(sent), *_work(business)], who)
    rows += _copy(conn, "simulator.charges", _CHARGES, _charges(business))
    rows += _copy(conn, "simulator.movements", ("idempotency_key", "amount", "moved_at"), _movements(business))
    return rows


_ORDERS = ("id", "amount", "amount_paid", "currency", "receipt", "notes", "status", "attempts", "version", "created_at",
           "updated_at")  # fmt: skip
_PAYMENTS = ("id", "order_id", "amount", "currency", "method", "vpa", "flow", "card_brand", "card_last4", "notes",
             "status", "amount_captured", "amount_refunded", "error_code", "error_description", "processor_ref",
             "version", "created_at", "updated_at")  # fmt: skip
_REFUNDS = ("id", "payment_id", "amount", "reason", "status", "error_code", "error_description", "processor_ref",
            "version", "created_at", "processed_at")  # fmt: skip
_KEYS = ("key", "request_hash", "status", "body", "created_at")
_DELIVERIES = ("id", "event_id", "event_type", "subject_id", "endpoint_id", "status", "attempts", "claims",
               "response_code", "created_at", "last_attempt_at", "finished_at")  # fmt: skip
_ATTEMPTS = ("delivery_id", "claim", "attempt", "started_at", "duration_ms", "request_headers", "response_code",
             "response_headers", "response_body", "error")  # fmt: skip
_OUTBOX = ("id", "kind", "event_id", "event_type", "subject_id", "endpoint_id", "attempts", "claims", "next_retry_at",
           "created_at", "last_attempt_at", "response_code")  # fmt: skip
_CHARGES = ("idempotency_key", "amount", "currency", "approved", "code", "description", "decided_at", "refunds_fail",
            "refund_of")  # fmt: skip


def _copy(
    conn: psycopg.Connection[Any],
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[object, ...]],
    who: tuple[int, str] | None = None,
) -> int:
    """Append rows; those of a merchant begin with bucket and merchant."""
    named = (["bucket", "merchant_id"] if who else []) + list(columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, named))
    )
    count = 0
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row((*who, *row) if who else row)
            count += 1
    return count


def _orders(business: Business) -> Iterator[tuple[object, ...]]:
    for o in business.orders:
        changed = business.changed[o.id]
        yield (o.id, o.amount, o.amount_paid, o.currency, o.receipt, notes.encode(o.notes), o.status, o.attempts,
               o.version, o.created_at, changed)  # fmt: skip


def _payments(business: Business) -> Iterator[tuple[object, ...]]:
    for one in business.payments:
        p = one.payment
        card = (p.card.brand, p.card.last4) if p.card else (None, None)
        yield (p.id, p.order_id, p.amount, p.currency, p.method, p.vpa, p.flow, *card, notes.encode(p.notes), p.status,
               p.amount_captured, p.amount_refunded, p.error_code, p.error_description,
               _reference(p.id) if p.status == "success" else None, p.version, p.created_at,
               p.updated_at or p.created_at)  # fmt: skip


def _refunds(business: Business) -> Iterator[tuple[object, ...]]:
    for one in business.payments:
        for r in one.refunds:
            yield (r.id, r.payment_id, r.amount, r.reason, r.status, r.error_code, r.error_description,
                   _reference(r.id) if r.status == "processed" else None, r.version, r.created_at,
                   r.processed_at)  # fmt: skip


def _keys(business: Business, now: datetime) -> Iterator[tuple[object, ...]]:
    """The answers of the last day's calls, under the keys that a shop would have sent."""
    for event in business.events:
        if event.type == "payment.created" and moment(event.at) > now - _TOLD:
            answer = msgspec.json.decode(event.body, type=dict[str, Any])["data"]["payment"]
            digest = hashlib.sha256(event.id.encode()).hexdigest()
            yield f"pay-{answer['order_id'][-12:]}-{digest[:6]}", digest, 201, _json(answer), moment(event.at)


def _json(answer: object) -> str:
    return msgspec.json.encode(answer).decode()


def _delivery(one: Sent) -> tuple[object, ...]:
    last = one.tries[-1] if one.tries else None
    return (one.id, one.event.id, one.event.type, one.event.subject_id, one.endpoint_id, one.status, one.attempts,
            len(one.tries), last.code if last else None, moment(one.event.at), moment(last.at) if last else None,
            moment(one.ended_at))  # fmt: skip


def _attempts(sent: Sequence[Sent]) -> Iterator[tuple[object, ...]]:
    for one in sent:
        for t in one.tries:
            yield (one.id, t.claim, t.number, moment(t.at), t.duration_ms, t.request_headers, t.code, t.headers, t.body,
                   t.error)  # fmt: skip


def _open(sent: Sequence[Sent]) -> Iterator[tuple[object, ...]]:
    for one in sent:
        if one.status == "pending":
            last = one.tries[-1] if one.tries else None
            yield (one.id, "webhook.retry" if last else "webhook.deliver", one.event.id, one.event.type,
                   one.event.subject_id, one.endpoint_id, one.attempts, len(one.tries), moment(one.ended_at),
                   moment(one.event.at), moment(last.at) if last else None, last.code if last else None)  # fmt: skip


def _work(business: Business) -> Iterator[tuple[object, ...]]:
    for one in business.payments:
        if one.payment.status == "pending":
            yield (one.payment.id, "payment.process", None, None, None, None, 0, 0, one.payment.created_at,
                   one.payment.created_at, None, None)  # fmt: skip
        for refund in one.refunds:
            if refund.status == "pending":
                yield (refund.id, "refund.process", None, None, None, None, 0, 0, refund.created_at, refund.created_at,
                       None, None)  # fmt: skip


def _charges(business: Business) -> Iterator[tuple[object, ...]]:
    for one in business.payments:
        p = one.payment
        if one.settled_at is not None:
            yield (p.id, p.amount, p.currency, p.status == "success", p.error_code, p.error_description,
                   moment(one.settled_at), one.bank_keeps, None)  # fmt: skip
        for r in one.refunds:
            if r.status != "pending":
                yield (r.id, r.amount, p.currency, r.status == "processed", r.error_code, r.error_description,
                       r.processed_at, False, p.id)  # fmt: skip


def _movements(business: Business) -> Iterator[tuple[object, ...]]:
    for one in business.payments:
        if one.settled_at is not None and one.payment.status == "success":
            yield one.payment.id, one.payment.amount, moment(one.settled_at)
        for refund in one.refunds:
            if refund.status == "processed":
                yield refund.id, -refund.amount, refund.processed_at


def _reference(made: str) -> str:
    return f"sim_{made.partition('_')[2]}"
