"""Recoveries walk through a range in steps: each delivery once, at the rate, whatever crashes or comes in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from gateway import demo, recoveries
from gateway.config import Config
from gateway.merchants import Merchant
from gateway.secrets import make_sealer
from outbox import endpoints
from outbox.recoveries import MAX_WAITING, Recovery
from schema.invariants import broken
from tests.support.clock import Clock
from tests.support.paying import MERCHANT
from tests.support.recovering import Steps, as_api, stepping, write_past

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
async def steps(config: Config, conn: Conn) -> AsyncIterator[Steps]:
    """A clock to move, the demo merchant, and a dispatcher's hands."""
    clock = Clock(config.database_url)
    await demo.seed(config.database_url, config)
    async with stepping(config, clock) as made:
        yield made


async def _start(config: Config, *, ago: float = 24.0, merchant: Merchant = MERCHANT, **what: Any) -> Recovery:
    async with as_api(config) as conn:
        return await recoveries.start(conn, merchant, since=datetime.now(UTC) - timedelta(hours=ago), **what)


async def _count(config: Config, *, ago: float = 24.0, **what: Any) -> recoveries.DryRun:
    async with as_api(config) as conn:
        return await recoveries.dry_run(conn, MERCHANT, since=datetime.now(UTC) - timedelta(hours=ago), **what)


async def _read(config: Config, recovery: Recovery) -> Recovery:
    async with as_api(config) as conn:
        return await recoveries.get(conn, MERCHANT, recovery.id)


async def _add_endpoint(config: Config, *event_types: str, ordered: bool = False, enabled: bool = True) -> str:
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        made, _ = await endpoints.add(
            conn,
            make_sealer(config),
            bucket=MERCHANT.bucket,
            merchant_id=MERCHANT.merchant_id,
            url="http://127.0.0.1:1/",
            event_types=event_types or ("*",),
            enabled=enabled,
        )
        if ordered:
            await conn.execute("UPDATE endpoints SET ordered = true WHERE id = %s", [made])
    return made


def _default(conn: Conn) -> str:
    row = conn.execute("SELECT id FROM endpoints WHERE is_default").fetchone()
    assert row is not None
    return str(row["id"])


def _queued(conn: Conn) -> list[dict[str, Any]]:
    return conn.execute("SELECT * FROM outbox WHERE kind <> 'recovery.run' ORDER BY id").fetchall()


async def test_failed_deliveries_move_back_oldest_first_as_they_are(config: Config, conn: Conn, steps: Steps) -> None:
    """Attempts start over; `claims` goes on, so that old attempts keep their keys."""
    endpoint = _default(conn)
    failed = write_past(conn, 30, to=[endpoint])
    write_past(conn, 30, to=[endpoint], status="success")

    recovery = await _start(config, rate=20)
    assert (recovery.status, recovery.total, recovery.total_is) == ("running", 30, "exact")
    await steps.once()
    queued = _queued(conn)

    assert [row["event_id"] for row in queued] == failed[:10], "half a second's worth"
    assert {(row["kind"], row["attempts"], row["claims"], row["response_code"]) for row in queued} == {
        ("webhook.retry", 0, 5, 500)
    }
    await steps.to_the_end(conn)
    done = await _read(config, recovery)
    assert (done.status, done.scheduled, done.skipped) == ("done", 30, 0)
    assert done.finished_at is not None
    assert [row["event_id"] for row in _queued(conn)] == failed
    assert conn.execute("SELECT DISTINCT status FROM deliveries").fetchall() == [{"status": "success"}]


async def test_an_endpoint_that_keeps_its_order_gets_it_back_in_order(config: Config, conn: Conn, steps: Steps) -> None:
    endpoint = await _add_endpoint(config, ordered=True)
    write_past(conn, 3, to=[endpoint])
    write_past(conn, 2, to=[_default(conn)])
    await _start(config, endpoint=endpoint)
    await steps.to_the_end(conn)
    kinds = {(row["endpoint_id"], row["kind"]) for row in _queued(conn)}
    assert kinds == {(endpoint, "webhook.ordered")}, "what the default one missed is not this endpoint's"


