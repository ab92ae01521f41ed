"""Refunds over the API: never more than is left, whoever races; each answer is what was written."""

from __future__ import annotations

import asyncio
import random
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
from tests.kit.test_json import SAME
from tests.support.tools import run_node
from tests.support.working import work_off

Conn = psycopg.Connection[dict[str, Any]]
AMOUNT = 50_000
NOBODY = "pay_01jd9m3r6ye8a9fqk0s2t4v6xz"


async def paid(api: Api, config: Config, **change: object) -> str:
    """A successful payment of 50,000; its id."""
    said = await api.post("/payments", {**UPI, **change})
    assert said.status_code == 201, said.text
    await work_off(config, "payment.process")
    found: str = said.json()["id"]
    return found


async def refund(api: Api, payment: str, body: object = None, key: str | None = None) -> httpx.Response:
    """Ask for a refund."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"/payments/{payment}/refunds", body or {}, **headers)


async def test_a_refund_commits_with_its_event_delivery_and_work(api: Api, config: Config, conn: Conn) -> None:
    """One POST: the refund, one event with a delivery to the one endpoint, the work, and less left of the payment."""
    payment = await paid(api, config)
    conn.execute("DELETE FROM outbox")

    said = await refund(api, payment, {"amount": 20_000, "reason": "Customer request"}, "k")
    shown = said.json()

    assert said.status_code == 201
    assert list(shown) == ["id", "payment_id", "amount", "reason", "status", "version", "created_at"]
    assert shown | {"id": "", "created_at": ""} == {
        "id": "", "payment_id": payment, "amount": 20_000, "reason": "Customer request", "status": "pending",
        "version": 1, "created_at": "",
    }  # fmt: skip
    assert shown["id"].startswith("rfnd_")
    event = conn.execute("SELECT * FROM events WHERE subject_id = %s", [shown["id"]]).fetchone()
    assert event is not None
    assert (event["type"], event["deliveries"]) == ("refund.created", 1)
    assert event["body"].endswith(f'"data":{{"refund":{said.text}}}}}'), "the event shows the refund as the API does"
    work = conn.execute("SELECT kind, id, event_id FROM outbox ORDER BY kind").fetchall()
    assert [(one["kind"], one["event_id"]) for one in work] == [
        ("refund.process", None),
        ("webhook.deliver", event["id"]),
    ]
    assert work[0]["id"] == shown["id"]
    left = (await api.get(f"/payments/{payment}")).json()
    assert (left["amount_refunded"], left["updated_at"]) == (20_000, shown["created_at"])
    assert (await api.get(f"/refunds/{shown['id']}")).json() == shown
    written = conn.execute(
        "SELECT xmin::text FROM payments UNION SELECT xmin::text FROM refunds UNION SELECT xmin::text FROM outbox"
        " UNION SELECT xmin::text FROM idempotency_keys UNION SELECT xmin::text FROM events WHERE subject_id = %s",
        [shown["id"]],
    ).fetchall()
    assert len(written) == 1, "all of it bears one transaction's id"


async def test_without_an_amount_all_that_is_left_goes_back(api: Api, config: Config, conn: Conn) -> None:
    """Also with an empty body, and with none at all; then nothing is left."""
    payment = await paid(api, config)
    other = await paid(api, config)

    part = await refund(api, payment, {"amount": 1})
    rest = await refund(api, payment)
    bare = await api.client.post(f"/api/v1/payments/{other}/refunds", headers=AUTH)
    more = [await refund(api, payment), await refund(api, payment, {"amount": 1})]

    assert [one.json()["amount"] for one in (part, rest, bare)] == [1, AMOUNT - 1, AMOUNT]
    assert [one.json()["reason"] for one in (part, rest, bare)] == [None] * 3
    assert [(one.status_code, one.json()["error"]["reason"]) for one in more] == [(400, "fully_refunded")] * 2
    assert broken(conn) == {}


async def test_more_than_is_left_is_refused_and_says_how_much_is(api: Api, config: Config) -> None:
    payment = await paid(api, config)
    await refund(api, payment, {"amount": 20_000})

    error = (await refund(api, payment, {"amount": 30_001})).json()["error"]

    assert (error["field"], error["reason"]) == ("amount", "amount_too_large")
    assert "30000" in error["description"]


async def test_of_a_captured_payment_only_what_was_captured_can_go_back(api: Api, config: Config) -> None:
    payment = await paid(api, config)
    await api.post(f"/payments/{payment}/capture", {"amount": 10_000})

    said = [await refund(api, payment, body) for body in ({"amount": 10_001}, {"amount": 4_000}, {}, {"amount": 1})]

    assert [one.status_code for one in said] == [400, 201, 201, 400]
    assert [one.json()["amount"] for one in said[1:3]] == [4_000, 6_000]


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"amount": 0}, "amount", "field_invalid"),
        ({"amount": -1}, "amount", "field_invalid"),
        ({"amount": "5"}, "amount", "field_invalid"),
        ({"amount": 1.5}, "amount", "field_invalid"),
        ({"amount": 2**53}, "amount", "field_invalid"),
        ({"amount": 10**30}, "amount", "field_invalid"),
        ({"amount": AMOUNT + 1}, "amount", "amount_too_large"),
        ({"amount": 2**53 - 1}, "amount", "amount_too_large"),
        ({"reason": ""}, "reason", "field_invalid"),
        ({"reason": "x" * 256}, "reason", "field_invalid"),
        ({"reason": "a\0b"}, "reason", "nul_character"),
        ({"speed": "fast"}, "speed", "field_unknown"),
        ([], None, "field_invalid"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_written(
    api: Api, config: Config, conn: Conn, body: object, field: str | None, reason: str
) -> None:
    payment = await paid(api, config)
    before = _written(conn)

    said = await api.post(f"/payments/{payment}/refunds", body, **{"Idempotency-Key": "refused"})

    error = said.json()["error"]
    assert (said.status_code, error["code"]) == (400, "BAD_REQUEST_ERROR")
    assert (error.get("field"), error["reason"]) == (field, reason)
    assert _written(conn) == before
    assert (await refund(api, payment, {"amount": 1}, "refused")).status_code == 201, "what was refused took no key"


async def test_only_a_successful_payment_can_be_refunded(api: Api, config: Config, conn: Conn) -> None:
    pending = (await api.post("/payments", UPI)).json()["id"]
    said = [await refund(api, pending, {"amount": 1}), await refund(api, pending, None, "k")]
    failed = await paid(api, config, vpa="failure@psp")
    said += [await refund(api, failed), await refund(api, failed, {"amount": 1})]

    assert [(one.status_code, one.json()["error"]["reason"]) for one in said] == [(400, "payment_not_successful")] * 4
    assert (await refund(api, pending, None, "k")).status_code == 201, (
        "it has succeeded since, and the key was not used"
    )
    assert broken(conn) == {}


async def test_nobody_s_and_another_s_are_not_found(api: Api, config: Config, db: Connection, conn: Conn) -> None:
    """Unknown, of a wrong shape, another merchant's: all the same 404, and nothing moves."""
    payment = await paid(api, config)
    theirs = (await refund(api, payment, {"amount": 1})).json()["id"]
    key, secret = await add_key(db, await add_merchant(db, "Other"))
    other = {"X-Api-Key": key, "X-Api-Secret": secret}
    before = _written(conn)

    said = [await refund(api, one, {"amount": 1}, "k") for one in (NOBODY, "pay_x", "x", "order_test_123", "%00")]
    said += [await api.get(f"/refunds/{one}") for one in ("rfnd_01jd9m3r6ye8a9fqk0s2t4v6xz", "x", payment, "%00")]
    for body in ({}, {"amount": 1}, {"amount": AMOUNT * 2}):
        said.append(await api.client.post(f"/api/v1/payments/{payment}/refunds", json=body, headers=other))
    said.append(await api.client.get(f"/api/v1/refunds/{theirs}", headers=other))

    assert {(one.status_code, one.json()["error"]["code"]) for one in said} == {(404, "NOT_FOUND")}
    assert _written(conn) == before


