"""`POST /webhooks/verify`: the ledger's own knowledge, who may ask, and what the answer must not give away."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from gateway import demo
from gateway.merchants import add_key, add_merchant
from kit import ids
from tests.gateway.conftest import Api, side_by_side
from tests.support.captured import Captured, Webhook, captured, look

__all__ = ["captured"]


@pytest.fixture
async def shop(captured: Captured) -> AsyncIterator[Api]:
    """The API over the captured webhooks' database, where the rotation is over."""
    async with side_by_side(captured.config) as made:
        yield made


def _request(webhook: Webhook, **more: Any) -> dict[str, Any]:
    given = {"body": webhook.body.decode(), "headers": webhook.headers, "received_at": webhook.sent_at} | more
    return {name: value for name, value in given.items() if value is not None}


async def _ask(shop: Api, request: dict[str, Any], **headers: str) -> Any:
    said = await shop.post("/webhooks/verify", request, **headers)
    assert said.status_code == 200, said.text
    return said.json()


async def test_the_ledger_s_own_secret_and_bytes_are_asked(shop: Api, captured: Captured) -> None:
    """Without a secret what signs now is meant: of the named endpoint, of the delivery, of the default."""
    one = captured.rotated
    for more in ({}, {"secret": captured.new}, {"endpoint_id": captured.endpoint_id}):
        said = await _ask(shop, _request(one, **more))
        assert (said["valid"], said["reason"], said["checks"]["body"]) == (True, "ok", "same")
    assert (await _ask(shop, _request(captured.elsewhere)))["valid"], "the delivery's own endpoint"
    said = await _ask(shop, _request(captured.elsewhere, endpoint_id=captured.endpoint_id))
    assert said["reason"] == "secret_of_another_endpoint"


async def test_each_part_is_told_with_the_ledger_s_help(shop: Api, captured: Captured) -> None:
    one = captured.rotated
    said = await _ask(shop, _request(one, body=json.dumps(json.loads(one.body), sort_keys=True), secret=captured.new))
    assert (said["valid"], said["reason"], said["offset"]) == (False, "body_reserialised", 2)
    assert "keys in alphabetical order" in said["marks"]

    said = await _ask(shop, _request(one, secret=captured.old))
    assert (said["reason"], said["checks"]["secret"]) == ("secret_old", "previous")
    assert said["checks"]["secret_until"].startswith("20")
    said = await _ask(shop, _request(one, secret=captured.other))
    assert (said["reason"], said["checks"]["secret"]) == ("secret_of_another_endpoint", "other_endpoint")
    said = await _ask(shop, _request(captured.plain, received_at=one.sent_at + 2))
    assert said["reason"] == "signed_before_rotation"

    headers = one.headers | {"webhook-timestamp": "1000000000"}
    said = await _ask(shop, _request(one, headers=headers, secret=captured.new))
    assert said["mistakes"] == ["timestamp_altered", "timestamp_stale"], "the attempts' log has the right one"
    said = await _ask(shop, _request(one, received_at=one.sent_at + 400))
    assert (said["reason"], said["checks"]["age_seconds"]) == ("timestamp_stale", 400)
    assert (await _ask(shop, _request(one, received_at=one.sent_at + 400, tolerance_seconds=400)))["valid"]
    said = await _ask(shop, _request(one, computed=one.headers["x-webhook-signature"].upper()))
    assert (said["valid"], said["reason"]) == (True, "wrong_header")


async def test_bytes_may_come_as_base64(shop: Api, captured: Captured) -> None:
    one = captured.rotated
    for body, reason in (
        (one.body, "ok"),
        (one.body.decode().encode("utf-16"), "body_charset"),
        (b"\xff", "body_changed"),
    ):
        said = await _ask(shop, _request(one, body=None, body_base64=base64.b64encode(body).decode()))
        assert said["reason"] == reason


async def test_no_answer_holds_a_secret_or_could_sign(shop: Api, captured: Captured) -> None:
    """Forged, with and without the right secret: neither the secret nor the right signature is in the answer."""
    from kit import signing

    one = captured.rotated
    body = b'{"id":"evt_forged"}'
    right = signing.standard([captured.new], one.headers["webhook-id"], one.sent_at, body)
    for more in ({}, {"secret": captured.new}, {"secret": "whsec_guess"}, {"computed": "x"}):
        said = await shop.post("/webhooks/verify", _request(one, body=body.decode(), **more))
        assert said.status_code == 200
        assert right[3:] not in said.text
        assert signing.plain(captured.new, body) not in said.text
        assert captured.new[6:] not in said.text


