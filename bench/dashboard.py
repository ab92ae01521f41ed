"""The dashboard's pages for a large merchant: how long each takes to read, and what it read, with the plans as proof.

`make bench-dashboard` fills 2 million payments and 5 million finished deliveries over 30 days and counts the ledger
into figures as dispatchers do. It asks the running dashboard for every page (`bench.pages`), and says of every page's
reading functions the median and the slowest, and the faults of their plans: nothing may read a large table from end to
end or sort more than a page. Above 150 ms is a failure. Plans come from auto_explain, so that those within the
database's own functions are seen too. With `ARGS="--keep FOLDER"` the next run finds the database filled.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from bench import lists, plans
from bench import pages as whole
from bench.stage import PLANNED, stage
from dashboard.reading import news, operator, overview, payments, timeline, webhooks
from gateway import figures, keys, listing, recoveries
from gateway.listing import Paging
from gateway.logs import DeliveryFilter
from gateway.merchants import Merchant
from kit.db import Connection
from outbox.recoveries import Recovers

if TYPE_CHECKING:
    from collections.abc import Iterator

MERCHANT = Merchant(lists.MERCHANT, int(lists.SCOPE["bucket"]), "Large", "", frozenset())
WHOLE = "operator, queue"
"""The one page that reads a table as a whole: the queue, which stays small."""

_MOST = listing.WALK + 2_000
"""Rows of an index that one statement looks at: a walk of a list, and what is counted beside it."""

_LARGE = re.compile(r"on (?:payments|orders|refunds|events|deliveries|delivery_attempts|outbox|figures)")
_EXPLAIN = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_nested_statements = on",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off",
    "SET auto_explain.log_format = 'json'",
    "SET client_min_messages = 'log'",
)
Read = Callable[[Connection], Awaitable[object]]


class Page(msgspec.Struct, frozen=True):
    """One page, or a part of one."""

    name: str
    read: Read
    operator: bool = False


class Result(msgspec.Struct, frozen=True):
    """What a page took, in milliseconds, and what was wrong with how it was read."""

    page: str
    median: float
    slowest: float
    buffers: int
    statements: int
    faults: tuple[str, ...]
    indexes: frozenset[str]


def pages(conn: psycopg.Connection[Any], *, now: datetime) -> Iterator[Page]:
    """Every page, with every filter that is read in a way of its own; `conn` reads as the owner."""
    zone = ZoneInfo("Asia/Kolkata")
    deep = {table: lists.deep_in(conn, table) for table in ("payments", "deliveries")}
    payment, order = _one(conn, "SELECT id, order_id FROM payments WHERE status = 'success' ORDER BY id DESC OFFSET 99")
    refunded = _one(conn, "SELECT payment_id FROM refunds WHERE status = 'processed' ORDER BY id LIMIT 1")[0]
    receipt = _one(conn, "SELECT receipt FROM orders WHERE receipt IS NOT NULL LIMIT 1")[0]
    delivery, event = _one(conn, "SELECT id, event_id FROM deliveries ORDER BY id OFFSET 1000 LIMIT 1")
    deep_event = "evt_" + deep["deliveries"].removeprefix("dlv_")
    for period in ("24h", "7d", "30d"):
        yield Page(f"overview {period}", _overview(period, now, zone))
    listed = payments.PaymentFilter
    for name, where, paging in (
        ("payments", listed(), Paging(limit=25)),
        ("payments, deep", listed(), Paging(limit=25, after=deep["payments"])),
        ("payments, back", listed(), Paging(limit=25, before=deep["payments"])),
        ("payments, failed", listed(status="failed"), Paging(limit=25)),
        ("payments, pending", listed(status="pending"), Paging(limit=25)),
        ("payments, card", listed(method="card"), Paging(limit=25)),
        ("payments, dear: none, a whole walk", listed(amount_from=10**12), Paging(limit=25)),
        ("payments, order", listed(order_id=order), Paging(limit=25)),
        ("payments, a frequent address", listed(instrument="user@psp"), Paging(limit=25)),
        ("payments, a week", listed(created_from=now - timedelta(days=20), created_to=now - timedelta(days=13)),
         Paging(limit=25)),
    ):  # fmt: skip
        yield Page(name, _payments(where, paging))
    for name, text in (("payment", payment), ("order", order), ("receipt", receipt), ("vpa", "user@psp"),
                       ("handle", "user"), ("last four", "1111"), ("nothing", "nobody@nowhere")):  # fmt: skip
        yield Page(f"search by {name}", _search(text))
    yield Page("payment", _timeline(payment, None))
    yield Page("payment, refunded", _timeline(refunded, None))
    yield Page("payments, what is new", lambda c: news.of_payments(c, MERCHANT))
    yield Page("payments, once more", lambda c: news.again(c, MERCHANT, [payment, refunded]))
    yield Page("payment, what is new", lambda c: news.of_payment(c, MERCHANT, refunded, [delivery]))
    yield Page("log, what is new", lambda c: news.of_log(c, MERCHANT))
    yield Page("delivery, what is new", lambda c: news.of_delivery(c, MERCHANT, delivery))
    yield Page("webhooks, endpoints", lambda c: webhooks.cards(c, MERCHANT, now=now))
    for name, sought, paging, codes in (
        ("log", DeliveryFilter(), Paging(limit=25), None),
        ("log, deep", DeliveryFilter(), Paging(limit=25, after=deep["deliveries"]), None),
        ("log, failed", DeliveryFilter(status="failed"), Paging(limit=25), None),
        ("log, pending", DeliveryFilter(status="pending"), Paging(limit=25), None),
        ("log, event", DeliveryFilter(event="payment.failed"), Paging(limit=25), None),
        ("log, endpoint", DeliveryFilter(endpoint="whep_1"), Paging(limit=25), None),
        ("log, payment", DeliveryFilter(payment=refunded), Paging(limit=25), None),
        ("log, 200", DeliveryFilter(), Paging(limit=25), (200, 299)),
        ("log, 5xx: none, a whole walk", DeliveryFilter(), Paging(limit=25), (500, 599)),
    ):
        yield Page(name, _log(sought, paging, codes))
    yield Page("delivery", lambda c: webhooks.delivery(c, MERCHANT, delivery))
    yield Page("recoveries", lambda c: recoveries.page(c, MERCHANT, Paging(limit=25)))
    for status in ("failed", "missed", "success"):
        yield Page(f"dry run, {status}", _dry_run(status, now))
    for name, wanted, paging in (
        ("events", webhooks.EventFilter(), Paging(limit=25)),
        ("events, deep", webhooks.EventFilter(), Paging(limit=25, after=deep_event)),
        ("events, family", webhooks.EventFilter(type="payment.*"), Paging(limit=25)),
        ("events, none: a whole walk", webhooks.EventFilter(type="refund.failed"), Paging(limit=25)),
    ):
        yield Page(name, _events(wanted, paging))
    yield Page("event", lambda c: webhooks.event(c, MERCHANT, event))
    yield Page("keys", lambda c: keys.page(c, MERCHANT))
    yield Page("operator, merchants", lambda c: operator.merchants(c, now=now), operator=True)
    yield Page("operator, queue", operator.queue, operator=True)
    yield Page("operator, dispatchers", operator.dispatchers, operator=True)
    yield Page("operator, statements", operator.statements, operator=True)
    yield Page("operator, partitions", operator.partitions, operator=True)
    yield Page("operator, tables", operator.tables, operator=True)
    yield Page("operator, migrations", operator.migrations, operator=True)


def enrich(conn: psycopg.Connection[Any]) -> None:
    """What the lists do without: the orders that many pay, endpoints, and attempts of the newest deliveries."""
    for statement in (
        (
            "INSERT INTO orders (bucket, merchant_id, id, amount, currency, reusable, created_at, updated_at)"
            " SELECT %(bucket)s, %(merchant_id)s, 'order_donation_' || n, 50000, 'INR', true, now(), now()"
            " FROM generate_series(0, 2) AS n ON CONFLICT DO NOTHING"
        ),
        (
            "INSERT INTO endpoints (bucket, merchant_id, id, url, sealed_secret, created_at, updated_at)"
            " SELECT %(bucket)s, %(merchant_id)s, id, 'https://shop.example/' || id, '', now(), now()"
            " FROM unnest(ARRAY['whep_0', 'whep_1', 'whep_rare']) AS id ON CONFLICT DO NOTHING"
        ),
        (
            "INSERT INTO delivery_attempts (bucket, merchant_id, delivery_id, claim, attempt, started_at, duration_ms,"
            " request_headers, response_code) SELECT bucket, merchant_id, id, 1, 1, created_at, 80, '{}', 200"
            " FROM (SELECT * FROM deliveries ORDER BY id DESC LIMIT 50000) d ON CONFLICT DO NOTHING"
        ),
    ):
        conn.execute(statement.encode(), lists.SCOPE)
    conn.execute("VACUUM (ANALYZE) orders, endpoints, delivery_attempts")


_BUSY = """
    INSERT INTO figures (bucket, merchant_id, slot, currency, method, events, deliveries, created, succeeded, failed,
                         volume, captures, captured, refunds, refunds_processed, refunds_failed, refunded)
    SELECT %(bucket)s, %(merchant_id)s, date_bin('30 minutes', now(), 'epoch') - n * interval '30 minutes', currency,
           method, 4000, 3500, 1000, 950, 50, 50000000, 40, 2000000, 20, 19, 1, 900000
    FROM generate_series(0, 48 * 62) AS n,
         (VALUES ('', ''), ('INR', 'upi'), ('INR', 'card'), ('USD', 'card'), ('EUR', 'card')) AS v (currency, method)
    ON CONFLICT DO NOTHING