async def test_a_refund_shows_its_end(api: Api, config: Config, conn: Conn) -> None:
    """Processed with its time; failed with time and reason, by magic UPI address and card."""
    good = (await refund(api, await paid(api, config), {"amount": 7})).json()
    card = {"order_id": "order_123", "method": "card", "vpa": None, "card": CARD | {"number": "4000 0000 0000 5126"}}
    bad = [
        (await refund(api, await paid(api, config, **one), {"amount": 7})).json()
        for one in ({"vpa": "Refund-Failure@psp"}, card)
    ]
    await work_off(config, "refund.process")

    shown = (await api.get(f"/refunds/{good['id']}")).json()
    assert shown.items() >= (good | {"status": "processed", "version": 2}).items()
    assert shown.keys() - good.keys() == {"processed_at"}
    assert shown["processed_at"] > shown["created_at"]
    for one in bad:
        shown = (await api.get(f"/refunds/{one['id']}")).json()
        assert (shown["status"], shown["error_code"]) == ("failed", "refund_declined")
        assert shown["error_description"]
        assert shown["processed_at"] > shown["created_at"]
    assert broken(conn) == {}


async def test_two_hundred_at_once_never_pass_the_amount(api: Api, config: Config, conn: Conn) -> None:
    """Each wants 700 of 50,000: seventy-one get it, and the rest are told that too little is left."""
    payment = await paid(api, config)

    said = await asyncio.gather(*(refund(api, payment, {"amount": 700}) for _ in range(200)))

    assert Counter(one.status_code for one in said) == {201: 71, 400: 129}
    assert {one.json()["error"]["reason"] for one in said if one.status_code == 400} == {"amount_too_large"}
    assert len({one.json()["id"] for one in said if one.status_code == 201}) == 71
    assert _sums(conn) == (71 * 700, 71 * 700, 71)
    assert broken(conn) == {}