FAILED = {("failed", "payment.success", "a"), ("failed", "refund.failed", "b")}
MISSED = {("missed", "payment.created", "a")}
FILTERS: list[tuple[dict[str, Any], set[tuple[str, str, str]]]] = [
    ({}, FAILED | MISSED),
    ({"status": "failed"}, FAILED),
    ({"status": "missed"}, MISSED),
    ({"status": "success"}, {("success", "payment.success", "a"), ("success", "payment.captured", "a")}),
    ({"event": "payment.*"}, {("failed", "payment.success", "a")} | MISSED),
    ({"event": "refund.failed"}, {("failed", "refund.failed", "b")}),
    ({"event": "order.*"}, set()),
    ({"status": "success", "event": "payment.captured"}, {("success", "payment.captured", "a")}),
    ({"endpoint": "a"}, {("failed", "payment.success", "a")} | MISSED),
    ({"endpoint": "b", "status": "failed"}, {("failed", "refund.failed", "b")}),
    ({"endpoint": "b", "status": "missed"}, set()),
    ({"ago": 0.5}, set()),
    ({"until": 3.0}, set()),
    ({"until": 1.5}, {("failed", "refund.failed", "b")}),
]
"""What is asked for (`since` and `until` in hours ago) -> what was, of which type, to which endpoint."""


async def test_every_filter_means_what_it_says_and_a_dry_run_counts_what_is_then_scheduled(
    config: Config, conn: Conn, steps: Steps
) -> None:
    conn.execute("UPDATE endpoints SET event_types = '{payment.*}'")
    names = {"a": _default(conn), "b": await _add_endpoint(config, "refund.*")}
    for asked, expected in FILTERS:
        what = asked | ({"endpoint": names[asked["endpoint"]]} if "endpoint" in asked else {})
        if "until" in asked:
            what |= {"until": datetime.now(UTC) - timedelta(hours=asked["until"])}
        write_past(conn, 4, to=[names["a"]])
        write_past(conn, 3, to=[names["b"]], event="refund.failed", ago=timedelta(hours=2))
        write_past(conn, 3, event="payment.created")
        write_past(conn, 2, event="order.paid")
        write_past(conn, 2, to=[names["a"]], status="success")
        write_past(conn, 2, to=[names["a"]], status="success", event="payment.captured")
        before = {row["id"]: row["status"] for row in conn.execute("SELECT id, status FROM deliveries")}

        counted = await _count(config, **what)
        recovery = await _start(config, **what)
        await steps.to_the_end(conn)

        queued = _queued(conn)
        found = {(before.get(row["id"], "missed"), row["event_type"], row["endpoint_id"]) for row in queued}
        assert found == {(how, event, names[endpoint]) for how, event, endpoint in expected}, asked
        done = await _read(config, recovery)
        assert counted.total == recovery.total == done.scheduled == len(queued), asked
        assert counted.by_event == Counter(row["event_type"] for row in queued), asked
        assert (counted.skipped, done.skipped) == (0, 0)
        assert all(row["id"].endswith("g0") for row in queued if row["id"] not in before)
        assert {"event_without_its_deliveries", "delivery_without_event"}.isdisjoint(broken(conn))
        for table in ("outbox", "deliveries", "events", "recoveries"):
            conn.execute(f"DELETE FROM {table}")


async def test_what_cannot_be_sent_is_skipped_and_counted(config: Config, conn: Conn, steps: Steps) -> None:
    """Of an endpoint that is off or gone, or of an event past its retention."""
    off, gone, here = await _add_endpoint(config), await _add_endpoint(config), _default(conn)
    write_past(conn, 2, to=[off])
    write_past(conn, 3, to=[gone])
    write_past(conn, 1, to=[here])
    (past,) = write_past(conn, 1, to=[here])
    conn.execute("UPDATE endpoints SET enabled = false WHERE id = %s", [off])
    conn.execute("DELETE FROM endpoints WHERE id = %s", [gone])
    conn.execute("DELETE FROM events WHERE id = %s", [past])

    counted = await _count(config, status="failed")
    recovery = await _start(config, status="failed")
    await steps.to_the_end(conn)

    done = await _read(config, recovery)
    assert (counted.total, counted.skipped) == (done.scheduled, done.skipped) == (1, 6)


