"""API keys over the API: no key grants more than it may do, a revoked one stops at once, secrets are shown once."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from gateway import demo, keys
from gateway.config import Config
from gateway.merchants import Credentials, Merchant, add_key, bucket_of, hash_secret
from gateway.secrets import make_sealer
from kit.db import Database
from tests.gateway.conftest import AUTH, Api
from tests.support.strangers import everything, stranger

Conn = psycopg.Connection[dict[str, Any]]


def _headers(made: dict[str, Any]) -> dict[str, str]:
    return {"X-Api-Key": made["id"], "X-Api-Secret": made["secret"]}


async def _made(api: Api, scopes: list[str], **more: object) -> dict[str, Any]:
    said = await api.post("/api-keys", {"scopes": scopes, **more})
    assert said.status_code == 201, said.text
    return said.json()  # type: ignore[no-any-return]


async def test_a_key_is_made_works_and_is_listed_without_its_secret(api: Api, conn: Conn) -> None:
    made = await _made(api, ["read"], name="Reports")

    assert set(made) == {"id", "secret", "name", "scopes", "created_at"}
    assert (made["name"], made["scopes"]) == ("Reports", ["read"])
    assert len(made["secret"]) == 43
    assert (await api.client.get("/api/v1/orders", headers=_headers(made))).status_code == 200
    assert (await api.client.post("/api/v1/orders", json={}, headers=_headers(made))).status_code in {400, 403}
    listed = (await api.get("/api-keys")).json()
    assert listed["has_more"] is False
    assert [one["id"] for one in listed["data"]] == [made["id"], demo.KEY_ID]
    assert listed["data"][0] == {key: made[key] for key in ("id", "name", "scopes", "created_at")} | {
        "revoked_at": None
    }
    (row,) = conn.execute("SELECT * FROM api_keys WHERE id = %s", [made["id"]]).fetchall()
    assert row["secret_hash"] == hash_secret(made["secret"])
    assert made["secret"] not in str(row)


async def test_a_revoked_key_stops_at_once_in_this_process(api: Api) -> None:
    """Though it was believed a moment ago; revoking it again tells the first time."""
    made = await _made(api, ["read", "write"])
    assert (await api.client.get("/api/v1/orders", headers=_headers(made))).status_code == 200

    said = await api.post(f"/api-keys/{made['id']}/revoke", None)

    assert said.status_code == 200
    assert set(said.json()) == {"id", "name", "scopes", "created_at", "revoked_at"}
    assert said.json()["revoked_at"] is not None
    assert (await api.client.get("/api/v1/orders", headers=_headers(made))).status_code == 401
    assert (await api.post(f"/api-keys/{made['id']}/revoke", None)).json() == said.json()
    assert [one["id"] for one in (await api.get("/api-keys")).json()["data"]] == [demo.KEY_ID, made["id"]]


async def test_a_key_may_end_itself(api: Api) -> None:
    made = await _made(api, ["write"])
    path = f"/api/v1/api-keys/{made['id']}/revoke"
    assert (await api.client.post(path, headers=_headers(made))).status_code == 200
    assert (await api.client.post(path, headers=_headers(made))).status_code == 401


async def test_an_answer_from_before_a_revocation_is_not_believed_after_it(
    config: Config, demo_merchant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database said yes, the key was revoked, and only then the yes arrives: it must not be kept for 3 s."""
    async with Database(config.database_url, name="test", size=2, statement_timeout=5, wait=5) as database:
        credentials = Credentials(database, ttl=60)
        connection = database.connection

        def slow(*args: Any, **options: Any) -> Any:
            credentials.forget(demo.KEY_ID)  # while the question is under way
            return connection(*args, **options)

        monkeypatch.setattr(database, "connection", slow)
        await credentials.check(demo.KEY_ID, demo.SECRET)
        assert demo.KEY_ID not in credentials._known
        monkeypatch.undo()
        await credentials.check(demo.KEY_ID, demo.SECRET)
        assert demo.KEY_ID in credentials._known


@pytest.mark.parametrize("scopes", [["read"], ["dashboard", "write"], ["read", "write", "dashboard"]])
async def test_no_key_grants_a_scope_that_it_lacks(api: Api, config: Config, conn: Conn, scopes: list[str]) -> None:
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as connection:
        key, secret = await add_key(connection, demo.MERCHANT_ID, scopes=("write",))
    before = everything(conn)
    headers = {"X-Api-Key": key, "X-Api-Secret": secret, "Idempotency-Key": "k"}

    said = await api.client.post("/api/v1/api-keys", json={"scopes": scopes}, headers=headers)

    assert (said.status_code, said.json()["error"]["reason"]) == (403, "scope_not_held")
    assert everything(conn) == before
    said = await api.client.post("/api/v1/api-keys", json={"scopes": ["write"]}, headers=headers)
    assert said.status_code == 201


async def test_calls_need_their_scope(api: Api) -> None:
    reader, writer, third = [await _made(api, [scope]) for scope in ("read", "write", "read")]
    for method, path, allowed in (
        ("GET", "/api-keys", reader),
        ("POST", "/api-keys", writer),
        ("POST", f"/api-keys/{third['id']}/revoke", writer),
    ):
        for made in (writer, reader):
            body = {"scopes": ["write"]} if path == "/api-keys" and method == "POST" else None
            said = await api.client.request(method, f"/api/v1{path}", json=body, headers=_headers(made))
            assert (said.status_code == 403) is (made is not allowed), (method, path)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "scopes", "field_missing"),
        ({"scopes": []}, "scopes", "field_invalid"),
        ({"scopes": ["admin"]}, "scopes[0]", "field_invalid"),
        ({"scopes": ["read", "read"]}, "scopes", "scope_repeated"),
        ({"scopes": ["read"], "name": ""}, "name", "field_invalid"),
        ({"scopes": ["read"], "name": "x" * 101}, "name", "field_invalid"),
        ({"scopes": ["read"], "name": "a\0"}, "name", "nul_character"),
        ({"scopes": ["read"], "secret": "mine"}, "secret", "field_unknown"),
    ],
)
async def test_wrong_keys_are_refused_by_field(
    api: Api, conn: Conn, body: dict[str, object], field: str, reason: str
) -> None:
    said = await api.post("/api-keys", body)
    error = said.json()["error"]
    assert (said.status_code, error["field"], error["reason"]) == (400, field, reason)
    assert conn.execute("SELECT count(*) AS n FROM api_keys").fetchone() == {"n": 1}


