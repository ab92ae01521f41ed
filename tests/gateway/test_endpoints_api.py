"""Endpoints over the API: made, changed, bounded; secrets that rotate and are shown to few; headers shown to nobody."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from gateway import demo
from gateway.config import Config
from gateway.merchants import add_key
from gateway.secrets import make_sealer
from kit import ids
from kit.db import Connection
from outbox import endpoints
from outbox.endpoints import MAX_ENDPOINTS
from tests.gateway.conftest import AUTH, Api
from tests.support.endpoints import RIGHT, URL, WRONG
from tests.support.paying import MERCHANT, pay
from tests.support.strangers import everything, stranger

Conn = psycopg.Connection[dict[str, Any]]
BASE = "/api/v1"
WELL: dict[str, object] = {
    "state": "ok", "circuit": "closed", "failures": 0, "failing_since": None, "last_failure_at": None,
    "last_error": None, "probe_at": None, "will_be_disabled_at": None, "warnings": 0,
}  # fmt: skip


async def _call(api: Api, method: str, path: str, body: object = None, **headers: str) -> Any:
    return await api.client.request(method, BASE + path, json=body, headers={**AUTH, **headers})


async def _made(api: Api, **fields: object) -> dict[str, Any]:
    said = await api.post("/webhook-endpoints", {"url": URL, **fields})
    assert said.status_code == 201, said.text
    return said.json()  # type: ignore[no-any-return]


def _is_new_secret(secret: str) -> bool:
    return secret.startswith("whsec_") and len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


async def test_an_endpoint_is_made_read_listed_changed_and_deleted(api: Api, conn: Conn) -> None:
    made = await _made(
        api,
        events=["payment.*", "order.paid", "payment.*"],
        description="The shop",
        retry_schedule=[0, 30],
        headers={"X-Token": "s3cret-value"},
    )
    secret = made.pop("webhook_secret")
    assert _is_new_secret(secret)
    assert made | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "", "url": URL, "events": ["payment.*", "order.paid"], "description": "The shop",
        "retry_schedule": [0, 30], "rate": None, "ordered": False, "header_names": ["X-Token"], "enabled": True,
        "disabled_reason": None, "disabled_at": None, "default": False, "health": WELL, "version": 1,
        "created_at": "", "updated_at": "",
    }  # fmt: skip
    path = f"/webhook-endpoints/{made['id']}"
    assert (await api.get(path)).json() == made
    listed = (await api.get("/webhook-endpoints")).json()
    assert (listed["data"][-1], listed["total"], listed["has_more"]) == (made, 2, False)
    assert (await api.get(f"{path}/secret")).json() == {"webhook_secret": secret, "previous_expires_at": None}

    said = await _call(api, "PATCH", path, {"events": ["*"], "description": None})
    changed = said.json()
    assert said.status_code == 200
    expected = made | {"events": ["*"], "description": None, "version": 2, "updated_at": ""}
    assert changed | {"updated_at": ""} == expected
    assert changed["updated_at"] > made["updated_at"]
    changed = (await _call(api, "PATCH", path, {"url": "http://other:8080/", "retry_schedule": None})).json()
    assert (changed["url"], changed["retry_schedule"], changed["header_names"]) == (
        "http://other:8080/",
        None,
        ["X-Token"],
    )
    assert (await _call(api, "PATCH", path, {"headers": None})).json()["header_names"] == []
    assert (await _call(api, "PATCH", path, {})).status_code == 200
    assert (await api.get(f"{path}/secret")).json()["webhook_secret"] == secret

    assert (await _call(api, "DELETE", path)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert (await _call(api, method, path, {} if method == "PATCH" else None)).status_code == 404
    assert conn.execute("SELECT count(*) AS n FROM endpoints").fetchone() == {"n": 1}


async def test_an_endpoint_is_told_what_it_asked_for(api: Api, db: Connection, config: Config, conn: Conn) -> None:
    """What the API makes, changes and turns off is what the fan-out reads."""
    made = await _made(api, events=["payment.created"], retry_schedule=[600, 5])
    off = await _made(api, enabled=False)
    await pay(db, config)
    owed = conn.execute(
        "SELECT event_type, endpoint_id, next_retry_at - created_at > interval '590 s' AS later FROM outbox"
        " WHERE endpoint_id = ANY(%s)",
        [[made["id"], off["id"]]],
    ).fetchall()
    assert owed == [{"event_type": "payment.created", "endpoint_id": made["id"], "later": True}]


async def test_a_schedule_of_an_endpoint_without_one_is_the_default(api: Api) -> None:
    assert (await _made(api))["retry_schedule"] is None


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_wrong_endpoints_are_refused_by_field_when_made_and_when_changed(
    api: Api, conn: Conn, method: str
) -> None:
    (default,) = conn.execute("SELECT id FROM endpoints").fetchall()
    path = "/webhook-endpoints" if method == "POST" else f"/webhook-endpoints/{default['id']}"
    before = everything(conn)
    for change, field, reason in WRONG:
        said = await _call(api, method, path, {"url": URL, **change}, **{"Idempotency-Key": "k"})
        error = said.json()["error"]
        assert (said.status_code, error.get("field"), error["reason"]) == (400, field, reason), change
    assert everything(conn) == before


async def test_right_urls_are_taken(api: Api) -> None:
    """Which of them may be reached is asked when they are connected to."""
    for url in RIGHT:
        assert (await _made(api, url=url))["url"] == url


async def test_headers_are_sealed_and_never_shown(api: Api, config: Config, conn: Conn) -> None:
    made = await _made(api, headers={"Authorization": "Bearer t0p", "X-B": "a b"})
    answers = [(await api.get(path)).text for path in ("/webhook-endpoints", f"/webhook-endpoints/{made['id']}")]
    assert not [text for text in answers if "t0p" in text]
    (row,) = conn.execute("SELECT * FROM endpoints WHERE id = %s", [made["id"]]).fetchall()
    assert b"t0p" not in row["sealed_headers"]
    opened = endpoints.unseal_headers(make_sealer(config), MERCHANT.merchant_id, row["sealed_headers"])
    assert opened == {"Authorization": "Bearer t0p", "X-B": "a b"}


async def test_a_retried_creation_makes_one_and_shows_its_secret_again_from_under_seal(api: Api, conn: Conn) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"url": URL, "headers": {"X-Token": "t0p"}}
    said = await asyncio.gather(*(api.post("/webhook-endpoints", body, **key) for _ in range(10)))

    assert {(one.status_code, one.text) for one in said} == {(201, said[0].text)}
    assert conn.execute("SELECT count(*) AS n FROM endpoints").fetchone() == {"n": 2}
    (stored,) = conn.execute("SELECT body, sealed_body, request_hash FROM idempotency_keys").fetchall()
    assert stored["body"] == ""
    assert said[0].json()["webhook_secret"].encode() not in stored["sealed_body"]
    other = await api.post("/webhook-endpoints", {**body, "headers": {"X-Token": "other"}}, **key)
    assert other.status_code == 422


async def test_a_merchant_has_fifty_endpoints_whoever_races(api: Api, config: Config, conn: Conn) -> None:
    """Also when the last free place is contended by the default endpoint."""
    conn.execute("DELETE FROM endpoints")
    for _ in range(MAX_ENDPOINTS - 10):
        await _made(api)

    said = await asyncio.gather(
        *(api.post("/webhook-endpoints", {"url": URL}) for _ in range(15)),
        *(_call(api, "PUT", "/webhooks/config", {"webhook_url": URL}) for _ in range(5)),
    )

    refused = [one.json()["error"]["reason"] for one in said if one.status_code == 400]
    assert set(refused) == {"too_many_endpoints"}
    assert {one.status_code for one in said} == {200, 201, 400} or {one.status_code for one in said} == {201, 400}
    assert conn.execute("SELECT count(*) AS n FROM endpoints").fetchone() == {"n": MAX_ENDPOINTS}
    listed = (await api.get("/webhook-endpoints")).json()
    assert (len(listed["data"]), listed["total"], listed["has_more"]) == (MAX_ENDPOINTS, MAX_ENDPOINTS, False)
    assert (await _call(api, "DELETE", f"/webhook-endpoints/{listed['data'][7]['id']}")).status_code == 204
    await _made(api)


async def test_the_config_is_the_default_endpoint(api: Api, conn: Conn) -> None:
    conn.execute("DELETE FROM endpoints")
    assert (await api.get("/webhooks/config")).json() == {
        "webhook_url": None, "enabled": False, "events": ["*"], "disabled_reason": None, "disabled_at": None,
        "health": None, "endpoint_id": None, "updated_at": None,
    }  # fmt: skip
    for method, path in (("GET", "/webhooks/secret"), ("POST", "/webhooks/secret/regenerate")):
        said = await _call(api, method, path)
        assert (said.status_code, said.json()["error"]["reason"]) == (404, "no_endpoint")

    said = await _call(api, "PUT", "/webhooks/config", {"webhook_url": URL})
    saved = said.json()
    assert said.status_code == 200
    assert (saved["webhook_url"], saved["enabled"], saved["events"]) == (URL, True, ["*"])
    assert (await api.get("/webhooks/config")).json() == saved
    secret = (await api.get("/webhooks/secret")).json()["webhook_secret"]
    assert _is_new_secret(secret)

    again = (await _call(
        api, "PUT", "/webhooks/config", {"webhook_url": "http://b/", "enabled": False, "events": ["refund.*"]}
    )).json()  # fmt: skip
    assert (again["webhook_url"], again["enabled"], again["events"]) == ("http://b/", False, ["refund.*"])
    assert again["endpoint_id"] == saved["endpoint_id"]
    assert (await api.get("/webhooks/secret")).json()["webhook_secret"] == secret, "a secret that is there stays"
    assert (await api.get(f"/webhook-endpoints/{saved['endpoint_id']}")).json()["default"] is True
    assert (await _call(api, "DELETE", f"/webhook-endpoints/{saved['endpoint_id']}")).status_code == 204
    assert (await api.get("/webhooks/config")).json()["webhook_url"] is None


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"webhook_url": "nonsense"}, "webhook_url", "url_invalid"),
        ({"webhook_url": None}, "webhook_url", "field_invalid"),
        ({}, "webhook_url", "field_missing"),
        ({"webhook_url": URL, "events": ["a.b"]}, "events[0]", "event_type_unknown"),
        ({"webhook_url": URL, "disabled_reason": None}, "disabled_reason", "field_unknown"),
    ],
)
async def test_a_wrong_config_is_refused_by_field(api: Api, body: object, field: str, reason: str) -> None:
    before = (await api.get("/webhooks/config")).json()
    said = await _call(api, "PUT", "/webhooks/config", body)
    error = said.json()["error"]
    assert (said.status_code, error["field"], error["reason"]) == (400, field, reason)
    assert (await api.get("/webhooks/config")).json() == before


@pytest.mark.parametrize("way", ["config", "endpoint"])
async def test_an_endpoint_enabled_again_has_no_reason_to_be_off(api: Api, conn: Conn, way: str) -> None:
    """One that Ledgate turned off keeps its reason until then, also when its owner turns it off once more."""
    conn.execute("UPDATE endpoints SET enabled = false, disabled_reason = 'the receiver answered 410 Gone'")
    config = (await api.get("/webhooks/config")).json()
    assert config["disabled_reason"] == "the receiver answered 410 Gone"

    async def turn(how: str) -> Any:
        enabled = {"enabled": how == "on"}
        if way == "endpoint":
            return await _call(api, "PATCH", f"/webhook-endpoints/{config['endpoint_id']}", enabled)
        return await _call(api, "PUT", "/webhooks/config", {"webhook_url": URL, **enabled})

    assert (await turn("off")).json()["disabled_reason"] == "the receiver answered 410 Gone"
    assert (await turn("on")).json()["disabled_reason"] is None
    assert (await turn("off")).json()["disabled_reason"] is None
    assert (await api.get("/webhooks/config")).json()["enabled"] is False


@pytest.mark.parametrize("which", ["default", "named"])
async def test_a_regenerated_secret_leaves_the_old_one_its_time(api: Api, conn: Conn, which: str) -> None:
    (row,) = conn.execute("SELECT id FROM endpoints").fetchall()
    path = "/webhooks/secret" if which == "default" else f"/webhook-endpoints/{row['id']}/secret"
    key = {"Idempotency-Key": "k"}

    said = await api.post(f"{path}/regenerate", None, **key)
    again = await api.post(f"{path}/regenerate", None, **key)

    first = said.json()
    assert (said.status_code, again.text) == (200, said.text)
    assert _is_new_secret(first["webhook_secret"])
    left = datetime.fromisoformat(first["previous_expires_at"]) - datetime.now().astimezone()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    assert (await api.get(path)).json() == first
    stored = conn.execute("SELECT body, sealed_body FROM idempotency_keys").fetchall()
    assert [(one["body"], first["webhook_secret"].encode() in one["sealed_body"]) for one in stored] == [("", False)]

    second = (await api.post(f"{path}/regenerate", {"overlap_seconds": 0})).json()
    assert second["previous_expires_at"] is None
    assert second["webhook_secret"] != first["webhook_secret"]
    assert (await api.get(path)).json() == second


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", 1.5, None])
async def test_a_wrong_overlap_changes_no_secret(api: Api, overlap: object) -> None:
    said = await api.post("/webhooks/secret/regenerate", {"overlap_seconds": overlap})
    assert (said.status_code, said.json()["error"]["field"]) == (400, "overlap_seconds")
    assert (await api.get("/webhooks/secret")).json()["webhook_secret"] == demo.WEBHOOK_SECRET


async def test_secrets_are_for_keys_that_may_write_or_show_the_dashboard(api: Api, config: Config, conn: Conn) -> None:
    (row,) = conn.execute("SELECT id FROM endpoints").fetchall()
    one = f"/webhook-endpoints/{row['id']}"
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as connection:
        for scope, status in (("read", 403), ("write", 200), ("dashboard", 200)):
            key, secret = await add_key(connection, demo.MERCHANT_ID, scopes=(scope,))  # type: ignore[arg-type]
            headers = {"X-Api-Key": key, "X-Api-Secret": secret}
            for path in ("/webhooks/secret", f"{one}/secret"):
                assert (await api.client.get(BASE + path, headers=headers)).status_code == status
            if scope != "write":
                for method, path in (
                    ("POST", "/webhook-endpoints"), ("PATCH", one), ("DELETE", one), ("PUT", "/webhooks/config"),
                    ("POST", "/webhooks/secret/regenerate"), ("POST", f"{one}/secret/regenerate"),
                    ("POST", "/webhooks/test"), ("POST", f"/webhooks/{ids.new('dlv')}/retry"),
                ):  # fmt: skip
                    body = None if method == "DELETE" else {"url": URL} if "endpoints" in path else {}
                    if path == "/webhooks/config":
                        body = {"webhook_url": URL}
                    if path.endswith("regenerate"):
                        body = {}
                    said = await _call(api, method, path, body, **headers)
                    assert (said.status_code, path) == (403, path)


async def test_another_merchant_s_endpoints_are_not_there(api: Api, config: Config, conn: Conn) -> None:
    """404 for everything, and nothing of it leaves a trace, not even the idempotency key."""
    made = await _made(api)
    other = await stranger(config)
    before = everything(conn)
    (default,) = conn.execute("SELECT id FROM endpoints WHERE is_default").fetchall()

    for endpoint_id in (made["id"], default["id"], ids.new("whep"), "whep_x", "nonsense"):
        path = f"/webhook-endpoints/{endpoint_id}"
        for method, sub, body in (
            ("GET", "", None),
            ("PATCH", "", {"url": "http://evil/"}),
            ("DELETE", "", None),
            ("GET", "/secret", None),
            ("POST", "/secret/regenerate", {}),
        ):
            said = await _call(api, method, path + sub, body, **other, **{"Idempotency-Key": "k"})
            assert (said.status_code, said.json()["error"]["code"]) == (404, "NOT_FOUND"), method + sub
    for method, path in (("GET", "/webhooks/secret"), ("POST", "/webhooks/secret/regenerate")):
        assert (await _call(api, method, path, **other)).status_code == 404
    assert (await _call(api, "GET", "/webhooks/config", **other)).json()["webhook_url"] is None
    assert (await _call(api, "GET", "/webhook-endpoints", **other)).json()["data"] == []
    assert everything(conn) == before

    theirs = (await _call(api, "PUT", "/webhooks/config", {"webhook_url": "http://theirs/"}, **other)).json()
    assert theirs["endpoint_id"] != default["id"]
    assert (await api.get("/webhooks/config")).json()["endpoint_id"] == default["id"]


async def test_a_rate_and_an_order_are_set_shown_and_taken_away(api: Api, conn: Conn) -> None:
    made = await _made(api, rate=20, ordered=True)
    path = f"/webhook-endpoints/{made['id']}"
    assert (made["rate"], made["ordered"]) == (20, True)
    changed = (await _call(api, "PATCH", path, {"rate": 1000})).json()
    assert (changed["rate"], changed["ordered"]) == (1000, True)
    changed = (await _call(api, "PATCH", path, {"rate": None, "ordered": False})).json()
    assert (changed["rate"], changed["ordered"]) == (None, False)
    assert (await api.get(path)).json() == changed


async def test_what_happens_to_an_order_concerns_events_from_then_on(
    api: Api, db: Connection, config: Config, conn: Conn
) -> None:
    made = await _made(api, events=["payment.created"])
    await pay(db, config)
    await _call(api, "PATCH", f"/webhook-endpoints/{made['id']}", {"ordered": True})
    await pay(db, config)
    owed = conn.execute("SELECT kind FROM outbox WHERE endpoint_id = %s ORDER BY id", [made["id"]]).fetchall()
    assert [one["kind"] for one in owed] == ["webhook.deliver", "webhook.ordered"]
