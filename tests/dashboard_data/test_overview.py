"""The overview: exact numbers of known pasts, in the reader's zone, of one merchant alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from dashboard.reading import overview
from dashboard.reading.periods import Period, cut
from gateway import figures
from gateway.merchants import Merchant
from kit.db import Connection
from tests.dashboard_data.past import NOW, Past, endpoint

KOLKATA = ZoneInfo("Asia/Kolkata")
LATER = NOW + timedelta(minutes=5)


async def read(
    conn: Connection, whose: Merchant, period: Period = "24h", zone: ZoneInfo = KOLKATA
) -> overview.Overview:
    return await overview.overview(conn, whose, period, now=LATER, zone=zone)


async def test_a_day_in_exact_numbers(
    reader: Connection, counter: Connection, past: Past, mine: Merchant, database_url: str
) -> None:
    """Payments, money by currency, success by method, refunds, and the same day before; counted or not yet."""
    past.pay(NOW - timedelta(hours=2), 50_000, captured=50_000, refunds=((NOW - timedelta(hours=1), 20_000, True),))
    past.pay(NOW - timedelta(hours=3), 30_000, good=False)
    past.pay(NOW - timedelta(hours=4), 1_999, method="card", currency="USD", refunds=((NOW, 1_999, False),))
    past.pay(NOW - timedelta(minutes=1), 100, good=None)
    past.pay(NOW - timedelta(hours=26), 40_000)
    past.pay(NOW - timedelta(hours=24, minutes=2), 7)  # the day before, in its half hour that is not compared
    past.lay(database_url)
    fresh = await read(reader, mine)
    await figures.catch_up(counter)
    counted = await read(reader, mine)
    assert fresh.totals == counted.totals
    assert fresh.before == counted.before
    assert (fresh.counted_to, counted.counted_to is None) == (None, False)
    assert fresh.complete
    totals = counted.totals
    assert (totals.created, totals.all.succeeded, totals.all.failed) == (4, 2, 1)
    assert totals.all.rate == pytest.approx(2 / 3)
    assert [(one.method, one.succeeded, one.failed) for one in totals.methods] == [("card", 1, 0), ("upi", 1, 1)]
    assert [(one.currency, one.payments, one.volume, one.refunds, one.refunded) for one in totals.money] == [
        ("INR", 1, 50_000, 1, 20_000),
        ("USD", 1, 1_999, 0, 0),
    ]
    assert totals.of("INR").captured == 50_000
    assert [(one.created, one.all.failed, one.refunds_failed) for one in totals.money] == [(3, 1, 0), (1, 0, 1)]
    assert [share.method for one in totals.money for share in one.methods] == ["upi", "card"]
    assert totals.of("EUR").all.rate is None
    assert (totals.refunds, totals.refunds_processed, totals.refunds_failed) == (2, 1, 1)
    assert counted.before.of("INR").volume == 40_000
    assert counted.compared.of("INR").all == totals.of("INR").all
    assert counted.compared.of("INR").created == 2, "the last one was begun after the half hour"
    assert overview.change(counted.compared.of("INR").volume, counted.before.of("INR").volume) == 0.25
    assert len(counted.points) == 24
    assert sum(point.totals.events for point in counted.points) == totals.events
    assert [(n, one.totals.created) for n, one in enumerate(counted.points) if one.totals.created] == [
        (n, 1) for n in (19, 20, 21, 23)
    ]


@pytest.mark.parametrize(
    ("zone", "days"), [("UTC", [29, 28]), ("Asia/Kolkata", [29, 29]), ("America/New_York", [29, 29])]
)
async def test_days_begin_where_the_reader_lives(
    reader: Connection, past: Past, mine: Merchant, database_url: str, zone: str, days: list[int]
) -> None:
    """21:00 and 2:00 UTC are two sides of midnight or one, as the reader lives; also where a day had 23 hours."""
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    local = ZoneInfo(zone)
    now = midnight + timedelta(hours=2)
    span = cut("30d", now, local)
    assert len(span.points) == 30
    assert {point.astimezone(local).strftime("%H:%M") for point in span.points} == {"00:00"}
    place = [sum(point <= at for point in span.points) - 1 for at in (now, midnight - timedelta(hours=3))]
    assert place == days


def test_points_of_a_week_are_quarters_of_days() -> None:
    """Also over the night in which a day has 23 hours; and the periods before are as long."""
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 3, 31, 10, 44, 3, tzinfo=UTC)
    span = cut("7d", now, zone)
    assert len(span.points) == 28
    assert [point.astimezone(zone).hour for point in span.points[-4:]] == [18, 0, 6, 12]
    assert span.until == now.replace(minute=30, second=0)
    assert span.points[0] < now - timedelta(days=6)
    assert span.before_until - span.before <= span.until - span.points[0]
    assert cut("24h", now, ZoneInfo("Asia/Kolkata")).points[-1] == now.replace(minute=30, second=0)


async def test_what_became_of_deliveries(
    reader: Connection, conn: psycopg.Connection[object], past: Past, mine: Merchant, database_url: str
) -> None:
    """Delivered is what was owed less what failed and what is open; trouble has its reason; the oldest has its time."""
    past.pay(NOW - timedelta(hours=2), 100)
    past.pay(NOW - timedelta(hours=9), 100, good=None)
    a, b = past.event("payment.created"), past.event("payment.success")
    past.send(a, "whep_1", 200)
    past.send(a, "whep_2", 500, None, ordinal=1)
    past.send(b, "whep_1", 503, 200)
    past.send(b, "whep_2", 500, ordinal=1, open_until=LATER + timedelta(hours=1))
    past.lay(database_url)
    endpoint(conn, mine, "whep_1")
    endpoint(conn, mine, "whep_2", enabled=False, disabled_reason="the receiver answered 410 Gone", disabled_at=NOW)
    endpoint(conn, mine, "whep_3", enabled=False, disabled_at=NOW)
    found = await read(reader, mine)
    assert (found.deliveries.total, found.deliveries.delivered) == (4, 2)
    assert (found.deliveries.failed, found.deliveries.pending, found.deliveries.counts_are) == (1, 1, "exact")
    assert found.deliveries.rate == pytest.approx(2 / 3)
    assert [(one.id, one.disabled_reason) for one in found.trouble] == [("whep_2", "the receiver answered 410 Gone")]
    assert found.endpoints == 3
    delivery = found.work("delivery")
    assert (delivery.open, delivery.due, delivery.retrying, delivery.open_is) == (1, 0, 1, "exact")
    assert found.oldest_pending == NOW - timedelta(hours=2) + timedelta(seconds=4)
    assert found.work("payment").open == 1
    assert found.depth == 2
    point = found.points[-3]
    assert (point.delivered, point.deliveries_failed, point.deliveries_pending) == (2, 1, 1)


async def test_a_merchant_without_anything_has_an_overview(reader: Connection, mine: Merchant, past: Past) -> None:
    found = await read(reader, mine, "30d")
    assert (found.totals.created, found.totals.all.rate, found.deliveries.rate, found.depth) == (0, None, None, 0)
    assert (found.totals.money, found.trouble, found.oldest_pending) == ([], [], None)
    assert len(found.points) == 30


async def test_nothing_of_another_merchant_is_counted(
    reader: Connection,
    counter: Connection,
    conn: psycopg.Connection[object],
    mine: Merchant,
    theirs: Merchant,
    past: Past,
    database_url: str,
) -> None:
    """Not by the page, nor by the functions within the database, asked in another's name."""
    past.pay(NOW, 100)
    past.send(past.event("payment.created"), "whep_1", 500)
    past.send(past.event("payment.pending"), "whep_1", 500, open_until=LATER)
    past.lay(database_url)
    endpoint(conn, mine, "whep_1")
    await figures.catch_up(counter)
    found = await read(reader, theirs)
    assert (found.totals.events, found.deliveries.failed, found.depth, found.endpoints) == (0, 0, 0, 0)
    for call in (
        "SELECT * FROM delivery_ends(%(bucket)s, %(merchant_id)s, '{dlv_}', '{dlv`}')",
        "SELECT * FROM open_work(%(bucket)s, %(merchant_id)s)",
        "SELECT * FROM endpoint_traffic(%(bucket)s, %(merchant_id)s, '')",
        "SELECT * FROM payments_of_instrument(%(bucket)s, %(merchant_id)s, 'asha@okaxis')",
    ):
        async with reader.transaction():
            await reader.execute("SELECT set_config('ledgate.tenant', %s, true)", [mine.merchant_id])
            assert await (await reader.execute(call.encode(), mine.scope)).fetchall()
        async with reader.transaction():
            await reader.execute("SELECT set_config('ledgate.tenant', %s, true)", [theirs.merchant_id])
            assert await (await reader.execute(call.encode(), mine.scope)).fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="names no tenant"):
            await reader.execute(call.encode(), mine.scope)
