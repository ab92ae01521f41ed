"""Claims are leases: exclusive while they last, due again when they end, fenced when they are late."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg

from gateway.config import Config
from gateway.secrets import make_sealer
from kit.db import PLANS, Connection
from outbox import SQL, deliveries, endpoints, work
from outbox.deliveries import Attempt, Outcome
from outbox.work import Work
from tests.support.paying import ALL, MERCHANT, pay

Conn = psycopg.Connection[dict[str, Any]]


async def _claim(
    db: Connection, who: str, limit: int = 100, kind: work.Kind = "webhook.deliver", lease: float = 30
) -> list[Work]:
    return await work.claim(db, kind, ALL, limit=limit, lease=lease, dispatcher=who)


def _outcome(one: Work, status: str = "success", **more: Any) -> Outcome:
    attempt = Attempt(
        number=one.attempts + 1, started_at=datetime.now(UTC), duration_ms=3, request_headers="{}", response_code=200
    )
    return Outcome(work=one, status=status, attempt=attempt, **more)  # type: ignore[arg-type]


async def test_claimed_work_is_nobody_else_s_until_its_lease_ends(db: Connection, config: Config, conn: Conn) -> None:
    await pay(db, config)
    first = await _claim(db, "one")
    assert len(first) == 2
    assert await _claim(db, "two") == []

    conn.execute("UPDATE outbox SET next_retry_at = next_retry_at - interval '30 seconds'")
    again = await _claim(db, "two")

    assert [one.id for one in again] == [one.id for one in first]
    assert [(one.claims, one.attempts) for one in again] == [(2, 0), (2, 0)], "a lost lease costs no attempt"


async def test_dispatchers_that_claim_at_once_share_and_never_overlap(db: Connection, config: Config) -> None:
    await pay(db, config, 200)

    async def claimer(who: str) -> list[str]:
        async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as mine:
            found: list[str] = []
            while works := await _claim(mine, who, limit=17):
                found += [one.id for one in works]
            return found

    shares = await asyncio.gather(*(claimer(f"d{n}") for n in range(4)))
    ids = [one for share in shares for one in share]
    assert len(ids) == len(set(ids)) == 400


async def test_a_kind_is_claimed_by_itself_and_oldest_first(db: Connection, config: Config, conn: Conn) -> None:
    await pay(db, config, 3)
    conn.execute("UPDATE outbox SET next_retry_at = now() - interval '1 hour' WHERE event_type = 'payment.pending'")
    works = await _claim(db, "one", limit=3)
    assert {one.event_type for one in works} == {"payment.pending"}
    assert len(await _claim(db, "one", kind="payment.process")) == 3


async def test_a_floor_bounds_the_walk_and_a_sweep_finds_what_is_below(db: Connection, config: Config) -> None:
    await pay(db, config)
    above = dict.fromkeys(ALL, datetime.now(UTC) + timedelta(hours=1))
    assert await work.claim(db, "webhook.deliver", above, limit=9, lease=9, dispatcher="one") == []
    assert len(await _claim(db, "one")) == 2


async def test_future_work_is_not_due(db: Connection, config: Config, conn: Conn) -> None:
    await pay(db, config)
    conn.execute("UPDATE outbox SET next_retry_at = now() + interval '1 second'")
    assert await _claim(db, "one") == []


async def test_a_late_settle_of_a_lost_lease_changes_nothing(db: Connection, config: Config, conn: Conn) -> None:
    await pay(db, config)
    late = await _claim(db, "one", lease=30)
    conn.execute("UPDATE outbox SET next_retry_at = now() WHERE kind = 'webhook.deliver'")
    current = await _claim(db, "two")

    assert await deliveries.settle(db, [_outcome(one) for one in late], dispatcher="one") == 0
    assert await work.release(db, [(one, 0.0) for one in late], dispatcher="one") == 0
    assert conn.execute("SELECT count(*) AS n FROM delivery_attempts").fetchone() == {"n": 0}
    assert await deliveries.settle(db, [_outcome(one) for one in current], dispatcher="two") == 2
    assert await deliveries.settle(db, [_outcome(one) for one in current], dispatcher="two") == 0, "and once only"
    assert conn.execute("SELECT count(*) AS n FROM deliveries").fetchone() == {"n": 2}


async def test_the_fence_holds_even_for_the_same_dispatcher_and_for_another_with_the_same_number(
    db: Connection, config: Config, conn: Conn
) -> None:
    await pay(db, config)
    (first, _) = await _claim(db, "one")
    conn.execute("UPDATE outbox SET next_retry_at = now(), claims = 0 WHERE kind = 'webhook.deliver'")
    await _claim(db, "two")
    assert await deliveries.settle(db, [_outcome(first)], dispatcher="one") == 0, "same number, another's lease"


async def test_released_work_is_due_after_its_delay(db: Connection, config: Config, conn: Conn) -> None:
    await pay(db, config)
    one, two = await _claim(db, "one")
    assert await work.release(db, [(one, 0.0), (two, 60.0)], dispatcher="one") == 2
    assert [again.id for again in await _claim(db, "two")] == [one.id]


async def test_settling_moves_reschedules_and_records(db: Connection, config: Config, conn: Conn) -> None:
    """A success moves to the history, a retry stays with its next time, each with its attempt."""
    await pay(db, config)
    done, again = await _claim(db, "one")
    assert await deliveries.settle(db, [_outcome(done), _outcome(again, "retry", delay=60.0)], dispatcher="one") == 2

    logs = {row["id"]: row for row in conn.execute("SELECT * FROM webhook_logs").fetchall()}
    assert (logs[done.id]["status"], logs[done.id]["attempts"], logs[done.id]["response_code"]) == ("success", 1, 200)
    assert (logs[again.id]["status"], logs[again.id]["attempts"]) == ("pending", 1)
    wait = conn.execute(
        "SELECT extract(epoch FROM next_retry_at - now())::float AS s FROM outbox WHERE id = %s", [again.id]
    ).fetchone()
    assert wait is not None
    assert 55 < wait["s"] <= 60
    assert conn.execute("SELECT count(*) AS n FROM delivery_attempts").fetchone() == {"n": 2}


async def test_every_endpoint_that_wants_an_event_gets_it_and_no_other(
    db: Connection, config: Config, conn: Conn
) -> None:
    """Exact type, `payment.*`, `*`; a disabled one and another merchant's get nothing; ids stay unique and sorted."""
    sealer = make_sealer(config)
    common: dict[str, Any] = {"bucket": MERCHANT.bucket, "url": "http://localhost:1/"}
    wanted = {}
    for types in (["payment.created"], ["payment.*"], ["refund.*", "order.paid"], ["*"]):
        endpoint, _ = await endpoints.add(db, sealer, merchant_id=MERCHANT.merchant_id, event_types=types, **common)
        wanted[endpoint] = types[0]
    disabled, _ = await endpoints.add(db, sealer, merchant_id=MERCHANT.merchant_id, **common)
    conn.execute("UPDATE endpoints SET enabled = false WHERE id = %s", [disabled])
    await endpoints.add(db, sealer, merchant_id="mer_other", **common)
    await pay(db, config)

    owed = conn.execute("SELECT * FROM outbox WHERE kind = 'webhook.deliver' ORDER BY id").fetchall()
    by_type = {
        kind: {wanted.get(o["endpoint_id"], "default") for o in owed if o["event_type"] == kind}
        for kind in ("payment.created", "payment.pending")
    }
    assert by_type == {
        "payment.created": {"payment.created", "payment.*", "*", "default"},
        "payment.pending": {"payment.*", "*", "default"},
    }
    assert len({one["id"] for one in owed}) == len(owed) == 7
    counts = conn.execute("SELECT type, deliveries FROM events ORDER BY id").fetchall()
    assert [(one["type"], one["deliveries"]) for one in counts] == [("payment.created", 4), ("payment.pending", 3)]