async def test_what_cannot_be_asked_is_refused(shop: Api, captured: Captured) -> None:
    one = _request(captured.rotated)
    for change, status, field, reason in (
        ({"body": None}, 400, "body", "body_or_base64"),
        ({"body_base64": "e30="}, 400, "body", "body_or_base64"),
        ({"body": None, "body_base64": "%"}, 400, "body_base64", "base64_invalid"),
        ({"body": None, "body_base64": "é"}, 400, "body_base64", "base64_invalid"),
        ({"secret": ""}, 400, "secret", "field_invalid"),
        ({"headers": {f"x{n}": "" for n in range(51)}}, 400, "headers", "field_invalid"),
        ({"tolerance_seconds": 0}, 400, "tolerance_seconds", "field_invalid"),
        ({"endpoint_id": "whep_none"}, 404, "endpoint_id", None),
        ({"endpoint_id": ids.new("whep")}, 404, "endpoint_id", None),
        ({"body": "x" * 40_961}, 400, "body", "field_invalid"),
        ({"received_at": -1}, 400, "received_at", "field_invalid"),
        ({"body": "x" * 65_537}, 413, None, None),
    ):
        request = {name: value for name, value in {**one, **change}.items() if value is not None}
        said = await shop.post("/webhooks/verify", request)
        error = said.json()["error"]
        assert (said.status_code, error.get("field"), error.get("reason")) == (status, field, reason)


async def test_what_is_strange_is_answered(shop: Api, captured: Captured) -> None:
    """Times at the ends of the calendar, NULs, deep and huge JSON: a diagnosis, and in bounded time."""
    one = captured.rotated
    for change in (
        {"received_at": 0},
        {"received_at": 253_402_300_799},
        {"headers": {"webhook-id": "\0", "webhook-timestamp": "9" * 15, "webhook-signature": "v1,\ud7ff " * 900}},
        {"headers": {**one.headers, "x-webhook-id": "dlv_\0"}},
        {"body": "[" * 20_000},
        {"body": '{"id":' * 5000 + "1" * 5000},
        {"body": "9" * 40_000},
        {"secret": "\0é"},
    ):
        strange = "x-webhook-id" in change.get("headers", ()) and "webhook-signature" in change["headers"]
        assert (await _ask(shop, _request(one, **change)))["valid"] is strange


async def test_a_retry_with_the_same_key_has_the_same_answer(shop: Api, captured: Captured) -> None:
    request = _request(captured.rotated, secret="whsec_wrong")
    first = await shop.post("/webhooks/verify", request, **{"Idempotency-Key": "v1"})
    again = await shop.post("/webhooks/verify", request, **{"Idempotency-Key": "v1"})
    assert (again.text, again.headers["idempotent-replayed"]) == (first.text, "true")
    with look(captured.config) as conn:
        (stored,) = conn.execute("SELECT request_hash, body FROM idempotency_keys WHERE key = 'v1'").fetchall()
    assert "whsec_wrong" not in repr(stored)


async def test_scopes_and_merchants_stand_apart(shop: Api, captured: Captured) -> None:
    """A key that may not read is not told where a body differs; another merchant's ledger helps nobody."""
    one = captured.rotated
    request = _request(one, body=one.body.decode() + " ", secret=captured.new)
    async with await psycopg.AsyncConnection.connect(captured.config.database_url, autocommit=True) as db:
        stranger = await add_merchant(db, "Another")
        keys = {
            name: await add_key(db, merchant, scopes=[scope])
            for name, merchant, scope in (
                ("reads", demo.MERCHANT_ID, "read"),
                ("writes", demo.MERCHANT_ID, "write"),
                ("looks", demo.MERCHANT_ID, "dashboard"),
                ("stranger", stranger, "write"),
            )
        }

    async def ask(who: str, body: dict[str, Any]) -> httpx.Response:
        key, secret = keys[who]
        return await shop.post("/webhooks/verify", body, **{"X-Api-Key": key, "X-Api-Secret": secret})  # type: ignore[arg-type]

    assert (await ask("reads", request)).status_code == 403
    for who, offset in (("writes", None), ("looks", len(one.body))):
        said = (await ask(who, request)).json()
        assert (said["reason"], said["offset"]) == ("body_whitespace", offset)

    said = (await ask("stranger", request)).json()
    assert (said["checks"]["body"], said["checks"]["secret"], said["offset"]) == ("unknown", "unknown", None)
    asked = await ask("stranger", {name: value for name, value in request.items() if name != "secret"})
    assert (asked.status_code, asked.json()["error"]["reason"]) == (400, "no_endpoint")
    assert (await ask("stranger", request | {"endpoint_id": captured.endpoint_id})).status_code == 404
