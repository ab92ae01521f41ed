"""Recoveries over HTTP: a dry run, a job with progress, the verbs, and every refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.gateway.conftest import AUTH, Api
from tests.support.recovering import write_past

Conn = psycopg.Connection[dict[str, Any]]
SINCE = (datetime.now(UTC) - timedelta(hours=24)).isoformat()
AHEAD = (datetime.now(UTC) + timedelta(hours=24)).isoformat()


def _default(conn: Conn) -> str:
    row = conn.execute("SELECT id FROM endpoints WHERE is_default").fetchone()
    assert row is not None
    return str(row["id"])


async def test_a_dry_run_counts_and_does_nothing(api: Api, conn: Conn) -> None:
    """Deliveries that failed and events that were missed, by type."""
    write_past(conn, 3, to=[_default(conn)])
    write_past(conn, 2, event="refund.failed")

    said = await api.post("/webhooks/recover", {"since": SINCE, "dry_run": True})

    assert said.status_code == 200
    counted = said.json()
    assert counted["by_event"] == {"payment.success": 3, "refund.failed": 2}
    assert (counted["dry_run"], counted["total"], counted["total_is"], counted["skipped"]) == (True, 5, "exact", 0)
    assert conn.execute("SELECT FROM recoveries").rowcount == conn.execute("SELECT FROM outbox").rowcount == 0


async def test_a_recovery_is_started_once_read_and_listed(api: Api, conn: Conn) -> None:
    write_past(conn, 3, to=[_default(conn)])
    body = {"since": SINCE, "event": "payment.*", "status": "failed", "rate": 7, "endpoint": _default(conn)}

    said = await api.post("/webhooks/recover", body, **{"Idempotency-Key": "k"})
    again = await api.post("/webhooks/recover", body, **{"Idempotency-Key": "k"})

    assert (said.status_code, again.status_code) == (202, 202)
    assert again.text == said.text
    assert again.headers["idempotent-replayed"] == "true"
    made = said.json()
    assert {name: made[name] for name in ("status", "total", "total_is", "scheduled", "skipped", "recovers")} == {
        "status": "running", "total": 3, "total_is": "exact", "scheduled": 0, "skipped": 0, "recovers": ["failed"],
    }  # fmt: skip
    assert (made["endpoint"], made["event"], made["rate"]) == (body["endpoint"], "payment.*", 7)
    assert datetime.fromisoformat(made["since"]) == datetime.fromisoformat(SINCE)
    assert datetime.fromisoformat(made["until"]) <= datetime.now(UTC)
    assert made["finished_at"] is None
    assert (await api.get(f"/webhooks/recoveries/{made['id']}")).json() == made
    assert conn.execute("SELECT id, kind FROM outbox").fetchall() == [{"id": made["id"], "kind": "recovery.run"}]


async def test_the_list_is_newest_first_and_paged(api: Api) -> None:
    made = [(await api.post("/webhooks/recover", {"since": SINCE})).json()["id"] for _ in range(3)]
    first = (await api.get("/webhooks/recoveries", limit=2)).json()
    rest = (await api.get("/webhooks/recoveries", after=first["next"])).json()
    assert [one["id"] for one in first["data"] + rest["data"]] == made[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    wrong = await api.get("/webhooks/recoveries", after="pay_x")
    assert (wrong.status_code, wrong.json()["error"]["reason"]) == (400, "cursor_invalid")


async def test_the_verbs_may_be_said_twice_and_what_has_ended_stays_so(api: Api, conn: Conn) -> None:
    """pause, resume, cancel: 200 with the recovery as it then is; an end is an end."""
    made = (await api.post("/webhooks/recover", {"since": SINCE})).json()
    path = f"/webhooks/recoveries/{made['id']}"
    steps = [("resume", "running"), ("pause", "paused"), ("pause", "paused"), ("resume", "running"),
             ("pause", "paused"), ("cancel", "cancelled"), ("cancel", "cancelled")]  # fmt: skip
    for verb, status in steps:
        said = await api.post(f"{path}/{verb}", None)
        assert (said.status_code, said.json()["status"]) == (200, status), verb
    assert said.json()["finished_at"] is not None
    for verb in ("pause", "resume"):
        said = await api.post(f"{path}/{verb}", None)
        assert (said.status_code, said.json()["error"]["reason"]) == (400, "recovery_ended")
    conn.execute("UPDATE recoveries SET state = 'done'")
    said = await api.post(f"{path}/cancel", None)
    assert (said.status_code, said.json()["error"]["reason"]) == (400, "recovery_ended")


async def test_a_merchant_has_ten_under_way_at_most(api: Api) -> None:
    """Paused ones count; one that is cancelled makes room. A dry run is always allowed."""
    made = [(await api.post("/webhooks/recover", {"since": SINCE})).json()["id"] for _ in range(10)]
    await api.post(f"/webhooks/recoveries/{made[0]}/pause", None)
    refused = await api.post("/webhooks/recover", {"since": SINCE})
    assert (refused.status_code, refused.json()["error"]["reason"]) == (400, "too_many_recoveries")
    assert (await api.post("/webhooks/recover", {"since": SINCE, "dry_run": True})).status_code == 200
    await api.post(f"/webhooks/recoveries/{made[0]}/cancel", None)
    assert (await api.post("/webhooks/recover", {"since": SINCE})).status_code == 202


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "since", "field_missing"),
    ({"since": "yesterday"}, "since", "field_invalid"),
    ({"since": AHEAD}, "since", "range_invalid"),
    ({"since": SINCE, "until": AHEAD}, "until", "range_invalid"),
    ({"since": SINCE, "until": "2020-01-01T00:00:00Z"}, "since", "range_invalid"),
    ({"since": SINCE, "event": "payment"}, "event", "event_type_unknown"),
    ({"since": SINCE, "event": "*"}, "event", "event_type_unknown"),
    ({"since": SINCE, "status": "pending"}, "status", "field_invalid"),
    ({"since": SINCE, "rate": 0}, "rate", "field_invalid"),
    ({"since": SINCE, "rate": 1001}, "rate", "field_invalid"),
    ({"since": SINCE, "endpoint_id": "whep_x"}, "endpoint_id", "field_unknown"),
]


async def test_what_cannot_be_is_refused_by_name(api: Api) -> None:
    for body, field, reason in WRONG:
        said = await api.post("/webhooks/recover", body)
        error = said.json()["error"]
        assert (said.status_code, error["field"], error["reason"]) == (400, field, reason), body


async def test_an_endpoint_must_be_there_and_enabled(api: Api, conn: Conn) -> None:
    for unknown in ("whep_x", "whep_01kaxe3v7cfz9v1tm1r2c3d4e5", "pay_x"):
        said = await api.post("/webhooks/recover", {"since": SINCE, "endpoint": unknown})
        assert (said.status_code, said.json()["error"]["field"]) == (404, "endpoint")
    conn.execute("UPDATE endpoints SET enabled = false")
    said = await api.post("/webhooks/recover", {"since": SINCE, "endpoint": _default(conn)})
    assert (said.status_code, said.json()["error"]["reason"]) == (400, "endpoint_disabled")


async def test_times_of_any_year_and_zone_are_understood(api: Api) -> None:
    """The beginning of time is a range like any other; a time without a zone is UTC, another zone's is its own."""
    for since in (
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59",
        "2026-01-15T10:31:00+05:30",
        "2026-01-15t10:31:00z",
    ):
        said = await api.post("/webhooks/recover", {"since": since, "dry_run": True})
        assert said.status_code == 200, said.text
    last = await api.post("/webhooks/recover", {"since": "2026-01-15T10:31:00+05:30", "dry_run": True})
    assert last.json()["since"] == "2026-01-15T05:01:00Z"


async def test_nobody_without_the_scope_or_the_id(api: Api) -> None:
    for path in ("rcv_x", "rcv_01kaxe3v7cfz9v1tm1r2c3d4e5"):
        assert (await api.get(f"/webhooks/recoveries/{path}")).status_code == 404
        assert (await api.post(f"/webhooks/recoveries/{path}/pause", None)).status_code == 404
    key = (await api.post("/api-keys", {"scopes": ["read"]})).json()
    reader = {**AUTH, "X-Api-Key": key["id"], "X-Api-Secret": key["secret"]}
    said = await api.client.post("/api/v1/webhooks/recover", json={"since": SINCE}, headers=reader)
    assert said.status_code == 403
