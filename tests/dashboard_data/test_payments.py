"""Payments: filters, search by what a customer can name, and one payment's whole story."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from dashboard.reading import payments, timeline
from dashboard.reading.payments import PaymentFilter
from gateway.errors import NotFoundError
from gateway.growth.business import micros
from gateway.listing import Paging
from gateway.merchants import Merchant
from kit.db import Connection
from tests.dashboard_data.past import NOW, Past, endpoint


async def listed(conn: Connection, whose: Merchant, paging: Paging | None = None, **where: object) -> list[int]:
    """The amounts of a page: here each payment has its own."""
    found = await payments.page(conn, whose, PaymentFilter(**where), paging or Paging(limit=50))  # type: ignore[arg-type]
    return [one.amount for one in found.data]


@pytest.fixture
def shop(past: Past, database_url: str) -> Past:
    """Six payments: the amounts tell them apart, the larger the older."""
    hours = [NOW - timedelta(hours=n) for n in range(7)]
    past.pay(hours[6], 600, vpa="Asha.Rao@okaxis", receipt="R-77")
    past.pay(hours[5], 500, vpa="asha.rao@ybl", good=False)
    past.pay(hours[4], 400, method="card", last4="1111")
    past.pay(hours[3], 300, method="card", last4="1111", good=False)
    past.pay(hours[2], 200, vpa="1111@paytm")
    past.pay(hours[1], 100, vpa="asha@okaxis", good=None, receipt="R-78")
    past.kept = past.business  # type: ignore[attr-defined]
    past.lay(database_url)
    return past


async def test_filters_hold_together(reader: Connection, mine: Merchant, shop: Past) -> None:
    assert await listed(reader, mine) == [100, 200, 300, 400, 500, 600]
    assert await listed(reader, mine, status="failed") == [300, 500]
    assert await listed(reader, mine, status="pending") == [100]
    assert await listed(reader, mine, status="pending", amount_from=101) == []
    assert await listed(reader, mine, method="card", status="success") == [400]
    assert await listed(reader, mine, amount_from=200, amount_to=400) == [200, 300, 400]
    assert await listed(reader, mine, created_from=NOW - timedelta(hours=4), created_to=NOW - timedelta(hours=2)) == [
        300,
        400,
    ]
    assert await listed(reader, mine, instrument="ASHA.RAO@OKAXIS") == [600]
    assert await listed(reader, mine, instrument="1111") == [300, 400]
    assert await listed(reader, mine, instrument="1111", status="failed") == [300]
    assert await listed(reader, mine, instrument="asha@okaxis", status="pending") == [100]
    order = (await payments.page(reader, mine, PaymentFilter(), Paging(limit=1))).data[0].order_id
    assert await listed(reader, mine, order_id=order) == [100]


@pytest.mark.parametrize("where", [{}, {"instrument": "1111"}])
async def test_pages_go_on_in_both_directions(
    reader: Connection, mine: Merchant, shop: Past, where: dict[str, str]
) -> None:
    everything = (await payments.page(reader, mine, PaymentFilter(**where), Paging(limit=50))).data
    first = await payments.page(reader, mine, PaymentFilter(**where), Paging(limit=1))
    assert (first.has_more, first.next) == (True, first.data[0].id)
    second = await payments.page(reader, mine, PaymentFilter(**where), Paging(limit=1, after=first.next))
    assert [*first.data, *second.data] == everything[:2]
    back = await payments.page(reader, mine, PaymentFilter(**where), Paging(limit=1, before=second.data[0].id))
    assert (back.data, back.has_more) == (first.data, False)


async def test_search_finds_by_whatever_is_at_hand(reader: Connection, mine: Merchant, shop: Past) -> None:
    """Each way says which it was, the surest first, and leads to the list of all that it found."""

    async def found(text: str) -> list[tuple[str, list[int]]]:
        matches = await payments.search(reader, mine, text)
        return [(one.by, [payment.amount for payment in one.payments]) for one in matches]

    kept = shop.kept.payments[0].payment  # type: ignore[attr-defined]
    assert await found(kept.id) == [("payment", [600])]
    assert await found(kept.order_id) == [("order", [600])]
    assert await found("R-77") == [("receipt", [600])]
    assert await found("asha.rao@OKAXIS") == [("vpa", [600])]
    assert await found("Asha") == [("handle", [100, 500, 600])]
    assert await found("asha.") == [("handle", [500, 600])]
    assert await found(" 1111 ") == [("last4", [300, 400]), ("handle", [200])]
    for nothing in ("", "x", "pay_" + "0" * 26, "nobody@nowhere", "9999", "R-", "' OR 1=1", "%", "a" * 300):
        assert await found(nothing) == []
    (match,) = await payments.search(reader, mine, "asha.rao@ybl")
    assert match.filter is not None
    assert (await payments.page(reader, mine, match.filter, Paging())).data == match.payments


async def test_search_sees_no_other_merchant(reader: Connection, mine: Merchant, theirs: Merchant, shop: Past) -> None:
    kept = shop.kept.payments[0].payment  # type: ignore[attr-defined]
    for text in (kept.id, kept.order_id, "R-77", "asha.rao@okaxis", "asha", "1111"):
        assert await payments.search(reader, theirs, text) == []
    assert await listed(reader, theirs) == []
    with pytest.raises(NotFoundError):
        await timeline.timeline(reader, theirs, kept.id)


async def test_a_payments_story_in_one_column(
    reader: Connection, conn: psycopg.Connection[object], mine: Merchant, past: Past, database_url: str
) -> None:
    """Call, states, processor, money, events, attempts: in the order in which they happened, each with who knows it."""
    began = NOW - timedelta(hours=30)
    payment = past.pay(
        began, 500, captured=500,
        refunds=((began + timedelta(hours=2), 200, True), (began + timedelta(hours=3), 100, False)),
    )  # fmt: skip
    past.pay(began + timedelta(seconds=1), 999)
    created, processed = past.event("payment.created"), past.event("refund.processed")
    sent = past.send(created, "whep_1", 500, 200)
    past.send(processed, "whep_1", None, open_until=NOW + timedelta(hours=9))
    past.lay(database_url)
    endpoint(conn, mine, "whep_1", url="https://shop.example/hook")
    found = await timeline.timeline(reader, mine, payment.id)
    told = [(one.source, one.what, one.outcome) for one in found.entries]
    assert told == [
        ("api", "POST /payments", None),
        ("event", "payment.created", None),
        ("ledger", "payment.pending", "waiting"),
        ("event", "payment.pending", None),
        ("attempt", "payment.created", "bad"),
        ("attempt", "payment.created", "good"),
        ("processor", "payment.approved", "good"),
        ("ledger", "payment.success", "good"),
        ("event", "payment.success", None),
        ("ledger", "order.paid", "good"),
        ("event", "order.paid", None),
        ("api", "POST /capture", None),
        ("ledger", "payment.captured", "good"),
        ("event", "payment.captured", None),
        ("api", "POST /refunds", None),
        ("ledger", "refund.created", "waiting"),
        ("event", "refund.created", None),
        ("processor", "refund.approved", "good"),
        ("ledger", "refund.processed", "good"),
        ("event", "refund.processed", None),
        ("attempt", "refund.processed", "bad"),
        ("api", "POST /refunds", None),
        ("ledger", "refund.created", "waiting"),
        ("event", "refund.created", None),
        ("processor", "refund.declined", "bad"),
        ("ledger", "refund.failed", "bad"),
        ("event", "refund.failed", None),
        ("delivery", "refund.processed", "waiting"),
    ]
    assert [one.at for one in found.entries] == sorted(one.at for one in found.entries)
    attempts = [one for one in found.entries if one.id == sent]
    assert [(one.code, one.number, one.duration_ms) for one in attempts] == [(500, 1, 10), (200, 2, 20)]
    assert {one.endpoint_url for one in attempts} == {"https://shop.example/hook"}
    assert [(one.amount, one.detail) for one in found.entries if one.what == "refund.failed" and one.amount] == [
        (100, "Kept")
    ]
    assert (found.payment.amount_refunded, found.refundable, found.capturable, found.complete) == (200, 300, 0, True)
    assert [one.amount for one in found.refunds] == [100, 200]


async def test_an_event_far_from_every_known_moment_is_found_by_its_delivery(
    reader: Connection, mine: Merchant, past: Past, database_url: str
) -> None:
    """Days after the payment, hours before now; one that was told to nobody is not looked for there."""
    payment = past.pay(NOW - timedelta(hours=50), 500)
    late = past.tell("payment.captured", "payment", payment, micros(NOW - timedelta(hours=5)))
    past.tell("payment.failed", "payment", payment, micros(NOW - timedelta(hours=4)))
    past.send(late, "whep_1", 200)
    past.lay(database_url)
    found = await timeline.timeline(reader, mine, payment.id)
    assert [one.what for one in found.entries if one.source == "event"][-2:] == ["order.paid", "payment.captured"]
    assert [one.id for one in found.entries].count(late.id) == 1


async def test_as_of_a_moment_nothing_later_is_known(
    reader: Connection, mine: Merchant, past: Past, database_url: str
) -> None:
    began = NOW - timedelta(hours=30)
    payment = past.pay(
        began, 500, captured=400, took=timedelta(minutes=1), refunds=((began + timedelta(hours=2), 200, True),)
    )
    past.lay(database_url)

    async def at(after: timedelta) -> timeline.Timeline:
        return await timeline.timeline(reader, mine, payment.id, as_of=began + after)

    first, paid, then = [await at(timedelta(seconds=n)) for n in (30, 90, 7300)]
    assert (first.payment.status, len(first.entries)) == ("pending", 4)
    assert (paid.payment.status, paid.payment.amount_captured, paid.payment.amount_refunded) == ("success", 400, 0)
    assert paid.refunds == []
    assert (then.payment.amount_refunded, len(then.refunds)) == (200, 1)
    assert {entry.at <= began + timedelta(seconds=90) for entry in paid.entries} == {True}
    with pytest.raises(NotFoundError):
        await at(timedelta(seconds=-1))


async def test_a_call_shows_its_key_while_that_is_kept(
    reader: Connection, mine: Merchant, past: Past, database_url: str, conn: psycopg.Connection[object]
) -> None:
    payment = past.pay(NOW - timedelta(minutes=50), 500, good=None)
    past.lay(database_url)
    ((row),) = conn.execute("SELECT key FROM idempotency_keys").fetchall()
    found = await timeline.timeline(reader, mine, payment.id)
    assert [(one.detail, one.code) for one in found.entries if one.source == "api"] == [(row["key"], 201)]  # type: ignore[index]
    assert [(one.source, one.what) for one in found.entries][-1] == ("to_do", "payment.process")