async def test_two_hundred_at_once_with_keys_duplicates_and_full_refunds(api: Api, config: Config, conn: Conn) -> None:
    """Amounts of all sizes, some without a key, some keys three times, full refunds among them: each key is answered
    one way, no refund was made twice, and nobody was refused who would have fitted."""
    payment = await paid(api, config)
    dice = random.Random(7)
    asked: list[tuple[dict[str, int], str | None]] = [({"amount": dice.randint(1, 900)}, None) for _ in range(77)]
    for n in range(40):
        asked += [({"amount": dice.randint(1, 900)}, f"key-{n}")] * 3
    asked += [({}, None), ({}, "full"), ({}, "full")]
    assert len(asked) == 200
    dice.shuffle(asked)

    said = await asyncio.gather(*(refund(api, payment, body, key) for body, key in asked))

    answers: dict[str, set[tuple[int, str]]] = {}
    for (_, key), one in zip(asked, said, strict=True):
        if key is not None:
            what = one.json()["id"] if one.status_code == 201 else one.json()["error"]["reason"]
            answers.setdefault(key, set()).add((one.status_code, what))
    assert all(len(one) == 1 for one in answers.values())
    made = {one.json()["id"]: one.json()["amount"] for one in said if one.status_code == 201}
    assert _sums(conn) == (sum(made.values()), sum(made.values()), len(made))
    assert sum(made.values()) == AMOUNT, "a full refund takes whatever is left; after it nothing is"
    assert {one.json()["error"]["reason"] for one in said if one.status_code == 400} <= {
        "amount_too_large",
        "fully_refunded",
    }
    replayed = sum("idempotent-replayed" in one.headers for one in said)
    assert replayed == sum(one.status_code == 201 for one in said) - len(made)
    assert broken(conn) == {}


async def test_random_amounts_are_refused_only_when_they_do_not_fit(api: Api, config: Config, conn: Conn) -> None:
    """What is left only shrinks, so at the end it is less than the least that was refused."""
    payment = await paid(api, config)
    dice = random.Random(11)
    amounts = [dice.randint(300, 1500) for _ in range(150)]

    said = await asyncio.gather(*(refund(api, payment, {"amount": one}) for one in amounts))

    got = sum(amount for amount, one in zip(amounts, said, strict=True) if one.status_code == 201)
    refused = [amount for amount, one in zip(amounts, said, strict=True) if one.status_code == 400]
    assert _sums(conn)[0] == got <= AMOUNT
    assert AMOUNT - got < min(refused)
    assert len(refused) < 150


async def test_the_database_refuses_whoever_does_not_ask(api: Api, config: Config, conn: Conn) -> None:
    """A writer that takes no lock and reads nothing first, as the API's role: the row's CHECK has the last word."""
    payment = await paid(api, config)

    async def careless() -> str | None:
        async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as mine:
            await mine.execute("SET ROLE ledgate_api")
            try:
                await mine.execute(
                    "UPDATE payments SET amount_refunded = amount_refunded + 20000"
                    " WHERE merchant_id = (SELECT set_config('ledgate.tenant', 'mer_demo', true)) AND id = %s",
                    [payment],
                )
            except psycopg.errors.CheckViolation as error:
                return error.diag.constraint_name
            return None

    said = await asyncio.gather(*(careless() for _ in range(10)))

    assert Counter(said) == {None: 2, "payments_refunded": 8}
    assert conn.execute("SELECT amount_refunded FROM payments").fetchone() == {"amount_refunded": 40_000}


@pytest.mark.parametrize("body", [{}, {"amount": 30_000}, {"amount": 10}])
async def test_fifty_duplicates_at_once_are_one_refund(
    api: Api, config: Config, conn: Conn, body: dict[str, int]
) -> None:
    """Also of one that leaves too little for a second: its duplicates are answered, not refused."""
    payment = await paid(api, config)

    said = await asyncio.gather(*(refund(api, payment, body, "same") for _ in range(50)))

    assert {(one.status_code, one.text) for one in said} == {(201, said[0].text)}
    assert sum("idempotent-replayed" in one.headers for one in said) == 49
    assert _sums(conn) == (body.get("amount", AMOUNT),) * 2 + (1,)
    again = await refund(api, payment, body, "same")
    assert (again.status_code, again.text) == (201, said[0].text)


