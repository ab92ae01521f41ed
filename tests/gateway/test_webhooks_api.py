"""One delivery as its merchant sees it, and sent again on demand, whoever races."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from gateway.config import Config
from kit import ids
from kit.db import PLANS, Connection
from outbox import SQL, deliveries, work
from outbox.deliveries import BODY_KEPT, HISTORY_SHOWN, Attempt, Outcome
from outbox.work import Work
from schema.invariants import broken
from tests.gateway.conftest import Api
from tests.support.paying import ALL, MERCHANT, pay
from tests.support.strangers import everything, stranger
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]
WHOSE = MERCHANT.scope


async def _claim(db: Connection, who: str = "one") -> list[Work]:
    return await work.claim(db, "webhook.deliver", ALL, limit=100, lease=30, dispatcher=who)


def _outcome(one: Work, code: int | None = 500, status: str = "failed", **more: Any) -> Outcome:
    attempt = Attempt(
        number=one.attempts + 1,
        started_at=datetime.now(UTC),
        duration_ms=7,
        request_headers='{"webhook-id":"evt"}',
        response_code=code,
        response_headers=None if code is None else '{"Server":"x"}',
        response_body=more.pop("body", b"no"),
        error="no connection within 3 s" if code is None else None,
    )
    return Outcome(work=one, status=status, attempt=attempt, **more)  # type: ignore[arg-type]


async def _finished(db: Connection, config: Config, code: int = 500, **more: Any) -> Work:
    """One payment's two deliveries, of which the first is finished and the second left alone."""
    await pay(db, config)
    one, two = await _claim(db)
    await work.release(db, [(two, 3600.0)], dispatcher="one")
    status = "success" if code == 200 else "failed"
    assert await deliveries.settle(db, [_outcome(one, code, status, **more)], dispatcher="one") == 1
    return one