"""
"""What the ledger of the fill does not say, whose events have no amounts: something in each half hour of two months."""


async def measure(url: str, *, now: datetime, times: int) -> AsyncIterator[Result]:
    """Read every page `times` times, and once more with its plans."""
    with psycopg.connect(url, autocommit=True) as owner:
        found = list(pages(owner, now=now))
    for page in found:
        role = "ledgate_operator" if page.operator else "ledgate_api"
        took = await _timed(url, role, page.read, times) if times else []
        found_plans = await explained(url, role, page.read)
        tops = [one["Plan"] for one in found_plans]
        wrong = {fault for top in tops for fault in plans.faults(top) if "Sort" in fault or _LARGE.search(fault)}
        if page.name == WHOLE:
            wrong -= {"Seq Scan on outbox"}
        wrong |= {f"{n} rows of {name}" for top in tops for name, n in plans.read(top).items() if n > _MOST}
        yield Result(
            page.name,
            statistics.median(took) if took else 0.0,
            max(took, default=0.0),
            sum(top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0) for top in tops),
            len(tops),
            tuple(sorted(wrong)),
            frozenset(name for top in tops for name in plans.indexes(top)),
        )


async def count(url: str) -> tuple[int, float]:
    """Count the ledger as dispatchers do: events, and how many a second."""
    async with await _connect(url, "ledgate_dispatcher") as conn:
        began = time.perf_counter()
        counted = await figures.catch_up(conn)
        return counted, counted / (time.perf_counter() - began)


async def report(results: AsyncIterator[Result]) -> bool:
    """Print a table; whether all is well."""
    well = True
    print(f"{'':38}{'median':>10}{'slowest':>11}{'buffers':>9}  statements")
    async for one in results:
        slow = ("too slow",) if one.median > whole.LIMIT else ()
        said = "; ".join((*slow, *one.faults))
        print(
            f"{one.page:38}{one.median:7.1f} ms{one.slowest:8.1f} ms{one.buffers:9,}{one.statements:6}  "
            f"{', '.join(sorted(one.indexes))[:90]}  {said}"
        )
        well &= not one.faults and one.median <= whole.LIMIT
    return well


async def _connect(url: str, role: str) -> Connection:
    conn = await psycopg.AsyncConnection.connect(url, autocommit=True, options=PLANNED)
    conn.prepare_threshold = 0
    await conn.execute(f"SET ROLE {role}".encode())
    return conn


async def _timed(url: str, role: str, read: Read, times: int) -> list[float]:
    took = []
    async with await _connect(url, role) as conn:
        await read(conn)
        for _ in range(times):
            began = time.perf_counter()
            await read(conn)
            took.append((time.perf_counter() - began) * 1000)
    return took


async def explained(url: str, role: str, read: Read) -> list[dict[str, Any]]:
    """What all statements of a second read did, as EXPLAIN's JSON; the first one is for what comes but once."""
    found: list[dict[str, Any]] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        _, mark, plan = (notice.message_primary or "").partition("plan:\n")
        if mark:
            found.append(msgspec.json.decode(plan))

    conn = await psycopg.AsyncConnection.connect(url, autocommit=True, options=PLANNED)
    async with conn:
        conn.prepare_threshold = 0
        await conn.execute(f"SET ROLE {role}".encode())
        await read(conn)  # nothing that comes first is in it
        await conn.execute("RESET ROLE")
        for statement in _EXPLAIN:
            await conn.execute(statement.encode())
        await conn.execute("SET auto_explain.log_buffers = on")
        await conn.execute(f"SET ROLE {role}".encode())
        conn.add_notice_handler(hear)
        await read(conn)
    return [one for one in found if not one["Query Text"].startswith(("SET ", "RESET "))]