async def test_a_retried_creation_makes_one_key_and_keeps_its_secret_under_seal(
    api: Api, config: Config, conn: Conn
) -> None:
    body = {"scopes": ["read"]}
    said = await asyncio.gather(*(api.post("/api-keys", body, **{"Idempotency-Key": "k"}) for _ in range(10)))

    assert {(one.status_code, one.text) for one in said} == {(201, said[0].text)}
    assert conn.execute("SELECT count(*) AS n FROM api_keys").fetchone() == {"n": 2}
    (stored,) = conn.execute("SELECT body, sealed_body FROM idempotency_keys").fetchall()
    assert stored["body"] == ""
    assert said[0].json()["secret"].encode() not in stored["sealed_body"]
    opened = make_sealer(config).unseal(stored["sealed_body"], context=f"idempotency:{demo.MERCHANT_ID}:k")
    assert opened.decode() == said[0].text


async def test_fifty_keys_are_active_at_most_whoever_races(api: Api, conn: Conn) -> None:
    conn.execute(
        "INSERT INTO api_keys (id, merchant_id, secret_hash, scopes, created_at)"
        " SELECT 'key_' || n, merchant_id, secret_hash, scopes, created_at FROM api_keys, generate_series(1, %s) n",
        [keys.MAX_ACTIVE - 6],
    )
    said = await asyncio.gather(*(api.post("/api-keys", {"scopes": ["read"]}) for _ in range(15)))

    assert sorted(one.status_code for one in said) == [201] * 5 + [400] * 10
    assert {one.json()["error"]["reason"] for one in said if one.status_code == 400} == {"too_many_keys"}
    assert (await api.post("/api-keys/key_1/revoke", None)).status_code == 200
    await _made(api, ["read"])


async def test_a_revoked_key_that_a_process_still_believes_makes_no_successor(
    api: Api, config: Config, conn: Conn
) -> None:
    """Revoked elsewhere: this process has not heard of it yet."""
    made = await _made(api, ["write"])
    assert (await api.client.get("/api/v1/api-keys", headers=_headers(made))).status_code == 403
    conn.execute("UPDATE api_keys SET revoked_at = now() WHERE id = %s", [made["id"]])
    said = await api.client.post("/api/v1/api-keys", json={"scopes": ["write"]}, headers=_headers(made))
    assert said.status_code == 401
    assert conn.execute("SELECT count(*) AS n FROM api_keys").fetchone() == {"n": 2}

    caller = Merchant(
        demo.MERCHANT_ID, bucket_of(demo.MERCHANT_ID), "Demo", made["id"], frozenset({"read", "write", "dashboard"})
    )
    async with await psycopg.AsyncConnection.connect(config.database_url) as connection:
        with pytest.raises(keys.UnauthorizedError):
            await keys.create(connection, caller, keys.CreateKey(["write"]))


async def test_another_merchant_s_keys_are_not_there(api: Api, config: Config, conn: Conn) -> None:
    other = await stranger(config)
    before = everything(conn)
    for key_id in (demo.KEY_ID, "key_none", "x" * 65, "a-b"):
        path = f"/api/v1/api-keys/{key_id}/revoke"
        said = await api.client.post(path, headers={**other, "Idempotency-Key": "k"})
        assert (said.status_code, said.json()["error"]["code"]) == (404, "NOT_FOUND")
    listed = (await api.client.get("/api/v1/api-keys", headers=other)).json()["data"]
    assert [one["id"] for one in listed] == [other["X-Api-Key"]]
    assert everything(conn) == before
    assert (await api.client.get("/api/v1/orders", headers=AUTH)).status_code == 200


async def test_it_is_known_who_made_a_key_and_when_it_was_used_last(api: Api, config: Config, conn: Conn) -> None:
    """Told twice a minute by each process, of secrets that were right and of keys that open the checkout."""
    made, public, idle = [await _made(api, ["read"]) for _ in range(3)]
    by = {row["id"]: row["created_by"] for row in conn.execute("SELECT id, created_by FROM api_keys")}
    assert by[made["id"]] == f"API key {demo.KEY_ID}"
    async with Database(
        config.database_url, name="test", size=2, statement_timeout=5, wait=5, role="ledgate_api"
    ) as database:
        credentials = Credentials(database, ttl=60)
        for _ in range(2):
            await credentials.check(made["id"], made["secret"])
        await credentials.publish(public["id"])
        with pytest.raises(keys.UnauthorizedError):
            await credentials.check(idle["id"], "wrong")
        assert await credentials.publish("key_none") is None
        await credentials.tell()

    used = {row["id"] for row in conn.execute("SELECT id FROM api_keys WHERE last_used_at IS NOT NULL")}
    assert used == {made["id"], public["id"]}
    row = conn.execute("SELECT has_column_privilege('ledgate_api', 'api_keys', 'last_used_at', 'UPDATE') AS may")
    assert row.fetchone() == {"may": False}, "the API tells of keys, and writes no times of its own"