async def test_what_an_endpoint_missed_while_it_was_off_is_made_once(config: Config, conn: Conn, steps: Steps) -> None:
    """Events that nobody got, and events that others got; not test events, nor news of the endpoint itself."""
    here = _default(conn)
    conn.execute("UPDATE endpoints SET event_types = '{*}'")
    off = await _add_endpoint(config, "*", enabled=False)
    nobodys = write_past(conn, 2)
    others = write_past(conn, 2, to=[here], status="success")
    write_past(conn, 1, to=[here], status="success", event="webhook.test", subject=here)
    write_past(conn, 1, to=[here], status="success", subject=here)  # a test event that plays a payment's
    news = write_past(conn, 1, to=[here], status="success", event="endpoint.disabled", subject=off)
    assert (await _count(config, status="missed")).total == 2, "the default one missed what nobody got"
    with pytest.raises(recoveries.BadRequestError, match="disabled"):
        await _start(config, endpoint=off)

    conn.execute("UPDATE endpoints SET enabled = true, disabled_at = NULL")
    first = await _start(config, endpoint=off)
    await steps.to_the_end(conn)
    again = await _start(config, endpoint=off)
    await steps.to_the_end(conn)
    rest = await _start(config, status="missed")
    await steps.to_the_end(conn)

    made = [(row["event_id"], row["endpoint_id"], row["id"][-2:]) for row in _queued(conn)]
    assert made == [
        *((one, endpoint, number) for one in nobodys for endpoint, number in ((off, "g0"), (here, "g1"))),
        *((one, off, "g0") for one in others),
    ], "each once, with the next free number; the news of itself is not among them"
    assert news not in made
    totals = [(await _read(config, one)).scheduled for one in (first, again, rest)]
    assert totals == [4, 0, 2]
    assert "event_without_its_deliveries" not in broken(conn)


async def test_a_thousand_and_one_endpoints_have_no_number_left(config: Config, conn: Conn, steps: Steps) -> None:
    """What has no id left to count with is skipped, and said so, rather than made under another's."""
    (event,) = write_past(conn, 1, to=["whep_gone"], status="success")
    conn.execute("UPDATE deliveries SET id = left(id, 28) || 'zy'")
    await _add_endpoint(config)
    recovery = await _start(config, status="missed")
    await steps.to_the_end(conn)
    done = await _read(config, recovery)
    assert (done.scheduled, done.skipped) == (1, 1)
    assert [row["id"][-2:] for row in _queued(conn)] == ["zz"]
    assert event


async def test_an_event_that_commits_late_is_missed_by_nobody(config: Config, conn: Conn, steps: Steps) -> None:
    """A writer that saw the endpoint off commits after it was turned on and recovered: the walk waits for it."""
    conn.execute("UPDATE endpoints SET enabled = false")
    with psycopg.connect(config.database_url, row_factory=psycopg.rows.dict_row) as late:
        write_past(late, 1, ago=timedelta(0))
        conn.execute("UPDATE endpoints SET enabled = true, disabled_at = NULL")
        recovery = await _start(config)
        for _ in range(4):
            await steps.once(after=1.0)
        assert (await _read(config, recovery)).status == "running"
        late.commit()
    await steps.to_the_end(conn)
    assert (await _read(config, recovery)).scheduled == 1


async def test_the_rate_is_kept_and_a_late_step_makes_up_for_one_second_at_most(
    config: Config, conn: Conn, steps: Steps
) -> None:
    """In t seconds never more than rate * (t + 1) and one step. The clock stands still but for what it is moved."""
    now = steps.clock.now()
    conn.execute(
        "CREATE OR REPLACE FUNCTION clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE"
        f" RETURN '{now.isoformat()}'::timestamptz + (SELECT by FROM clock.moved)"
    )
    write_past(conn, 400, to=[_default(conn)])
    await _start(config, rate=40, status="failed")
    counts = []
    for tick in (0.0, 0.1, 0.1, 0.1, 0.2, 0.5, 0.5, 0.5, 60.0, 0.0, 0.0, 0.0, 0.0):
        await steps.once(after=tick)
        counts.append(len(_queued(conn)))
    assert counts[:8] == [20, 20, 20, 20, 40, 60, 80, 100]
    assert counts[8:] == [120, 140, 160, 160, 160], "a minute late: a second's worth at once, then the rate again"


async def test_nothing_is_scheduled_while_too_much_is_waiting(config: Config, conn: Conn, steps: Steps) -> None:
    """The bound counts what is due within a minute; what waits for its schedule does not hold a recovery up."""
    endpoint = _default(conn)
    conn.execute(
        "INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id,"
        " next_retry_at, created_at) SELECT %s, %s, 'dlv_' || n, 'webhook.retry', 'e', 't', 's', %s, now(), now()"
        " FROM generate_series(1, %s) AS n",
        [MERCHANT.bucket, MERCHANT.merchant_id, endpoint, MAX_WAITING - 3],
    )
    write_past(conn, 10, to=[endpoint])
    recovery = await _start(config, status="failed")
    for _ in range(3):
        await steps.once(after=1.0)
    held = await _read(config, recovery)
    assert (held.status, held.scheduled) == ("running", 3)

    conn.execute("UPDATE outbox SET next_retry_at = next_retry_at + interval '2 hours' WHERE event_id = 'e'")
    await steps.to_the_end(conn)
    assert (await _read(config, recovery)).scheduled == 10


