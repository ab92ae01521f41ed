"""A key makes a retry safe: one effect, one answer, whoever races."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from tests.gateway.conftest import CARD, UPI, Api

Conn = psycopg.Connection[dict[str, Any]]
ORDER = {"amount": 100, "currency": "INR"}


def _count(conn: Conn, table: str) -> int:
    row = conn.execute(f"SELECT count(*) AS n FROM {table}").fetchone()
    return int(row["n"]) if row else -1


@pytest.mark.parametrize(("path", "body", "table"), [("/payments", UPI, "payments"), ("/orders", ORDER, "orders")])
async def test_fifty_at_once_make_one_and_get_fifty_equal_answers(
    api: Api, conn: Conn, path: str, body: dict[str, object], table: str
) -> None:
    before = _count(conn, table)
    said = await asyncio.gather(*(api.post(path, body, **{"Idempotency-Key": "same"}) for _ in range(50)))

    assert _count(conn, table) == before + 1
    assert {(one.status_code, one.text) for one in said} == {(201, said[0].text)}
    assert sum("idempotent-replayed" in one.headers for one in said) == 49
    if table == "payments":
        assert (_count(conn, "events"), _count(conn, "outbox")) == (2, 3)


async def test_fifty_at_once_open_one_unknown_order(api: Api, conn: Conn) -> None:
    """Without a key: fifty payments of one new order; it is opened once, and nobody is turned away."""
    body = {**UPI, "order_id": "race", "amount": 900, "currency": "INR"}
    said = await asyncio.gather(*(api.post("/payments", body) for _ in range(50)))

    assert {one.status_code for one in said} == {201}
    assert _count(conn, "payments") == 50
    assert _count(conn, "orders WHERE id = 'race'") == 1


async def test_racers_with_different_amounts_for_one_new_order_agree_on_it(api: Api, conn: Conn) -> None:
    """Whoever opens the order sets the amount; the others are told, and write nothing."""
    said = await asyncio.gather(
        *(api.post("/payments", {**UPI, "order_id": "race", "amount": 100 + n, "currency": "INR"}) for n in range(20))
    )
    amounts = {one.json()["amount"] for one in said if one.status_code == 201}
    refused = [one.json()["error"]["reason"] for one in said if one.status_code == 400]
    assert (len(amounts), refused) == (1, ["amount_differs"] * 19)
    assert _count(conn, "payments") == 1


async def test_same_key_other_request_is_422(api: Api) -> None:
    """Another body, another path; also when both arrive at once."""
    key = {"Idempotency-Key": "k"}
    first = await api.post("/payments", UPI, **key)
    for path, body in (("/payments", {**UPI, "vpa": "other@paytm"}), ("/orders", ORDER)):
        said = await api.post(path, body, **key)
        assert (said.status_code, said.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await api.post("/payments", UPI, **key)).text == first.text

    racing = await asyncio.gather(
        *(api.post("/payments", {**UPI, "vpa": f"payer{n}@psp"}, **{"Idempotency-Key": "race"}) for n in range(20))
    )
    assert sorted(one.status_code for one in racing) == [201] + [422] * 19


async def test_same_request_in_other_white_space_is_the_same(api: Api) -> None:
    key = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    first = await api.post("/payments", UPI, **key)
    text = b'{ "vpa":"user@paytm",\n "method" : "upi", "order_id": "order_test_123"}'
    again = await api.client.post("/api/v1/payments", content=text, headers={**_auth(), **key})
    assert (again.status_code, again.text, again.headers["idempotent-replayed"]) == (201, first.text, "true")


async def test_what_failed_validation_is_not_stored(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    assert (await api.post("/payments", {**UPI, "amount": 1}, **key)).status_code == 400
    assert (await api.post("/payments", UPI, **key)).status_code == 201


async def test_a_replay_is_the_first_answer_even_after_the_order_was_paid(api: Api, conn: Conn) -> None:
    body = {**UPI, "order_id": "once", "amount": 5, "currency": "INR"}
    first = await api.post("/payments", body, **{"Idempotency-Key": "k"})
    conn.execute("UPDATE orders SET amount_paid = amount, status = 'paid' WHERE id = 'once'")

    again = await api.post("/payments", body, **{"Idempotency-Key": "k"})
    other = await api.post("/payments", body, **{"Idempotency-Key": "k2"})

    assert (again.status_code, again.text) == (201, first.text)
    assert (other.status_code, other.json()["error"]["reason"]) == (400, "order_paid")


async def test_a_key_ends_after_24_hours(api: Api, conn: Conn) -> None:
    first = await api.post("/payments", UPI, **{"Idempotency-Key": "k"})
    conn.execute("UPDATE idempotency_keys SET created_at = created_at - interval '23 hours 59 minutes'")
    assert (await api.post("/payments", UPI, **{"Idempotency-Key": "k"})).text == first.text
    conn.execute("UPDATE idempotency_keys SET created_at = created_at - interval '2 minutes'")

    said = await asyncio.gather(*(api.post("/payments", UPI, **{"Idempotency-Key": "k"}) for _ in range(10)))
    assert {one.status_code for one in said} == {201}
    assert len({one.json()["id"] for one in said}) == 1
    assert said[0].json()["id"] != first.json()["id"]
    assert _count(conn, "idempotency_keys") == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 300, "a\tb"])
async def test_a_wrong_key_is_refused(api: Api, conn: Conn, key: str) -> None:
    said = await api.post("/payments", UPI, **{"Idempotency-Key": key})
    assert (said.status_code, said.json()["error"]["field"]) == (400, "Idempotency-Key")
    assert _count(conn, "payments") == 0


async def test_the_longest_key_is_taken(api: Api) -> None:
    assert (await api.post("/payments", UPI, **{"Idempotency-Key": "x" * 255})).status_code == 201


async def test_no_card_number_can_be_guessed_from_a_stored_hash(api: Api, conn: Conn) -> None:
    """The stored hash is keyed: two databases with other keys would hold other hashes of the same request."""
    await api.post("/payments", {"order_id": "order_123", "method": "card", "card": CARD}, **{"Idempotency-Key": "k"})
    row = conn.execute("SELECT request_hash FROM idempotency_keys").fetchone()
    assert row is not None
    assert row["request_hash"].startswith("test:")


def _auth() -> dict[str, str]:
    from tests.gateway.conftest import AUTH

    return AUTH