async def test_an_event_that_nobody_wants_says_so(db: Connection, config: Config, conn: Conn) -> None:
    conn.execute("UPDATE endpoints SET enabled = false")
    await pay(db, config)
    assert conn.execute("SELECT DISTINCT deliveries FROM events").fetchall() == [{"deliveries": 0}]
    assert conn.execute("SELECT kind FROM outbox").fetchall() == [{"kind": "payment.process"}]


async def test_a_thousand_endpoints_get_a_thousand_ids(db: Connection, config: Config, conn: Conn) -> None:
    """The derived ids do not run out before the stated bound."""
    conn.execute(
        "INSERT INTO endpoints (bucket, merchant_id, id, url, sealed_secret, created_at, updated_at)"
        " SELECT %s, %s, 'whep_' || n, 'http://localhost:1/', '', now(), now() FROM generate_series(1, 1022) AS n",
        [MERCHANT.bucket, MERCHANT.merchant_id],
    )
    await pay(db, config)
    row = conn.execute("SELECT count(DISTINCT id) AS n FROM outbox WHERE event_type = 'payment.created'").fetchone()
    assert row == {"n": 1023}


async def test_a_batch_of_payments_commits_as_one_statement(db: Connection, config: Config, conn: Conn) -> None:
    """The write path is set-based: fifty payments, one transaction's id on every row."""
    await pay(db, config, 50)
    rows = conn.execute("SELECT count(*) AS n, count(DISTINCT xmin::text) AS x FROM payments").fetchone()
    assert rows == {"n": 50, "x": 1}