async def test_a_delivery_shows_the_very_bytes_and_what_came_back(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    one = await _finished(db, config, body=(b"caf\xe9 \0 " + b"x" * BODY_KEPT)[:BODY_KEPT])
    assert one.event_id is not None

    shown = (await api.get(f"/webhooks/{one.id}")).json()

    (event,) = conn.execute("SELECT body FROM events WHERE id = %s", [one.event_id]).fetchall()
    assert shown["body"] == event["body"]
    (endpoint,) = conn.execute("SELECT id, url FROM endpoints").fetchall()
    history = shown.pop("history")
    assert shown | {"body": "", "created_at": "", "last_attempt_at": ""} == {
        "id": one.id, "event": one.event_type, "event_id": one.event_id, "endpoint": endpoint, "status": "failed",
        "attempts": 1, "created_at": "", "last_attempt_at": "", "next_retry_at": None, "response_code": 500,
        "body": "", "history_has_more": False,
    }  # fmt: skip
    (attempt,) = history
    assert attempt.pop("started_at") == shown["last_attempt_at"]
    assert attempt.pop("response_body").startswith("caf� \0 xxx")
    assert attempt == {
        "number": 1, "duration_ms": 7, "request_headers": {"webhook-id": "evt"}, "response_code": 500,
        "response_headers": {"Server": "x"}, "response_body_truncated": True, "error": None,
    }  # fmt: skip


async def test_an_open_delivery_shows_when_it_is_due_and_a_leased_one_does_not(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    await pay(db, config)
    one, two = await _claim(db)
    outcome = _outcome(one, None, "retry", delay=60.0)
    await deliveries.settle(db, [outcome], dispatcher="one")

    waiting, leased = [(await api.get(f"/webhooks/{each.id}")).json() for each in (one, two)]

    assert (waiting["status"], waiting["attempts"], waiting["response_code"]) == ("pending", 1, None)
    assert waiting["next_retry_at"] > waiting["last_attempt_at"]
    assert waiting["history"][0]["error"] == "no connection within 3 s"
    assert (leased["status"], leased["next_retry_at"], leased["history"]) == ("pending", None, [])


async def test_what_is_gone_is_shown_as_gone(api: Api, db: Connection, config: Config, conn: Conn) -> None:
    one = await _finished(db, config)
    conn.execute("DELETE FROM endpoints")
    conn.execute("DELETE FROM events")
    shown = (await api.get(f"/webhooks/{one.id}")).json()
    assert (shown["endpoint"], shown["body"]) == ({"id": one.endpoint_id, "url": None}, None)


async def test_the_history_is_bounded_and_begins_with_the_newest(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    one = await _finished(db, config)
    conn.execute(
        "INSERT INTO delivery_attempts SELECT bucket, merchant_id, delivery_id, claim + n, attempt, started_at,"
        " duration_ms, request_headers, NULL, NULL, NULL, 'try ' || n FROM delivery_attempts, generate_series(1, %s) n",
        [HISTORY_SHOWN],
    )
    shown = (await api.get(f"/webhooks/{one.id}")).json()
    assert [each["error"] for each in shown["history"]] == [f"try {n}" for n in range(HISTORY_SHOWN, 0, -1)]
    assert shown["history_has_more"] is True


async def test_a_finished_delivery_is_sent_again_from_the_start(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    """It moves back whole; the claims go on counting, so that the attempts of before keep their keys."""
    one = await _finished(db, config)
    before = conn.execute("SELECT * FROM deliveries").fetchone()
    assert before is not None

    said = await api.post(f"/webhooks/{one.id}/retry", None)

    assert (said.status_code, said.json()) == (
        200,
        {"id": one.id, "status": "pending", "message": "Webhook retry scheduled"},
    )
    assert broken(conn) == {}
    shown = (await api.get(f"/webhooks/{one.id}")).json()
    assert (shown["status"], shown["attempts"], shown["response_code"], len(shown["history"])) == ("pending", 0, 500, 1)
    (again,) = await _claim(db, "two")
    assert (again.id, again.attempts, again.claims, again.created_at) == (one.id, 0, 2, before["created_at"])
    assert await deliveries.settle(db, [_outcome(again, 200, "success")], dispatcher="two") == 1
    assert await deliveries.settle(db, [_outcome(one, 200, "success")], dispatcher="one") == 0, "the old lease is over"
    shown = (await api.get(f"/webhooks/{one.id}")).json()
    assert (shown["status"], shown["attempts"]) == ("success", 1)
    assert [(each["number"], each["response_code"]) for each in shown["history"]] == [(1, 200), (1, 500)]
    assert broken(conn) == {}


async def test_fifty_retries_at_once_move_it_once(api: Api, db: Connection, config: Config, conn: Conn) -> None:
    one = await _finished(db, config, 200)

    said = await asyncio.gather(*(api.post(f"/webhooks/{one.id}/retry", None) for _ in range(50)))

    assert {(each.status_code, each.json()["status"]) for each in said} == {(200, "pending")}
    assert conn.execute("SELECT count(*) AS n FROM deliveries").fetchone() == {"n": 0}
    row = conn.execute("SELECT attempts, claims, leased_by FROM outbox WHERE id = %s", [one.id]).fetchone()
    assert row == {"attempts": 0, "claims": 1, "leased_by": None}
    assert broken(conn) == {}


async def test_a_waiting_delivery_is_due_at_once_and_starts_over(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    await pay(db, config)
    one, two = await _claim(db)
    await work.release(db, [(two, 3600.0)], dispatcher="one")
    await deliveries.settle(db, [_outcome(one, 500, "retry", delay=3600.0)], dispatcher="one")

    assert (await api.post(f"/webhooks/{one.id}/retry", None)).status_code == 200

    (again,) = await _claim(db)
    assert (again.id, again.attempts) == (one.id, 0)


async def test_a_lease_that_ran_out_is_nobody_s(api: Api, db: Connection, config: Config, conn: Conn) -> None:
    """A dead dispatcher's delivery is simply due; what that one might still say no longer counts."""
    await pay(db, config)
    one, _ = await _claim(db)
    conn.execute("UPDATE outbox SET next_retry_at = now() - interval '1 s', attempts = 3 WHERE id = %s", [one.id])

    assert (await api.post(f"/webhooks/{one.id}/retry", None)).status_code == 200

    assert await deliveries.settle(db, [_outcome(one)], dispatcher="one") == 0
    row = conn.execute("SELECT attempts, leased_by, starts_over FROM outbox WHERE id = %s", [one.id]).fetchone()
    assert row == {"attempts": 0, "leased_by": None, "starts_over": False}


@pytest.mark.parametrize(("status", "delay"), [("failed", None), ("retry", 3600.0)])
async def test_a_retry_during_an_attempt_waits_for_its_end_and_starts_over_if_it_fails(
    api: Api, db: Connection, config: Config, conn: Conn, status: str, delay: float | None
) -> None:
    """The lease stays whose it is, the attempt under way is recorded, and the next follows at once as the first."""
    await pay(db, config)
    conn.execute("UPDATE outbox SET attempts = 4 WHERE kind = 'webhook.deliver'")
    one, _ = await _claim(db)

    assert (await api.post(f"/webhooks/{one.id}/retry", None)).status_code == 200
    assert await _claim(db, "two") == [], "nobody else may send it meanwhile"
    assert await deliveries.settle(db, [_outcome(one, 500, status, delay=delay)], dispatcher="one") == 1

    (again,) = await _claim(db, "two")
    assert (again.id, again.attempts) == (one.id, 0)
    history = (await api.get(f"/webhooks/{one.id}")).json()["history"]
    assert [each["number"] for each in history] == [5]
    assert await deliveries.settle(db, [_outcome(again)], dispatcher="two") == 1, "and only once"
    assert (await api.get(f"/webhooks/{one.id}")).json()["status"] == "failed"
    assert broken(conn) == {}


async def test_a_retry_during_an_attempt_that_succeeds_is_done(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    await pay(db, config)
    one, _ = await _claim(db)
    assert (await api.post(f"/webhooks/{one.id}/retry", None)).status_code == 200
    assert await deliveries.settle(db, [_outcome(one, 200, "success")], dispatcher="one") == 1
    assert (await api.get(f"/webhooks/{one.id}")).json()["status"] == "success"


@pytest.mark.parametrize(("status", "delay"), [("failed", None), ("retry", 3600.0)])
async def test_a_wish_that_comes_while_the_end_is_being_written_is_heard(
    db: Connection, config: Config, conn: Conn, status: str, delay: float | None
) -> None:
    """The settling statement has taken its snapshot and waits for the row; the snapshot does not know of the wish."""
    await pay(db, config)
    one, _ = await _claim(db)
    async with await psycopg.AsyncConnection.connect(config.database_url, options=PLANS) as wishing:
        assert await deliveries.retry(wishing, one.id, **WHOSE) == "ok"  # type: ignore[arg-type]
        settling = asyncio.create_task(
            deliveries.settle(db, [_outcome(one, 500, status, delay=delay)], dispatcher="one")
        )

        async def waits() -> bool:
            row = conn.execute("SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
            return row == {"n": 1}

        await eventually(waits, what="the settling statement waits for the row")
        await wishing.commit()

    assert await settling == 1
    (again,) = await _claim(db, "two")
    assert (again.id, again.attempts) == (one.id, 0)
    assert conn.execute("SELECT count(*) AS n FROM delivery_attempts").fetchone() == {"n": 1}


@pytest.mark.parametrize("code", [200, 500])
async def test_a_retry_that_meets_the_end_of_the_delivery_finds_it_in_the_history(
    db: Connection, config: Config, conn: Conn, code: int
) -> None:
    """The other way round: the retry waits for a settle that is not committed yet, and then looks again."""
    await pay(db, config)
    one, _ = await _claim(db)
    async with await psycopg.AsyncConnection.connect(config.database_url, options=PLANS) as settling:
        outcome = _outcome(one, code, "success" if code == 200 else "failed")
        assert await deliveries.settle(settling, [outcome], dispatcher="one") == 1
        retrying = asyncio.create_task(deliveries.retry(db, one.id, **WHOSE))  # type: ignore[arg-type]

        async def waits() -> bool:
            row = conn.execute("SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
            return row == {"n": 1}

        await eventually(waits, what="the retry waits for the row")
        await settling.commit()

    assert await retrying == "ok"
    assert conn.execute("SELECT count(*) AS n FROM deliveries").fetchone() == {"n": 0}
    (again,) = await _claim(db, "two")
    assert (again.id, again.attempts, again.claims) == (one.id, 0, 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM events", "event_gone"),
        ("DELETE FROM endpoints", "endpoint_gone"),
        ("UPDATE endpoints SET enabled = false", "endpoint_disabled"),
    ],
)
@pytest.mark.parametrize("state", ["finished", "open"])
async def test_what_cannot_be_sent_is_not_scheduled(
    api: Api, db: Connection, config: Config, conn: Conn, change: str, reason: str, state: str
) -> None:
    one = await _finished(db, config)
    (two,) = conn.execute("SELECT id FROM outbox WHERE kind = 'webhook.deliver'").fetchall()
    conn.execute(change)
    before = everything(conn)

    path = f"/webhooks/{one.id if state == 'finished' else two['id']}/retry"
    said = await api.post(path, None, **{"Idempotency-Key": "k"})

    assert (said.status_code, said.json()["error"]["reason"]) == (400, reason)
    assert everything(conn) == before


async def test_a_retried_retry_does_it_once(api: Api, db: Connection, config: Config, conn: Conn) -> None:
    one = await _finished(db, config)
    key = {"Idempotency-Key": "k"}
    first = await api.post(f"/webhooks/{one.id}/retry", None, **key)
    (again,) = await _claim(db)
    await deliveries.settle(db, [_outcome(again, 200, "success")], dispatcher="one")

    second = await api.post(f"/webhooks/{one.id}/retry", None, **key)

    assert (second.status_code, second.text, second.headers["idempotent-replayed"]) == (200, first.text, "true")
    assert (await api.get(f"/webhooks/{one.id}")).json()["status"] == "success"


async def test_a_retry_and_a_test_event_ring_the_doorbell(api: Api, db: Connection, config: Config) -> None:
    one = await _finished(db, config)
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as listening:
        for path in (f"/webhooks/{one.id}/retry", "/webhooks/test"):
            await listening.execute("LISTEN ledgate_work")
            await api.post(path, None)
            rung = [note async for note in listening.notifies(timeout=10, stop_after=1)]
            assert rung, path
            await listening.execute("UNLISTEN *")


@pytest.mark.parametrize("name", ["read_delivery", "retry_delivery"])
def test_a_delivery_and_its_event_are_looked_up_by_their_whole_keys(config: Config, name: str) -> None:
    """Also when the plan is made while the tables are empty; by merchant alone it would walk a day's history."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    text = re.sub(r"%\((\w+)\)s", number, SQL[name])
    given = WHOSE | {"id": ids.new("dlv"), "limit": 1}
    with psycopg.connect(config.database_url, autocommit=True, options=f"{PLANS} -c role=ledgate_api") as api_role:
        api_role.execute(f"PREPARE planned AS {text}")
        arguments = ", ".join(f"'{given[each]}'" for each in names)
        plan = [row[0] for row in api_role.execute(f"EXPLAIN EXECUTE planned({arguments})")]

    looks = [(line, plan[n + 1]) for n, line in enumerate(plan[:-1]) if " Scan" in line and "Index Cond" in plan[n + 1]]
    assert sum("events_" in line for line, _ in looks) > 2
    assert [look for look in looks if not re.search(r"\b(delivery_|endpoint_)?id = ", look[1])] == []


async def test_another_merchant_s_deliveries_are_not_there(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    """404 for everything, and nothing of it leaves a trace, not even the idempotency key."""
    one = await _finished(db, config)
    (endpoint,) = conn.execute("SELECT id FROM endpoints").fetchall()
    (two,) = conn.execute("SELECT id FROM outbox WHERE kind = 'webhook.deliver'").fetchall()
    other = await stranger(config)
    before = everything(conn)

    for delivery_id in (one.id, two["id"], ids.new("dlv"), "dlv_x", "nonsense"):
        said = await api.client.get(f"/api/v1/webhooks/{delivery_id}", headers=other)
        assert (said.status_code, said.json()["error"]["code"]) == (404, "NOT_FOUND")
        path = f"/api/v1/webhooks/{delivery_id}/retry"
        said = await api.client.post(path, headers={**other, "Idempotency-Key": "k"})
        assert (said.status_code, said.json()["error"]["code"]) == (404, "NOT_FOUND")
    said = await api.client.post("/api/v1/webhooks/test", json={"endpoint_id": endpoint["id"]}, headers=other)
    assert said.status_code == 404
    assert everything(conn) == before
