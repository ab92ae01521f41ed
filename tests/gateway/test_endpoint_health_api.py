"""An endpoint in trouble, as its merchant sees it, mends it, and catches up; nobody else does."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from gateway.config import Config
from kit.db import Connection
from tests.gateway.conftest import AUTH, Api
from tests.gateway.test_endpoints_api import WELL
from tests.support.endpoints import URL
from tests.support.paying import pay
from tests.support.strangers import everything, stranger

Conn = psycopg.Connection[dict[str, Any]]
ILL = (
    "INSERT INTO endpoint_health (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,"
    " last_error, open_until, trips, warnings, warned_at) SELECT bucket, merchant_id, id, 51,"
    " '2026-01-02 03:04:05Z', '2026-01-02 09:00:00.25Z', 'HTTP 503', now() + interval '1 minute', 1, 0, NULL"
    " FROM endpoints"
)
"""Every endpoint fails, and its circuit is open."""


async def _call(api: Api, method: str, path: str, body: object = None, **headers: str) -> Any:
    return await api.client.request(method, f"/api/v1{path}", json=body, headers={**AUTH, **headers})


def _failing(until: str | None = "2026-01-07T03:04:05Z", circuit: str = "open") -> dict[str, object]:
    return WELL | {
        "state": "failing", "circuit": circuit, "failures": 51, "failing_since": "2026-01-02T03:04:05Z",
        "last_failure_at": "2026-01-02T09:00:00.250000Z", "last_error": "HTTP 503", "will_be_disabled_at": until,
    }  # fmt: skip


async def test_trouble_is_shown_wherever_the_endpoint_is(api: Api, conn: Conn) -> None:
    conn.execute(ILL)
    (listed,) = (await api.get("/webhook-endpoints")).json()["data"]
    probe = listed["health"]["probe_at"]
    assert datetime.fromisoformat(probe) > datetime.now().astimezone()
    expected = _failing() | {"probe_at": probe}
    config = (await api.get("/webhooks/config")).json()
    one = (await api.get(f"/webhook-endpoints/{listed['id']}")).json()
    assert [shown["health"] for shown in (listed, config, one)] == [expected] * 3

    conn.execute("UPDATE endpoint_health SET open_until = now(), warnings = 2, warned_at = '2026-01-09T00:00:00Z'")
    shown = (await api.get(f"/webhook-endpoints/{listed['id']}")).json()["health"]
    assert (shown["circuit"], shown["warnings"]) == ("half_open", 2)
    assert shown["will_be_disabled_at"] == "2026-01-10T00:00:00Z", "not sooner than a day after the last warning"
    conn.execute("UPDATE endpoints SET enabled = false")
    shown = (await api.get(f"/webhook-endpoints/{listed['id']}")).json()["health"]
    assert (shown["state"], shown["will_be_disabled_at"]) == ("failing", None)


async def test_nobody_else_sees_the_trouble_or_ends_it(api: Api, config: Config, conn: Conn) -> None:
    (endpoint,) = conn.execute("SELECT id FROM endpoints").fetchall()
    conn.execute(ILL)
    other = await stranger(config)
    theirs = (await _call(api, "PUT", "/webhooks/config", {"webhook_url": URL}, **other)).json()
    assert theirs["health"] == WELL
    before = everything(conn)
    path = f"/webhook-endpoints/{endpoint['id']}"
    for method, body in (("PATCH", {"enabled": True, "recover": True}), ("PATCH", {"url": "http://b/"}), ("GET", None),
                         ("DELETE", None)):  # fmt: skip
        assert (await _call(api, method, path, body, **other)).status_code == 404
    await _call(api, "PUT", "/webhooks/config", {"webhook_url": "http://b/", "enabled": False}, **other)
    await _call(api, "PUT", "/webhooks/config", {"webhook_url": URL, "enabled": True}, **other)
    assert everything(conn)["endpoint_health"] == before["endpoint_health"]


@pytest.mark.parametrize(
    ("way", "change", "afresh"),
    [
        ("endpoint", {"enabled": True}, True),
        ("endpoint", {"url": "http://b/"}, True),
        ("endpoint", {"url": None}, False),
        ("endpoint", {"events": ["refund.*"], "rate": 5}, False),
        ("endpoint", {"enabled": False}, False),
        ("config", {"webhook_url": "http://b/"}, True),
        ("config", {"events": ["refund.*"]}, False),
        ("config", {"enabled": False}, False),
    ],
)
async def test_who_says_that_it_is_mended_starts_afresh(
    api: Api, conn: Conn, way: str, change: dict[str, Any], *, afresh: bool
) -> None:
    """Enabled by word or moved elsewhere: no failures, the circuit closed. Anything else changes nothing of that."""
    (row,) = conn.execute("SELECT id, url FROM endpoints").fetchall()
    conn.execute(ILL)
    change = {name: row["url"] if value is None else value for name, value in change.items()}
    if way == "endpoint":
        said = await _call(api, "PATCH", f"/webhook-endpoints/{row['id']}", change)
    else:
        said = await _call(api, "PUT", "/webhooks/config", {"webhook_url": row["url"]} | change)
    assert said.status_code == 200, said.text
    assert (said.json()["health"] == WELL) == afresh
    assert (await api.get("/webhooks/config")).json()["health"] == said.json()["health"]
    assert conn.execute("SELECT count(*) AS n FROM endpoint_health").fetchone() == {"n": 0 if afresh else 1}


async def test_a_config_that_turns_it_on_again_starts_afresh(api: Api, conn: Conn) -> None:
    conn.execute("UPDATE endpoints SET enabled = false, disabled_reason = 'gone', disabled_at = now()")
    conn.execute(ILL)
    config = (await api.get("/webhooks/config")).json()
    assert config["disabled_at"] is not None
    said = await _call(api, "PUT", "/webhooks/config", {"webhook_url": config["webhook_url"]})
    saved = said.json()
    assert (saved["health"], saved["disabled_at"], saved["disabled_reason"]) == (WELL, None, None)


async def test_a_deleted_endpoint_takes_its_health_along(api: Api, conn: Conn) -> None:
    (row,) = conn.execute("SELECT id FROM endpoints").fetchall()
    conn.execute(ILL)
    assert (await _call(api, "DELETE", f"/webhook-endpoints/{row['id']}")).status_code == 204
    assert conn.execute("SELECT count(*) AS n FROM endpoint_health").fetchone() == {"n": 0}


async def test_enabled_again_it_can_get_what_it_missed(api: Api, db: Connection, config: Config, conn: Conn) -> None:
    """One recovery, from before the trouble on, to this endpoint; and none where nothing was missed."""
    made = (await api.post("/webhook-endpoints", {"url": URL, "retry_schedule": [0, 3600]})).json()
    path = f"/webhook-endpoints/{made['id']}"
    for body in ({"recover": True}, {"recover": True, "enabled": False}):
        error = (await _call(api, "PATCH", path, body)).json()["error"]
        assert (error["field"], error["reason"]) == ("recover", "recover_without_enabled")
    assert "recovery_id" not in (await _call(api, "PATCH", path, {"enabled": True, "recover": True})).json()

    await _call(api, "PATCH", path, {"enabled": False})
    await pay(db, config, 3)
    again = {"enabled": True, "recover": True}
    said = await asyncio.gather(*(_call(api, "PATCH", path, again) for _ in range(3)))
    assert [one.status_code for one in said] == [200] * 3
    (began,) = [one.json()["recovery_id"] for one in said if "recovery_id" in one.json()]
    recovery = (await api.get(f"/webhooks/recoveries/{began}")).json()
    assert (recovery["endpoint"], recovery["total"], recovery["recovers"]) == (made["id"], 6, ["failed", "missed"])
    since = datetime.fromisoformat(recovery["since"])
    assert timedelta(minutes=59) < datetime.fromisoformat(made["created_at"]) - since < timedelta(minutes=61)
