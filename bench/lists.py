"""Lists of a large merchant: what each filter costs on the first page and deep in, with the plans as proof.

`make bench-lists` fills 2 million payments and 5 million finished deliveries over 30 days, and says for every list and
every filter which indexes it read, the buffers and the time of its first page and of one after 95 % of the list. Any
sequential scan, any large sort, and a deep page that costs 20 % more than the first one, is a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from bench.plans import Cost, cost
from bench.stage import PLANNED, stage
from gateway import listing
from gateway.merchants import bucket_of
from kit import ids
from schema import partitions

if TYPE_CHECKING:
    from collections.abc import Iterator

MERCHANT = "mer_large"
SCOPE = {"bucket": bucket_of(MERCHANT), "merchant_id": MERCHANT}
DAYS = 30
DEEP = 0.95
_TOLERANCE = 1.2
_SLACK = 10
"""Buffers: an index is a page deeper here than there, and a cursor's own row is looked up."""

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "8GB"}
"""Filling is not what is measured."""

# Ids as the processes make them, made once: ten characters of milliseconds, and a number in the place of chance.
_IDS = """
CREATE TEMP TABLE {table} AS
SELECT n, to_timestamp(ms / 1000.0) AS at,
       concat({characters}, 'e000', lpad(to_hex(n), 10, '0')) AS id
FROM (SELECT n, {began} + n * 86400000 * {days} / {count}
      FROM generate_series(1, {count}::bigint) AS n OFFSET 0) AS t (n, ms)
"""
_CHARACTERS = ", ".join(
    f"substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + (ms >> {shift} & 31)::int, 1)" for shift in range(45, -1, -5)
)

_FILL = {
    "orders": """
        INSERT INTO orders (bucket, merchant_id, id, amount, currency, receipt, created_at, updated_at)
        SELECT {bucket}, '{merchant}', 'order_' || id || '00', 50000, 'INR',
               CASE WHEN n % 2 = 0 THEN 'receipt-' || n END, at, at
        FROM a WHERE n % 5 = 0
    """,
    # One of 25 fails, one of five is a card's; the order of every second payment is one of three that are reusable.
    "payments": """
        INSERT INTO payments (bucket, merchant_id, id, order_id, amount, currency, method, vpa, flow, card_brand,
                              card_last4, status, error_code, created_at, updated_at)
        SELECT {bucket}, '{merchant}', 'pay_' || id || '00',
               CASE WHEN n % 2 = 0 THEN 'order_donation_' || n % 3 ELSE 'order_' || id || '00' END, 50000, 'INR',
               CASE WHEN n % 5 = 0 THEN 'card' ELSE 'upi' END, CASE WHEN n % 5 <> 0 THEN 'user@psp' END,
               CASE WHEN n % 5 <> 0 THEN 'collect' END, CASE WHEN n % 5 = 0 THEN 'visa' END,
               CASE WHEN n % 5 = 0 THEN '1111' END,
               CASE WHEN n % ({payments} / 100) = 0 THEN 'pending' WHEN n % 25 = 1 THEN 'failed' ELSE 'success' END,
               CASE WHEN n % ({payments} / 100) <> 0 AND n % 25 = 1 THEN 'declined' END, at, at
        FROM a
    """,
    "refunds": """
        INSERT INTO refunds (bucket, merchant_id, id, payment_id, amount, status, error_code, created_at, processed_at)
        SELECT {bucket}, '{merchant}', 'rfnd_' || id || '00', 'pay_' || id || '00', 100,
               CASE WHEN n % 1000 = 2 THEN 'pending' WHEN n % 25 = 2 THEN 'failed' ELSE 'processed' END,
               CASE WHEN n % 1000 <> 2 AND n % 25 = 2 THEN 'declined' END, at, CASE WHEN n % 1000 <> 2 THEN at END
        FROM a WHERE n % 10 = 2
    """,
    # Each event goes to two endpoints; a third one had little, and tests were few.
    "events": """
        INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at, xact_id)
        SELECT {bucket}, '{merchant}', 'evt_' || e.id || '00', {type}, 'pay_' || a.id || '00', 2,
               '{{"id":"evt_' || e.id || '00","event":"payment.created","timestamp":1,"data":{{"payment":{{}}}}}}',
               e.at, '3'
        FROM e JOIN a ON a.n = 1 + e.n * 4 / 5 ORDER BY e.n
    """,
    "deliveries": """
        INSERT INTO deliveries (bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status,
                                attempts, claims, response_code, created_at, last_attempt_at, finished_at)
        SELECT {bucket}, '{merchant}', 'dlv_' || e.id || '0' || o, 'evt_' || e.id || '00', {type},
               'pay_' || a.id || '00', CASE WHEN e.n % 20000 = 7 THEN 'whep_rare' ELSE 'whep_' || o END,
               CASE WHEN e.n % 100 = 3 THEN 'failed' ELSE 'success' END, 1, 1, 200, e.at, e.at, e.at
        FROM e JOIN a ON a.n = 1 + e.n * 4 / 5, generate_series(0, 1) AS o
        WHERE e.n <= {deliveries} / 2 * 0.99 ORDER BY e.n, o
    """,
    # A receiver that was down for a moment: the newest hundredth of the deliveries is still open.
    "outbox": """
        INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id,
                            next_retry_at, created_at)
        SELECT {bucket}, '{merchant}', 'dlv_' || e.id || '0' || o, 'webhook.deliver', 'evt_' || e.id || '00', {type},
               'pay_' || a.id || '00', 'whep_' || o, now(), e.at
        FROM e JOIN a ON a.n = 1 + e.n * 4 / 5, generate_series(0, 1) AS o
        WHERE e.n > {deliveries} / 2 * 0.99
        UNION ALL
        SELECT bucket, merchant_id, id, 'payment.process', NULL, NULL, NULL, NULL, now(), created_at
        FROM payments WHERE status = 'pending'
        UNION ALL
        SELECT bucket, merchant_id, id, 'refund.process', NULL, NULL, NULL, NULL, now(), created_at
        FROM refunds WHERE status = 'pending'
    """,
}  # fmt: skip
_TYPE = """CASE WHEN e.n % 200000 = 9 THEN 'webhook.test' WHEN e.n % 50 = 1 THEN 'payment.failed'
    WHEN e.n % 3 = 0 THEN 'payment.created' WHEN e.n % 3 = 1 THEN 'payment.pending' ELSE 'payment.success' END"""


