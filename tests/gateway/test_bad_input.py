"""Whatever is sent, the answer is a 4xx in the one error shape, and nothing is written."""

from __future__ import annotations

import base64
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Config
from gateway.merchants import add_key, revoke_key
from tests.gateway.conftest import AUTH, UPI, Api
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"order_id": "a", "order_id"', 400),
        (b"\xff\xfe{}", 400),
        (b'{"order_id": "\xff"}', 400),
        (b'{"order_id": "\\ud800", "method": "upi", "vpa": "a1@psp"}', 400),
        (b'{"order_id": "a\\u0000b", "method": "upi", "vpa": "a1@psp"}', 400),
        (b'{"order_id": "../x", "method": "upi", "vpa": "a1@psp"}', 400),
        (b'{"order_id": "' + b"x" * 65 + b'", "method": "upi", "vpa": "a1@psp"}', 400),
        (b'{"notes": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", 400),
        (b"[" * 60_000, 400),
        (b'{"order_id": "x", "method": "upi", "vpa": "a1@psp", "amount": 1e400, "currency": "INR"}', 400),
        (
            b'{"order_id": "x", "method": "upi", "vpa": "a1@psp", "amount": 99999999999999999999, "currency": "INR"}',
            400,
        ),
        (b'{"order_id": "x", "method": "upi", "vpa": "a1@psp", "amount": NaN, "currency": "INR"}', 400),
        (b" " * 1_048_576, 413),
        (b'{"order_id": "' + b"x" * 1_048_576 + b'"}', 413),
    ],
)
async def test_malformed_bodies(api: Api, conn: Conn, body: bytes, status: int) -> None:
    said = await api.client.post("/api/v1/payments", content=body, headers={**AUTH, **JSON})
    _refused(said.status_code, said.json(), status)
    assert _payments(conn) == 0


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", ""],
)
async def test_other_media_types_are_415(api: Api, kind: str) -> None:
    said = await api.client.post("/api/v1/payments", content=b'{"a": 1}', headers={**AUTH, "Content-Type": kind})
    _refused(said.status_code, said.json(), 415)
    assert said.json()["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_json_with_a_charset_is_json(api: Api) -> None:
    headers = {**AUTH, "Content-Type": "application/json; charset=utf-8"}
    said = await api.client.post(
        "/api/v1/payments", content=b'{"order_id":"order_123","method":"upi","vpa":"ab@psp"}', headers=headers
    )
    assert said.status_code == 201


async def test_other_methods_and_paths(api: Api) -> None:
    said = await api.client.delete("/api/v1/payments", headers=AUTH)
    _refused(said.status_code, said.json(), 405)
    said = await api.client.get("/nowhere")
    _refused(said.status_code, said.json(), 404)


# The pool draws random numbers while hypothesis draws the body.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(
        st.sampled_from(["order_id", "method", "amount", "currency", "vpa", "flow", "card", "notes", "x"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
            st.text(max_size=40),
            st.sampled_from(["upi", "card", "order_123", "INR", "a1@psp", "qr"]),
            st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), st.lists(st.integers(), max_size=2),
        ),
    )
)  # fmt: skip
async def test_any_json_object_is_a_201_or_a_clear_refusal(api: Api, body: dict[str, object]) -> None:
    try:
        said = await api.post("/payments", body)
    except UnicodeEncodeError:  # the client itself cannot send a lone surrogate
        return
    if said.status_code != 201:
        assert said.status_code in {400, 404}
        _refused(said.status_code, said.json(), said.status_code)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Api-Key": "key_test_abc123"},
        {"X-Api-Secret": "secret_test_xyz789"},
        {"X-Api-Key": "key_test_abc123", "X-Api-Secret": "wrong"},
        {"X-Api-Key": "nobody", "X-Api-Secret": "secret_test_xyz789"},
        {"X-Api-Key": "x" * 300, "X-Api-Secret": "y"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"key_test_abc123").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"key_test_abc123:wrong").decode()},
        {"Authorization": "Bearer secret_test_xyz789"},
    ],
)
async def test_without_right_credentials_nothing_is_told(api: Api, headers: dict[str, str]) -> None:
    for said in (
        await api.client.get("/api/v1/payments", headers=headers),
        await api.client.post("/api/v1/payments", json=UPI, headers=headers),
    ):
        _refused(said.status_code, said.json(), 401)
        assert said.headers["www-authenticate"].startswith("Basic")


async def test_basic_credentials_work(api: Api) -> None:
    basic = base64.b64encode(f"{AUTH['X-Api-Key']}:{AUTH['X-Api-Secret']}".encode()).decode()
    assert (await api.client.get("/api/v1/orders", headers={"Authorization": f"Basic {basic}"})).status_code == 200


async def test_a_revoked_key_stops_within_five_seconds(api: Api, config: Config, demo_merchant: str) -> None:
    """Though the process believed it a moment ago."""
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        key, secret = await add_key(conn, demo_merchant)
        headers = {"X-Api-Key": key, "X-Api-Secret": secret}
        assert (await api.client.get("/api/v1/orders", headers=headers)).status_code == 200
        assert await revoke_key(conn, demo_merchant, key)

    async def stopped() -> bool:
        return (await api.client.get("/api/v1/orders", headers=headers)).status_code == 401

    await eventually(stopped, within=5.0, what="the key stops working")


async def test_a_key_needs_its_scope(api: Api, config: Config, demo_merchant: str) -> None:
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        key, secret = await add_key(conn, demo_merchant, scopes=("read",))
    headers = {"X-Api-Key": key, "X-Api-Secret": secret}
    assert (await api.client.get("/api/v1/orders", headers=headers)).status_code == 200
    said = await api.client.post("/api/v1/payments", json=UPI, headers=headers)
    _refused(said.status_code, said.json(), 403)


async def test_another_merchant_sees_nothing(api: Api, config: Config) -> None:
    """Its ids are unknown, its lists are empty; an order id of its own may be the same."""
    from gateway.merchants import add_merchant

    theirs = (await api.post("/payments", {**UPI, "order_id": "same", "amount": 10, "currency": "INR"})).json()
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        other = await add_merchant(conn, "Other")
        key, secret = await add_key(conn, other)
    headers = {"X-Api-Key": key, "X-Api-Secret": secret}

    for path in (f"/payments/{theirs['id']}", "/orders/same", "/orders/order_123"):
        assert (await api.client.get(f"/api/v1{path}", headers=headers)).status_code == 404
    for path in ("/payments", "/orders"):
        assert (await api.client.get(f"/api/v1{path}", headers=headers)).json()["data"] == []
    mine = await api.client.post(
        "/api/v1/payments", json={**UPI, "order_id": "same", "amount": 99, "currency": "INR"}, headers=headers
    )
    assert (mine.status_code, mine.json()["amount"]) == (201, 99)


def _refused(status: int, body: dict[str, Any], expected: int) -> None:
    assert status == expected
    assert set(body) == {"error"}
    assert set(body["error"]) <= {"code", "description", "field", "reason", "request_id"}
    assert body["error"]["code"]
    assert body["error"]["description"]
    assert body["error"]["request_id"].startswith("req_")


def _payments(conn: Conn) -> int:
    row = conn.execute("SELECT count(*) AS n FROM payments").fetchone()
    return int(row["n"]) if row else -1
