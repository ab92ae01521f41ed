"""Captures over the API: once, all or part, and never against what was refunded."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from gateway.config import Config
from gateway.merchants import add_key, add_merchant
from kit.db import Connection
from schema.invariants import broken
from tests.gateway.conftest import AUTH, CARD, UPI, Api
from tests.gateway.test_refunds_api import AMOUNT, NOBODY, paid, refund
from tests.kit.test_json import SAME
from tests.support.tools import run_node
from tests.support.waiting import eventually
from tests.support.working import work_off

Conn = psycopg.Connection[dict[str, Any]]


async def capture(api: Api, payment: str, body: object = None, key: str | None = None) -> httpx.Response:
    """Capture a payment."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"/payments/{payment}/capture", body or {}, **headers)


@pytest.mark.parametrize(("body", "amount"), [({}, AMOUNT), ({"amount": 1}, 1), ({"amount": AMOUNT}, AMOUNT)])
async def test_a_capture_commits_with_its_event_and_delivery(
    api: Api, config: Config, conn: Conn, body: dict[str, int], amount: int
) -> None:
    """All or part: the payment shows it, one event tells it with a delivery to the one endpoint, in one commit."""
    payment = await paid(api, config)
    before = (await api.get(f"/payments/{payment}")).json()
    conn.execute("DELETE FROM outbox")

    said = await capture(api, payment, body, "k")
    shown = said.json()

    assert said.status_code == 200
    changed = {"captured": True, "amount_captured": amount, "version": 3, "updated_at": shown["updated_at"]}
    assert shown == before | changed
    assert shown["updated_at"] > before["updated_at"]
    assert (await api.get(f"/payments/{payment}")).text == said.text
    event = conn.execute("SELECT * FROM events WHERE type = 'payment.captured'").fetchone()
    assert event is not None
    assert (event["subject_id"], event["deliveries"]) == (payment, 1)
    assert event["body"].endswith(f'"data":{{"payment":{said.text}}}}}'), "the event shows the payment as the API does"
    assert [row["event_id"] for row in conn.execute("SELECT event_id FROM outbox")] == [event["id"]]
    written = conn.execute(
        "SELECT xmin::text FROM payments UNION SELECT xmin::text FROM outbox UNION SELECT xmin::text"
        " FROM idempotency_keys UNION SELECT xmin::text FROM events WHERE type = 'payment.captured'"
    ).fetchall()
    assert len(written) == 1, "all of it bears one transaction's id"


async def test_an_empty_body_captures_all(api: Api, config: Config) -> None:
    payment = await paid(api, config)
    said = await api.client.post(f"/api/v1/payments/{payment}/capture", headers=AUTH)
    assert (said.status_code, said.json()["amount_captured"]) == (200, AMOUNT)


async def test_a_second_capture_is_refused(api: Api, config: Config, conn: Conn) -> None:
    """Of the rest too: what was not captured is not taken later."""
    payment = await paid(api, config)
    await capture(api, payment, {"amount": 20_000})

    said = [await capture(api, payment, body) for body in ({}, {"amount": 20_000}, {"amount": 30_000})]

    assert [(one.status_code, one.json()["error"]["reason"]) for one in said] == [(400, "already_captured")] * 3
    assert broken(conn) == {}