def _overview(period: Any, now: datetime, zone: ZoneInfo) -> Read:
    return lambda conn: overview.overview(conn, MERCHANT, period, now=now, zone=zone)


def _payments(where: payments.PaymentFilter, paging: Paging) -> Read:
    return lambda conn: payments.page(conn, MERCHANT, where, paging)


def _search(text: str) -> Read:
    return lambda conn: payments.search(conn, MERCHANT, text)


def _timeline(payment_id: str, as_of: datetime | None) -> Read:
    return lambda conn: timeline.timeline(conn, MERCHANT, payment_id, as_of=as_of)


def _log(where: DeliveryFilter, paging: Paging, codes: tuple[int, int] | None) -> Read:
    return lambda conn: webhooks.log(conn, MERCHANT, where, paging, codes=codes)


def _dry_run(status: Recovers, now: datetime) -> Read:
    since = now - timedelta(days=lists.DAYS)
    return lambda conn: recoveries.dry_run(conn, MERCHANT, since=since, status=status, glance=True)


def _events(where: webhooks.EventFilter, paging: Paging) -> Read:
    return lambda conn: webhooks.events(conn, MERCHANT, where, paging)


def _one(conn: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None, query
    return tuple(row)


def main() -> None:
    """Fill, count, measure, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--times", type=int, default=40, help="how often each page is read, and asked for")
    parser.add_argument("--keep", type=Path, help="a folder for the database, which the next run finds filled")
    parser.add_argument("--only", choices=("reads", "pages"), help="the reading functions alone, or the whole pages")
    asked = parser.parse_args()
    scale = lists.Scale(20_000, 50_000) if asked.quick else lists.Scale()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    well = True
    with (
        stage(settings=lists.FAST, keep=asked.keep) as on,
        on.database("dashboard", kept=bool(asked.keep)) as database,
    ):
        print(f"PostgreSQL {on.server.version}: {scale.payments:,} payments, {scale.deliveries:,} deliveries")
        filled = on.folder / "filled"
        if not filled.exists():
            filled.write_text(_fill(database.url, scale, now=datetime.now(UTC)))
        now = datetime.now(UTC)
        if asked.only != "reads":
            long = filled.read_text()
            well &= whole.report(whole.measure(database, long, now=now, times=asked.times))
        if asked.only != "pages":
            well &= asyncio.run(report(measure(database.url, now=now, times=asked.times)))
    sys.exit(not well)


def _fill(url: str, scale: lists.Scale, *, now: datetime) -> str:
    """Fill the database and count it; the id of the payment with the long story."""
    with psycopg.connect(url, autocommit=True) as owner:
        for step, seconds in lists.fill(owner, scale, now=now):
            print(f"  {step}: {seconds:.0f} s")
        enrich(owner)
    long = whole.settle_in(url, MERCHANT, now=now)
    counted, rate = asyncio.run(count(url))
    print(f"  {counted:,} events counted, {rate:,.0f} a second")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(_BUSY.encode(), lists.SCOPE)
        owner.execute("VACUUM (ANALYZE) figures")
    return long


if __name__ == "__main__":
    main()