async def test_a_key_of_another_request_is_422(api: Api, config: Config, conn: Conn) -> None:
    """Another amount, another payment, another path; also when all come at once."""
    payment, other = await paid(api, config), await paid(api, config)
    first = await refund(api, payment, {"amount": 5}, "k")
    said = [
        await refund(api, payment, {"amount": 6}, "k"),
        await refund(api, payment, {"amount": AMOUNT * 2}, "k"),
        await refund(api, other, {"amount": 5}, "k"),
        await refund(api, NOBODY, {"amount": 5}, "k"),
        await api.post("/payments", UPI, **{"Idempotency-Key": "k"}),
        await api.post(f"/payments/{payment}/capture", {}, **{"Idempotency-Key": "k"}),
    ]
    assert [(one.status_code, one.json()["error"]["code"]) for one in said] == [(422, "IDEMPOTENCY_KEY_REUSED")] * 6
    assert (await refund(api, payment, {"amount": 5}, "k")).text == first.text

    paths = [f"/payments/{one}/{what}" for one in (payment, other) for what in ("refunds", "capture")]
    racing = await asyncio.gather(
        *(api.post(path, {}, **{"Idempotency-Key": "race"}) for path in [*paths, "/payments"] * 8)
    )
    assert {one.status_code for one in racing if one.is_success} <= {200, 201}
    assert len({one.text for one in racing if one.is_success}) == 1, "one of them had the key"
    assert all(one.status_code in {400, 422} for one in racing if not one.is_success)
    assert broken(conn) == {}


async def test_a_key_ends_after_24_hours(api: Api, config: Config, conn: Conn) -> None:
    """Then one of those who come takes it over, and a stale answer is nobody's, not even a refused one's."""
    payment = await paid(api, config)
    first = await refund(api, payment, {"amount": 20_000}, "k")
    conn.execute("UPDATE idempotency_keys SET created_at = created_at - interval '24 hours 1 minute'")

    said = await asyncio.gather(*(refund(api, payment, {"amount": 20_000}, "k") for _ in range(10)))

    assert len({one.text for one in said}) == 1
    assert said[0].json()["id"] != first.json()["id"]
    conn.execute("UPDATE idempotency_keys SET created_at = created_at - interval '24 hours 1 minute'")
    late = await refund(api, payment, {"amount": 20_000}, "k")
    assert (late.status_code, late.json()["error"]["reason"]) == (400, "amount_too_large")
    assert _sums(conn) == (40_000, 40_000, 2)


async def test_any_reason_survives_javascript(api: Api, config: Config, conn: Conn) -> None:
    """The bytes of every event are what `JSON.stringify` makes of them, and the reason is read back as it was."""
    reasons = ['"amount":0,', "\u2028\x7f\t\\😀 ü", "%s {0} %(x)s {remaining}", '{"refund":{}}', "</script>", "x" * 255]
    payment = await paid(api, config, vpa="refund-failure@psp")
    made = [(await refund(api, payment, {"amount": 3, "reason": one})).json() for one in reasons]
    await work_off(config, "refund.process")

    assert [(await api.get(f"/refunds/{one['id']}")).json()["reason"] for one in made] == reasons
    bodies = [row["body"] for row in conn.execute("SELECT body FROM events WHERE type LIKE 'refund.%' ORDER BY id")]
    assert len(bodies) == 12
    assert {msgspec.json.decode(one)["data"]["refund"]["reason"] for one in bodies} == set(reasons)
    assert run_node(SAME, "\n".join(bodies).encode()) == "12"


def _sums(conn: Conn) -> tuple[int, int, int]:
    """What the payments say was refunded, what the refunds add up to, and how many there are."""
    row = conn.execute(
        "SELECT (SELECT sum(amount_refunded) FROM payments)::bigint AS promised, sum(amount)::bigint AS made,"
        " count(*) AS n FROM refunds"
    ).fetchone()
    assert row is not None
    return row["promised"], row["made"], row["n"]


def _written(conn: Conn) -> list[dict[str, Any]]:
    """Everything that a refund would write or move."""
    return conn.execute(
        "SELECT (SELECT array_agg((id, version, amount_refunded)::text ORDER BY id) FROM payments) AS payments,"
        " (SELECT count(*) FROM refunds) AS refunds, (SELECT count(*) FROM events) AS events,"
        " (SELECT count(*) FROM outbox) AS work, (SELECT count(*) FROM idempotency_keys) AS keys"
    ).fetchall()