class Scale(msgspec.Struct, frozen=True):
    """How much to fill."""

    payments: int = 2_000_000
    deliveries: int = 5_000_000
    days: int = DAYS


class Case(msgspec.Struct, frozen=True):
    """A list with one filter or none."""

    query: tuple[str, str]
    table: str
    where: dict[str, object] = {}


class Result(msgspec.Struct, frozen=True):
    """What the first page costs, and one deep in; the same while the walk is."""

    case: Case
    first: Cost
    deep: Cost

    @property
    def faults(self) -> tuple[str, ...]:
        """What no list may do."""
        dear = self.deep.buffers > self.first.buffers * _TOLERANCE + _SLACK and not self.walks
        return (*self.first.faults, *self.deep.faults, *(("the deep page costs more",) if dear else ()))

    @property
    def walks(self) -> bool:
        """Nothing was found that filled the page: what it costs is the walk's bound, here or there."""
        return max(self.first.read, self.deep.read) >= listing.WALK


def fill(conn: psycopg.Connection[Any], scale: Scale, *, now: datetime) -> Iterator[tuple[str, float]]:
    """Fill one merchant's lists up to `now`; tells each step and its seconds. `conn` autocommits as the owner."""
    began = now - timedelta(days=scale.days)
    with conn.transaction():
        for day in range(-scale.days, 1, partitions.DAYS_AHEAD):
            partitions.ensure(conn, (now + timedelta(days=day)).date())
    conn.execute("INSERT INTO merchants VALUES (%s, %s, 'Large', now())", [MERCHANT, SCOPE["bucket"]])
    for table, count in (("a", scale.payments), ("e", scale.deliveries // 2)):
        text = _IDS.format(
            table=table, characters=_CHARACTERS, began=int(began.timestamp() * 1000), days=scale.days, count=count
        )
        conn.execute(text.encode())
        conn.execute(f"ANALYZE {table}".encode())
    values = {**SCOPE, "merchant": MERCHANT, "type": _TYPE, **msgspec.structs.asdict(scale)}
    for step, text in _FILL.items():
        start = time.perf_counter()
        conn.execute(text.format(**values).encode())
        if step == "payments":
            conn.execute("ANALYZE payments")  # or each refund reads all of them, to find the one that it is of
        yield step, time.perf_counter() - start
    start = time.perf_counter()
    conn.execute("VACUUM (ANALYZE) orders, payments, refunds, events, deliveries, outbox")
    yield "vacuum, analyze", time.perf_counter() - start


def cases(conn: psycopg.Connection[Any]) -> list[Case]:
    """Every list with every filter, as the API composes them; `conn` reads as the owner."""
    orders, payments, pending = (
        ("gateway", "list_orders"),
        ("gateway", "list_payments"),
        ("gateway", "list_pending_payments"),
    )
    refunds, log, ledger = ("gateway", "list_refunds"), ("outbox", "list_deliveries"), ("outbox", "list_events")
    middle = _one(
        conn, "SELECT created_at FROM orders ORDER BY created_at OFFSET (SELECT count(*) / 2 FROM orders) LIMIT 1"
    )
    span = {"created_to": middle + timedelta(days=20), "created_from": middle - timedelta(days=20)}
    payment = _one(conn, "SELECT payment_id FROM refunds ORDER BY id LIMIT 1")
    return [
        Case(orders, "orders"),
        Case(orders, "orders", {"receipt": _one(conn, "SELECT receipt FROM orders WHERE receipt IS NOT NULL LIMIT 1")}),
        Case(orders, "orders", {"status": "paid"}),
        Case(orders, "orders", span),
        Case(payments, "payments"),
        Case(payments, "payments", {"status": "success"}),
        Case(payments, "payments", {"status": "failed"}),
        Case(pending, "payments"),
        Case(payments, "payments", {"order_id": "order_donation_1"}),
        Case(payments, "payments", {"method": "card"}),
        Case(payments, "payments", listing.created_range("pay", span["created_from"], span["created_to"])),
        Case(refunds, "refunds"),
        Case(refunds, "refunds", {"status": "failed"}),
        Case(("gateway", "list_pending_refunds"), "refunds"),
        Case(refunds, "refunds", {"payment_id": payment}),
        Case(refunds, "refunds", listing.created_range("rfnd", span["created_from"], span["created_to"])),
        Case(log, "deliveries"),
        Case(log, "deliveries", {"success": True}),
        Case(log, "deliveries", {"failed": True}),
        Case(log, "deliveries", {"pending": True}),
        Case(log, "deliveries", {"event": "payment.success"}),
        Case(log, "deliveries", {"event": "webhook.test"}),
        Case(log, "deliveries", {"endpoint": "whep_1"}),
        Case(log, "deliveries", {"endpoint": "whep_rare"}),
        Case(log, "deliveries", {"subject": payment}),
        Case(log, "deliveries", listing.created_range("dlv", span["created_from"], span["created_to"])),
        Case(("outbox", "count_deliveries"), "deliveries"),
        Case(ledger, "events"),
        Case(ledger, "events", {"type": "payment.success"}),
        Case(ledger, "events", {"type": "webhook.test"}),
    ]  # fmt: skip


def deep_in(conn: psycopg.Connection[Any], table: str) -> str:
    """The id behind which a twentieth of a list lies."""
    order = {"orders": "created_at DESC, id DESC", "events": "xact_id, id"}.get(table, "id DESC")
    offset = f"(SELECT ({DEEP} * count(*))::bigint FROM {table})"
    return str(_one(conn, f"SELECT id FROM {table} ORDER BY {order} OFFSET {offset} LIMIT 1"))


def near(case: Case, cursor: str | None, now: datetime) -> dict[str, object]:
    """What the API adds to the delivery log's first try: the day next to where the page begins."""
    if case.table != "deliveries" or {"subject", "id_from"} & case.where.keys():
        return {}
    newest = ids.made_at(cursor) if cursor else now.timestamp()
    return {"id_from": ids.lower_bound("dlv", newest - 86_400)}


def measure(
    owner: psycopg.Connection[Any], api: psycopg.Connection[Any], *, now: datetime, limit: int = 10
) -> Iterator[Result]:
    """The costs of every case; `api` is a connection as the API's role, with its planner settings."""
    deep = {table: deep_in(owner, table) for table in ("orders", "payments", "refunds", "deliveries", "events")}
    for case in cases(owner):
        base = SCOPE | {"limit": limit + 1} | case.where
        first = cost(api, *case.query, base | near(case, None, now))
        cursor = deep[case.table]
        yield Result(case, first, cost(api, *case.query, base | near(case, cursor, now) | {"after": cursor}))


def _one(conn: psycopg.Connection[Any], query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@contextlib.contextmanager
def connections(url: str) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """The owner's connection, and one like the API's."""
    with (
        psycopg.connect(url, autocommit=True) as owner,
        psycopg.connect(url, autocommit=True, options=f"{PLANNED} -c role=ledgate_api") as api,
    ):
        yield owner, api


def report(results: Iterator[Result]) -> bool:
    """Print a table; whether all is well."""
    well = True
    print(f"{'':44}{'first page':>22}{'deep page':>22}   indexes")
    for one in results:
        filters = ",".join(name for name in sorted(one.case.where) if not name.startswith("id_")) or "-"
        first, deep = (f"{c.buffers:6,} buffers {c.milliseconds:6.1f} ms" for c in (one.first, one.deep))
        used = ", ".join(sorted({*one.first.indexes, *one.deep.indexes}))
        said = "; ".join((*(("a whole walk",) if one.walks else ()), *one.faults))
        print(f"{one.case.query[1]:22}{filters:22}{first:>22}{deep:>22}   {used}  {said}")
        well &= not one.faults
    return well


def main() -> None:
    """Fill, measure, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--url", help="a database that was filled before; nothing is filled")
    asked = parser.parse_args()
    scale = Scale(20_000, 50_000) if asked.quick else Scale()
    now = datetime.now(UTC)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    if asked.url:
        with connections(asked.url) as (owner, api):
            sys.exit(not report(measure(owner, api, now=now)))
    with stage(settings=FAST) as on, on.database("lists") as database, connections(database.url) as (owner, api):
        print(
            f"PostgreSQL {on.server.version}: {scale.payments:,} payments, {scale.deliveries:,} deliveries, {DAYS} days"
        )
        for step, seconds in fill(owner, scale, now=now):
            print(f"  {step}: {seconds:.0f} s")
        sys.exit(not report(measure(owner, api, now=now)))


if __name__ == "__main__":
    main()