async def test_only_a_successful_payment_can_be_captured(api: Api, config: Config, conn: Conn) -> None:
    pending = (await api.post("/payments", UPI)).json()["id"]
    said = [await capture(api, pending), await capture(api, pending, {"amount": 1}, "k")]
    failed = await paid(api, config, vpa="failure@psp")
    said.append(await capture(api, failed))

    assert [(one.status_code, one.json()["error"]["reason"]) for one in said] == [(400, "payment_not_successful")] * 3
    assert "pending" in said[0].json()["error"]["description"]
    assert (await capture(api, pending, {"amount": 1}, "k")).status_code == 200, "the key was not used"
    assert broken(conn) == {}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"amount": 0}, "amount", "field_invalid"),
        ({"amount": "5"}, "amount", "field_invalid"),
        ({"amount": AMOUNT + 1}, "amount", "amount_too_large"),
        ({"amount": 2**53 - 1}, "amount", "amount_too_large"),
        ({"currency": "INR"}, "currency", "field_unknown"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_written(
    api: Api, config: Config, conn: Conn, body: object, field: str, reason: str
) -> None:
    payment = await paid(api, config)

    said = await capture(api, payment, body, "k")

    error = said.json()["error"]
    assert (said.status_code, error["code"]) == (400, "BAD_REQUEST_ERROR")
    assert (error["field"], error["reason"]) == (field, reason)
    assert conn.execute("SELECT key FROM idempotency_keys").fetchall() == []
    assert conn.execute("SELECT amount_captured FROM payments").fetchall() == [{"amount_captured": 0}]
    assert broken(conn) == {}


async def test_nobody_s_and_another_s_are_not_found(api: Api, config: Config, db: Connection, conn: Conn) -> None:
    payment = await paid(api, config)
    key, secret = await add_key(db, await add_merchant(db, "Other"))
    other = {"X-Api-Key": key, "X-Api-Secret": secret}

    said = [await capture(api, one, None, "k") for one in (NOBODY, "pay_x", "x", "%00")]
    said.append(await api.client.post(f"/api/v1/payments/{payment}/capture", json={}, headers=other))

    assert {(one.status_code, one.json()["error"]["code"]) for one in said} == {(404, "NOT_FOUND")}
    assert conn.execute("SELECT amount_captured FROM payments").fetchall() == [{"amount_captured": 0}]


async def test_what_was_refunded_bounds_the_capture(api: Api, config: Config, conn: Conn) -> None:
    """Not less than was refunded, nothing of a payment that went back in full, all of one whose refund failed."""
    payment = await paid(api, config)
    await refund(api, payment, {"amount": 20_000})
    said = [await capture(api, payment, {"amount": amount}) for amount in (19_999, 20_000)]
    assert [one.status_code for one in said] == [400, 200]
    assert said[0].json()["error"]["reason"] == "amount_below_refunded"
    assert (said[1].json()["amount_captured"], said[1].json()["amount_refunded"]) == (20_000, 20_000)
    assert (await refund(api, payment)).json()["error"]["reason"] == "fully_refunded"

    other = await paid(api, config, vpa="refund-failure@psp")
    await refund(api, other)
    said = [await capture(api, other), await capture(api, other, {"amount": AMOUNT})]
    assert [(one.status_code, one.json()["error"]["reason"]) for one in said] == [(400, "fully_refunded")] * 2
    await work_off(config, "refund.process")
    assert (await capture(api, other)).json()["amount_refunded"] == 0
    assert broken(conn) == {}


async def test_fifty_at_once_are_one_capture(api: Api, config: Config, conn: Conn) -> None:
    """Without keys: one 200, forty-nine 400s, one event."""
    payment = await paid(api, config)

    said = await asyncio.gather(*(capture(api, payment, {"amount": 100 + n}) for n in range(50)))

    assert Counter(one.status_code for one in said) == {200: 1, 400: 49}
    assert {one.json()["error"]["reason"] for one in said if one.status_code == 400} == {"already_captured"}
    (won,) = (one.json() for one in said if one.status_code == 200)
    assert (await api.get(f"/payments/{payment}")).json() == won
    assert broken(conn) == {}


async def test_fifty_duplicates_at_once_get_the_first_answer(api: Api, config: Config, conn: Conn) -> None:
    payment = await paid(api, config)

    said = await asyncio.gather(*(capture(api, payment, {"amount": 700}, "same") for _ in range(50)))

    assert {(one.status_code, one.text) for one in said} == {(200, said[0].text)}
    assert sum("idempotent-replayed" in one.headers for one in said) == 49
    await refund(api, payment)
    assert (await capture(api, payment, {"amount": 700}, "same")).text == said[0].text, "as it was then"
    other = await capture(api, payment, {"amount": 701}, "same")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert broken(conn) == {}


async def test_a_key_ends_after_24_hours(api: Api, config: Config, conn: Conn) -> None:
    """A stale answer is nobody's; the key may be used anew, for another payment too."""
    payment, other = await paid(api, config), await paid(api, config)
    await capture(api, payment, None, "k")
    conn.execute("UPDATE idempotency_keys SET created_at = created_at - interval '24 hours 1 minute'")

    late = await capture(api, payment, None, "k")
    said = await asyncio.gather(*(capture(api, other, None, "k") for _ in range(10)))

    assert (late.status_code, late.json()["error"]["reason"]) == (400, "already_captured")
    assert {(one.status_code, one.text) for one in said} == {(200, said[0].text)}


async def test_captures_and_refunds_at_once_agree(api: Api, config: Config, conn: Conn) -> None:
    """A capture is not starved by refunds, shows those that came before it, and bounds what goes back after it."""
    payment = await paid(api, config)
    asking = [refund(api, payment, {"amount": 1_000}) for _ in range(40)]
    asking[10:10] = [capture(api, payment, {"amount": 42_500}) for _ in range(5)]

    said = await asyncio.gather(*asking)

    assert Counter(one.status_code for one in said) == {201: 40, 200: 1, 400: 4}
    (won,) = (one.json() for one in said if one.status_code == 200)
    assert (won["amount_captured"], won["amount_refunded"] % 1_000) == (42_500, 0)
    assert (await refund(api, payment)).json()["amount"] == 2_500
    assert (await api.get(f"/payments/{payment}")).json()["amount_refunded"] == 42_500
    assert broken(conn) == {}


async def test_a_refund_that_commits_while_the_capture_waits_is_counted(api: Api, config: Config, conn: Conn) -> None:
    """The capture read the payment before; what the lock's holder wrote decides."""
    payment = await paid(api, config)
    async with await psycopg.AsyncConnection.connect(config.database_url) as other:
        await other.execute("UPDATE payments SET amount_refunded = 20000")
        asking = asyncio.create_task(capture(api, payment, {"amount": 10_000}))

        async def waits() -> bool:
            query = (
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ledgate-api'"
                " AND wait_event_type = 'Lock'"
            )
            return conn.execute(query).rowcount == 1

        await eventually(waits, what="the capture at the lock")
        await other.commit()
        said = await asking

    assert (said.status_code, said.json()["error"]["reason"]) == (400, "amount_below_refunded")


async def test_any_payment_survives_javascript(api: Api, config: Config, conn: Conn) -> None:
    """The bytes of every event are what `JSON.stringify` makes of them, whatever stands in notes."""
    notes = {
        "b": '"amount_refunded":0,',
        "version": '"version":0,',
        "10": "\u2028\x7f\\😀",
        "2": "%s",
        "__proto__": "p",
    }
    card = {"method": "card", "vpa": None, "card": CARD}
    for change in ({"notes": notes}, card, {"flow": "qr", "vpa": None}):
        payment = await paid(api, config, **change)
        await refund(api, payment, {"amount": 12_345})
        said = await capture(api, payment)
        assert (said.status_code, said.json()["amount_refunded"]) == (200, 12_345)
        assert (await api.get(f"/payments/{payment}")).text == said.text

    bodies = [row["body"] for row in conn.execute("SELECT body FROM events WHERE type = 'payment.captured'")]
    assert len(bodies) == 3
    assert notes in [msgspec.json.decode(one)["data"]["payment"]["notes"] for one in bodies]
    assert run_node(SAME, "\n".join(bodies).encode()) == "3"