async def test_two_recoveries_of_one_range_send_and_make_nothing_twice(
    config: Config, conn: Conn, steps: Steps
) -> None:
    """Their steps race, those of two dispatchers; what was sent meanwhile and failed no more is not sent again."""
    here, other = _default(conn), await _add_endpoint(config)
    write_past(conn, 300, to=[here])
    jobs = [await _start(config, rate=100) for _ in range(4)]
    async with stepping(config, steps.clock, who="two") as twos:
        for _ in range(60):
            steps.clock.move(seconds=1.1)
            mine, theirs = await steps.claim(), await twos.claim()
            await asyncio.gather(*(steps.take(one) for one in mine), *(twos.take(one) for one in theirs))
            # What is on its way arrives at once: a later step finds it in the history.
            conn.execute(
                "WITH sent AS (DELETE FROM outbox WHERE kind = 'webhook.retry' RETURNING *) INSERT INTO deliveries"
                " SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, 'success', 1,"
                " claims + 1, 200, created_at, now(), now() FROM sent"
            )
            if not conn.execute("SELECT FROM outbox").rowcount:
                break
    done = [await _read(config, one) for one in jobs]
    assert {one.status for one in done} == {"done"}
    assert sum(one.scheduled for one in done) == 600
    sent = conn.execute(
        "SELECT endpoint_id, count(*) AS n, count(DISTINCT event_id) AS events, max(claims) AS claims FROM deliveries"
        " GROUP BY 1"
    ).fetchall()
    assert {row["endpoint_id"]: (row["n"], row["events"], row["claims"]) for row in sent} == {
        here: (300, 300, 6),
        other: (300, 300, 1),
    }
    assert "event_without_its_deliveries" not in broken(conn)


async def test_a_step_of_a_lost_lease_changes_nothing(config: Config, conn: Conn, steps: Steps) -> None:
    write_past(conn, 40, to=[_default(conn)])
    recovery = await _start(config, rate=20, status="failed")
    (late,) = await steps.claim()
    steps.clock.move(seconds=31)
    async with stepping(config, steps.clock, who="two") as twos:
        (current,) = await twos.claim()
        assert await steps.take(late) is None
        assert _queued(conn) == []
        assert await twos.take(current) is not None
        assert await twos.take(current) is None, "and once only"
    assert (await _read(config, recovery)).scheduled == len(_queued(conn)) == 10


async def test_paused_it_stands_still_resumed_it_goes_on_cancelled_it_ends(
    config: Config, conn: Conn, steps: Steps
) -> None:
    """A paused or cancelled one has no work after its next step; a stale lease of before cannot move it."""
    write_past(conn, 60, to=[_default(conn)])
    recovery = await _start(config, rate=20, status="failed")

    async def verb(what: recoveries.Verb) -> str:
        async with as_api(config) as api:
            return (await recoveries.move(api, MERCHANT, recovery.id, what)).status

    await steps.once()
    steps.clock.move(seconds=1)
    (stale,) = await steps.claim()
    assert [await verb("pause"), await verb("pause")] == ["paused", "paused"]
    assert (await verb("resume"), await verb("pause")) == ("running", "paused"), "before any step has seen it"
    await steps.take(stale)
    for _ in range(3):
        await steps.once(after=5.0)
    assert len(_queued(conn)) == 10
    assert conn.execute("SELECT FROM outbox WHERE kind = 'recovery.run'").rowcount == 0

    assert [await verb("resume"), await verb("resume")] == ["running", "running"]
    await steps.once()
    assert await steps.take(stale) is None
    assert len(_queued(conn)) == 20
    assert [await verb("cancel"), await verb("cancel")] == ["cancelled", "cancelled"]
    await steps.to_the_end(conn)
    assert len(_queued(conn)) == 20
    for what in ("pause", "resume"):
        with pytest.raises(recoveries.BadRequestError, match="cancelled"):
            await verb(what)  # type: ignore[arg-type]
