"""`version`: every event says which state of its object it tells, and what is newer has the higher one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg

from gateway.config import Config
from kit.db import Connection
from schema.invariants import broken
from tests.gateway.conftest import AUTH, Api
from tests.gateway.test_captures_api import capture
from tests.gateway.test_refunds_api import AMOUNT, paid, refund
from tests.support.paying import pay
from tests.support.waiting import eventually
from tests.support.working import hands, work_off

Conn = psycopg.Connection[dict[str, Any]]
Json = dict[str, Any]


def _told(conn: Conn, subject: str) -> dict[str, Json]:
    """Event type -> what it says of the subject; each type once."""
    rows = conn.execute("SELECT type, body FROM events WHERE subject_id = %s ORDER BY id", [subject]).fetchall()
    found = {row["type"]: msgspec.json.decode(row["body"])["data"][row["type"].partition(".")[0]] for row in rows}
    assert len(found) == len(rows)
    return found


def _versions(conn: Conn, subject: str) -> dict[str, int]:
    return {event: said["version"] for event, said in _told(conn, subject).items()}


async def test_every_change_counts_and_every_event_tells_the_object_as_it_was(
    api: Api, config: Config, conn: Conn
) -> None:
    """Paid, part of it refunded, captured, refunded again: each answer is compared with the event of that moment."""
    started = (await api.post("/payments", {"order_id": "cart-1", "method": "upi", "vpa": "a1@psp", "amount": AMOUNT,
                                            "currency": "INR"})).json()  # fmt: skip
    payment = started["id"]
    assert _told(conn, payment) == {"payment.created": started, "payment.pending": started}
    assert started["version"] == 1
    assert (await api.get("/orders/cart-1")).json()["version"] == 1

    await work_off(config, "payment.process")
    success = (await api.get(f"/payments/{payment}")).json()
    assert success["version"] == 2
    assert _told(conn, payment)["payment.success"] == success
    order = (await api.get("/orders/cart-1")).json()
    assert (order["status"], order["version"]) == ("paid", 2)
    assert _told(conn, "cart-1") == {"order.paid": order}

    first = (await refund(api, payment, {"amount": 1})).json()
    assert first["version"] == 1
    assert _told(conn, first["id"]) == {"refund.created": first}
    assert (await api.get(f"/payments/{payment}")).json()["version"] == 3, "less is left of it"

    captured = (await capture(api, payment)).json()
    assert captured["version"] == 4
    assert _told(conn, payment)["payment.captured"] == captured

    last = (await refund(api, payment)).json()
    await work_off(config, "refund.process")
    for one in (first, last):
        shown = (await api.get(f"/refunds/{one['id']}")).json()
        assert (shown["status"], shown["version"]) == ("processed", 2)
        assert _told(conn, one["id"])["refund.processed"] == shown
    assert (await api.get(f"/payments/{payment}")).json()["version"] == 5, "a refund's end changes the refund alone"
    assert broken(conn) == {}


async def test_the_same_bytes_in_answers_lists_and_events(api: Api, config: Config, conn: Conn) -> None:
    """`version` stands in the same place everywhere, beside notes that have a key of that name too."""
    notes = {"version": '"version":7,', "amount_refunded": "1"}
    payment = await paid(api, config, notes=notes)
    made = await refund(api, payment, {"amount": 5}, "r")
    said = await capture(api, payment, None, "c")
    again = await capture(api, payment, None, "c")

    assert list(said.json())[-4:] == ["notes", "version", "created_at", "updated_at"]
    assert (said.json()["notes"], said.json()["version"]) == (notes, 4)
    assert again.text == said.text
    body = conn.execute("SELECT body FROM events WHERE type = 'payment.captured'").fetchone()
    assert body is not None
    for text in (body["body"], (await api.get(f"/payments/{payment}")).text, (await api.get("/payments")).text):
        assert said.text in text
    assert made.text in (await api.get("/refunds")).text
    assert made.text in (await api.get("/refunds", status="pending")).text


async def test_a_failed_payment_and_one_too_late_have_two_states(
    api: Api, config: Config, conn: Conn, db: Connection
) -> None:
    """An order tried, failed, tried again and paid; the payment that came too late is told as failed."""
    failed = await paid(api, config, order_id="cart-2", amount=100, currency="INR", vpa="failure@psp")
    good, late = [(await pay(db, config, order_id="cart-2"))[0] for _ in range(2)]
    async with hands(config) as some:
        while await some.work_off("payment.process"):
            pass
        conn.execute("UPDATE outbox SET next_retry_at = now() WHERE kind = 'payment.process'")
        await some.work_off("payment.process")

    first = {"payment.created": 1, "payment.pending": 1}
    assert _versions(conn, failed) == first | {"payment.failed": 2}
    assert sorted("payment.success" in _versions(conn, one) for one in (good, late)) == [False, True]
    assert {tuple(_versions(conn, one).values()) for one in (good, late)} == {(1, 1, 2)}
    order = (await api.get("/orders/cart-2")).json()
    told = _told(conn, "cart-2")["order.paid"]
    assert (told["status"], told["attempts"], told["version"]) == ("paid", 2, 3)
    assert (order["attempts"], order["version"]) == (3, 4), "the payment that came too late counts as tried"
    assert broken(conn) == {}


async def test_a_reusable_order_counts_too_and_is_never_told_as_paid(api: Api, config: Config, conn: Conn) -> None:
    for _ in range(3):
        await paid(api, config)
    order = (await api.get("/orders/order_test_123")).json()
    assert (order["status"], order["attempts"], order["version"]) == ("attempted", 3, 4)
    assert conn.execute("SELECT FROM events WHERE type = 'order.paid'").rowcount == 0


async def test_refunds_that_race_a_capture_leave_no_version_out_and_none_twice(
    api: Api, config: Config, conn: Conn
) -> None:
    """Every change of a payment has its own version, whoever waited for whom at its lock."""
    payment = await paid(api, config)
    asking = [refund(api, payment, {"amount": 1_000}) for _ in range(30)]
    asking[15:15] = [capture(api, payment, {"amount": 40_000}) for _ in range(3)]
    said = await asyncio.gather(*asking)

    made = sum(one.status_code == 201 for one in said)
    assert made == 30
    (won,) = (one.json() for one in said if one.status_code == 200)
    assert won["version"] == 3 + won["amount_refunded"] // 1_000, "what came before it, and itself"
    assert _told(conn, payment)["payment.captured"] == won
    assert (await api.get(f"/payments/{payment}")).json()["version"] == 3 + made
    assert broken(conn) == {}


async def test_refunds_that_fail_change_the_refund_and_what_is_left_of_the_payment(
    api: Api, config: Config, conn: Conn
) -> None:
    """A capture after that shows the amount given back, and a version above all of it."""
    payment = await paid(api, config, vpa="refund-failure@psp")
    bad = [(await refund(api, payment, {"amount": 100})).json()["id"] for _ in range(3)]
    await work_off(config, "refund.process")

    assert {tuple(_versions(conn, one).items()) for one in bad} == {(("refund.created", 1), ("refund.failed", 2))}
    before = (await api.get(f"/payments/{payment}")).json()
    assert (before["amount_refunded"], before["version"]) == (0, 6), "three promised, one batch given back"
    captured = (await capture(api, payment)).json()
    assert (captured["amount_refunded"], captured["version"]) == (0, 7)
    assert broken(conn) == {}


async def test_a_lost_lease_tells_no_version(config: Config, db: Connection, conn: Conn) -> None:
    """Two dispatchers hold the same payment, one after the other: it is told once, and counts once."""
    (payment,) = await pay(db, config)
    async with hands(config, who="late") as late, hands(config, who="other") as other:
        ended = await late.take("payment.process")
        conn.execute("UPDATE outbox SET next_retry_at = now() - interval '1 second' WHERE id = %s", [payment])
        theirs = await other.take("payment.process")
        await other.settle("payment.process", theirs)
        await late.settle("payment.process", ended)

    assert _versions(conn, payment) == {"payment.created": 1, "payment.pending": 1, "payment.success": 2}
    assert conn.execute("SELECT version FROM payments").fetchone() == {"version": 2}


async def test_an_order_that_changed_between_the_look_and_the_lock_is_told_as_it_is(
    config: Config, db: Connection, conn: Conn
) -> None:
    """The order's place was free, then another payment took it, failed and left, all while this one waited."""
    await pay(db, config, order_id="cart-3", amount=100)
    async with await psycopg.AsyncConnection.connect(config.database_url) as holder, hands(config) as some:
        await holder.execute("UPDATE orders SET attempts = attempts + 1, version = version + 1, status = 'attempted'"
                             " WHERE id = 'cart-3'")  # fmt: skip
        taking = asyncio.create_task(some.take("payment.process"))

        async def waits() -> bool:
            query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return conn.execute(query).rowcount == 1

        await eventually(waits, what="a dispatcher at the order's lock")
        await holder.commit()
        await some.settle("payment.process", await taking)

    told = _told(conn, "cart-3")["order.paid"]
    row = conn.execute("SELECT attempts, version FROM orders WHERE id = 'cart-3'").fetchone()
    assert row == {"attempts": told["attempts"], "version": told["version"]} == {"attempts": 2, "version": 3}


async def test_test_events_have_a_version_of_the_type(api: Api, conn: Conn) -> None:
    """Samples look like what they stand for."""
    types = {"payment.created": 1, "payment.success": 2, "payment.failed": 2, "payment.captured": 3, "order.paid": 2,
             "refund.created": 1, "refund.processed": 2, "refund.failed": 2}  # fmt: skip
    for event in types:
        assert (await api.client.post("/api/v1/webhooks/test", json={"event": event}, headers=AUTH)).status_code == 202
    bodies = [msgspec.json.decode(row["body"]) for row in conn.execute("SELECT body FROM events")]
    assert {one["event"]: next(iter(one["data"].values()))["version"] for one in bodies} == types
    mine = {"data": {"payment": {"version": "of my own"}}}
    assert (await api.post("/webhooks/test", {"event": "payment.success", **mine})).status_code == 202
    assert broken(conn) == {}