async def test_status_counts_open_and_finished_work(db: Connection, config: Config, conn: Conn) -> None:
    await pay(db, config)
    works = await _claim(db, "one")
    now = await work.status(db)
    assert (now.pending, now.processing, now.completed, now.failed, now.running) == (1, 2, 0, 0, False)

    await deliveries.settle(db, [_outcome(works[0]), _outcome(works[1], "failed")], dispatcher="one")
    await work.beat(db, dispatcher="one", host="h", pid=1, version="1", delivered=0, processed=0, in_flight=0)
    now = await work.status(db)
    assert (now.pending, now.processing, now.completed, now.failed, now.running) == (1, 0, 1, 1, True)


async def test_finished_work_is_counted_for_24_hours_to_the_second(db: Connection, conn: Conn) -> None:
    """Work of 23:59:59 ago counts, of 24:00:01 ago does not, though both share their minute's row."""
    conn.execute(
        "WITH edge AS (SELECT date_trunc('second', now() - interval '24 hours') AS at) INSERT INTO work_tally"
        " SELECT 'second', at + s * interval '1 second', 'w', 10, 1 FROM edge, (VALUES (-2), (3)) AS v (s)"
    )
    conn.execute(
        "INSERT INTO work_tally SELECT 'minute', date_trunc('minute', starts_at), 'w', sum(completed), sum(failed)"
        " FROM work_tally GROUP BY 2"
    )
    now = await work.status(db)
    assert (now.completed, now.failed) == (10, 1)


async def test_beats_tell_who_lives_and_the_dead_are_forgotten(db: Connection, conn: Conn) -> None:
    async def beat(who: str) -> set[str]:
        return set(
            await work.beat(db, dispatcher=who, host="h", pid=1, version="1", delivered=0, processed=0, in_flight=0)
        )

    await beat("one")
    assert await beat("two") == {"one", "two"}
    conn.execute("UPDATE dispatchers SET seen_at = now() - interval '6 seconds' WHERE id = 'one'")
    assert await beat("two") == {"two"}
    conn.execute("UPDATE dispatchers SET seen_at = now() - interval '2 days' WHERE id = 'one'")
    await work.tidy(db)
    await work.leave(db, "two")
    assert conn.execute("SELECT count(*) AS n FROM dispatchers").fetchone() == {"n": 0}


async def test_statistics_of_an_empty_queue_do_not_mislead_a_claim_or_a_settle(
    config: Config, db: Connection, conn: Conn
) -> None:
    """ANALYZE saw the queue empty, then a backlog came: rows are still found by key, never by walking the queue.

    Judged by the plan and not by a clock (docs/decisions/0005).
    """
    fill = (
        "INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id,"
        " next_retry_at, created_at) SELECT 5, 'mer_x', 'dlv_' || n, 'webhook.deliver', 'e', 't', 's', 'p',"
        " now() - interval '1 hour', now() FROM generate_series(1, 3000) AS n"
    )
    # The same order of things as in a day's life: a burst, worked off, analysed, and the next burst.
    for statement in (fill, "DELETE FROM outbox", "ANALYZE outbox", fill):
        conn.execute(statement)
    values = {
        "buckets": [5], "floors": [ALL[5]], "kind": "webhook.deliver", "limit": 200, "lease": 30.0, "dispatcher": "d",
    }  # fmt: skip
    batch = [
        {"n": n, "bucket": 5, "merchant_id": "mer_x", "work_id": f"dlv_{n}", "id": f"dlv_{n}", "claims": 0, "delay": 0}
        for n in range(200)
    ]
    given: dict[str, Any] = {"batch": msgspec.json.encode(batch).decode(), "dispatcher": "d", "writer": "d"}
    given |= {"trip_after": 50, "open_base": 10.0, "open_max": 300.0}
    planned = psycopg.connect(config.database_url, autocommit=True, options=PLANS)
    with planned:
        for name, bound in (("claim_due", values), ("settle_deliveries", given), ("release", given)):
            rows = planned.execute("EXPLAIN " + SQL[name], bound).fetchall()
            plan = "\n".join(row[0] for row in rows)
            lookups = re.findall(r"Index Scan using \S*pkey on outbox o .*\n\s+(Index Cond: .*)", plan)
            assert lookups, plan
            assert all("id = " in condition for condition in lookups), plan
