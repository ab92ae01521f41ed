"""Endpoints and how they fare, the log by answer, events."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from dashboard.reading import webhooks
from dashboard.reading.webhooks import EventFilter
from gateway.errors import NotFoundError
from gateway.listing import Paging
from gateway.logs import DeliveryFilter
from gateway.merchants import Merchant
from kit.db import Connection
from tests.dashboard_data.past import NOW, Past, endpoint


@pytest.fixture
def log(past: Past, conn: psycopg.Connection[object], mine: Merchant, database_url: str) -> dict[str, str]:
    """Deliveries by name, of one payment with a refund; the newest is open."""
    began = NOW - timedelta(hours=3)
    past.pay(began, 500, refunds=((began + timedelta(hours=1), 100, True),))
    sent = {
        "ok": past.send(past.event("payment.created"), "whep_1", 200),
        "slow": past.send(past.event("payment.created"), "whep_2", 500, 200, ordinal=1),
        "dead": past.send(past.event("payment.success"), "whep_2", 503, None),
        "bad": past.send(past.event("refund.created"), "whep_2", 500),
        "open": past.send(past.event("refund.processed"), "whep_2", 503, open_until=NOW - timedelta(minutes=1)),
        "new": past.send(past.event("refund.processed"), "whep_1", ordinal=1, open_until=NOW + timedelta(days=1)),
    }
    past.lay(database_url)
    endpoint(conn, mine, "whep_1", is_default=True)
    endpoint(conn, mine, "whep_2")
    endpoint(conn, mine, "whep_0", enabled=False, disabled_reason="it was 410")
    conn.execute(
        "INSERT INTO endpoint_health (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,"
        " last_error, open_until, trips)"
        " VALUES (%s, %s, 'whep_2', 60, %s, %s, 'HTTP 503', now() + interval '1 hour', 1)",
        [mine.bucket, mine.merchant_id, NOW, NOW],
    )
    return sent


async def test_endpoints_tell_how_they_fare(reader: Connection, mine: Merchant, log: dict[str, str]) -> None:
    """State, backlog, rate of success and times of the last day; the default one first."""
    cards = await webhooks.cards(reader, mine, now=NOW + timedelta(minutes=1))
    assert [(one.endpoint.id, one.state, one.trouble) for one in cards] == [
        ("whep_1", "healthy", False),
        ("whep_0", "disabled_by_us", True),
        ("whep_2", "held_up", True),
    ]
    well, _, bad = (one.traffic for one in cards)
    assert (well.open, well.due, well.delivered, well.failed, well.rate) == (1, 0, 1, 0, 1.0)
    assert (bad.open, bad.due, bad.delivered, bad.failed) == (1, 1, 1, 2)
    assert bad.rate == pytest.approx(1 / 3)
    assert (well.median_ms, bad.median_ms) == (10.0, 10.0)
    assert bad.slow_ms == pytest.approx(20.0)
    assert well.next_retry_at == NOW + timedelta(days=1)
    assert bad.oldest_at == NOW - timedelta(hours=2) + timedelta(seconds=2)
    assert bad.last_success_at is not None


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        (None, ["new", "open", "bad", "dead", "slow", "ok"]),
        ((200, 299), ["slow", "ok"]),
        ((500, 599), ["open", "bad"]),
        ((503, 503), ["open"]),
        (webhooks.NO_ANSWER, ["dead"]),
    ],
)
async def test_the_log_by_answer(
    reader: Connection, mine: Merchant, log: dict[str, str], codes: tuple[int, int] | None, names: list[str]
) -> None:
    """What was never tried has no answer yet, and is no failure to answer."""
    page = await webhooks.log(reader, mine, DeliveryFilter(), Paging(limit=50), codes=codes)
    known = {made: name for name, made in log.items()}
    found = [known[one.id] for one in page.data]
    assert sorted(found) == sorted(names)
    assert [one.id for one in page.data] == sorted((one.id for one in page.data), reverse=True)


async def test_filters_of_the_log_hold_together(reader: Connection, mine: Merchant, log: dict[str, str]) -> None:
    page = await webhooks.log(
        reader, mine, DeliveryFilter(endpoint="whep_2", status="failed"), Paging(limit=50), codes=(500, 599)
    )
    assert [one.id for one in page.data] == [log["bad"]]
    first = await webhooks.log(reader, mine, DeliveryFilter(), Paging(limit=1), codes=(500, 599))
    rest = await webhooks.log(reader, mine, DeliveryFilter(), Paging(limit=5, after=first.next), codes=(500, 599))
    assert [one.id for one in (*first.data, *rest.data)] == [log["open"], log["bad"]]


async def test_a_delivery_knows_its_payment(
    reader: Connection, mine: Merchant, theirs: Merchant, log: dict[str, str]
) -> None:
    """Also that of a refund, with every attempt; and is nobody else's."""
    found = await webhooks.delivery(reader, mine, log["bad"])
    assert found.subject_id.startswith("rfnd_")
    assert found.payment_id is not None
    assert found.payment_id.startswith("pay_")
    dead = await webhooks.delivery(reader, mine, log["dead"])
    assert dead.payment_id == dead.subject_id == found.payment_id
    assert [(one.response_code, one.error) for one in dead.delivery.history] == [(None, "no connection"), (503, None)]
    for made in log.values():
        with pytest.raises(NotFoundError):
            await webhooks.delivery(reader, theirs, made)
    assert (await webhooks.log(reader, theirs, DeliveryFilter(), Paging())).data == []
    assert (await webhooks.log(reader, theirs, DeliveryFilter(), Paging(), codes=(0, 599))).data == []
    assert await webhooks.cards(reader, theirs, now=NOW) == []


async def test_events_newest_first(reader: Connection, mine: Merchant, theirs: Merchant, log: dict[str, str]) -> None:
    """By type, family, subject and time, with both directions; one with its deliveries."""

    async def types(**where: object) -> list[str]:
        page = await webhooks.events(reader, mine, EventFilter(**where), Paging(limit=50))  # type: ignore[arg-type]
        return [one.type for one in page.data]

    everything = await types()
    assert everything == [
        "refund.processed", "refund.created", "order.paid", "payment.success", "payment.pending", "payment.created",
    ]  # fmt: skip
    assert await types(type="refund.*") == everything[:2]
    assert await types(type="payment.success") == ["payment.success"]
    assert await types(created_from=NOW - timedelta(hours=2, minutes=30)) == everything[:2]
    page = await webhooks.events(reader, mine, EventFilter(), Paging(limit=2))
    assert await types(subject=page.data[0].subject_id) == everything[:2]
    older = await webhooks.events(reader, mine, EventFilter(), Paging(limit=2, after=page.next))
    newer = await webhooks.events(reader, mine, EventFilter(), Paging(limit=2, before=older.data[0].id))
    assert newer.data == page.data
    one = await webhooks.event(reader, mine, page.data[0].id)
    assert one.event.event == "refund.processed"
    assert [(each.endpoint_id, each.status) for each in one.deliveries] == [
        ("whep_2", "pending"),
        ("whep_1", "pending"),
    ]
    assert (await webhooks.events(reader, theirs, EventFilter(), Paging())).data == []
    with pytest.raises(NotFoundError):
        await webhooks.event(reader, theirs, page.data[0].id)
