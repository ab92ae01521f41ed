"""Two merchants do whatever they like, with a model beside the database, and try each call with the other's ids.

What the API answers must be what the model expects; what belongs to the other is a 404 without a trace; at the end
every object is as the model has it, and every invariant of the ledger holds.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import load
from gateway.merchants import add_key, add_merchant, bucket_of
from gateway.secrets import make_sealer
from outbox import endpoints
from schema.invariants import broken
from tests.support.processes import Stack, stack
from tests.support.waiting import until

LONG = os.environ.get("FUZZ") == "long"
EXAMPLES, STEPS = (60, 50) if LONG else (4, 30)

Json = dict[str, Any]


class Order(msgspec.Struct):
    amount: int
    reusable: bool
    paid: int = 0
    attempts: int = 0

    @property
    def status(self) -> str:
        if not self.reusable and self.paid == self.amount:
            return "paid"
        return "attempted" if self.attempts else "created"


class Payment(msgspec.Struct):
    order_id: str
    amount: int
    status: str
    refunds_fail: bool = False
    captured: int = 0
    refunded: int = 0

    @property
    def left(self) -> int:
        return (self.captured or self.amount) - self.refunded


class Merchant:
    """One merchant: how to call as it, and what it must have."""

    def __init__(self, shop: Stack, database_url: str) -> None:
        self.merchant_id, key_id, secret = asyncio.run(_make(shop, database_url))
        self.http = httpx.Client(base_url=f"{shop.url}/api/v1", auth=(key_id, secret), timeout=30)
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, tuple[str, int, str]] = {}
        self.endpoints: set[str] = set()


async def _make(shop: Stack, database_url: str) -> tuple[str, str, str]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        merchant_id = await add_merchant(conn, "One of two")
        key_id, secret = await add_key(conn, merchant_id)
        await endpoints.save_default(
            conn,
            make_sealer(load(shop.env)),
            bucket=bucket_of(merchant_id),
            merchant_id=merchant_id,
            url=f"{shop.receiver_url}/webhook",
            secret=demo.WEBHOOK_SECRET,
        )
    return merchant_id, key_id, secret


AMOUNTS = st.integers(1, 10)
MAYBE = st.none() | st.integers(1, 12)


class TwoMerchants(RuleBasedStateMachine):
    """Rules of one step each; `turn` is whose."""

    shop: ClassVar[Stack]
    database_url: ClassVar[str]

    orders = Bundle("orders")
    payments = Bundle("payments")
    refunds = Bundle("refunds")
    deliveries = Bundle("deliveries")

    @initialize()
    def begin(self) -> None:
        self.merchants = [Merchant(self.shop, self.database_url) for _ in range(2)]

    @rule(target=orders, turn=st.integers(0, 1), amount=AMOUNTS, reusable=st.booleans())
    def open_order(self, turn: int, amount: int, *, reusable: bool) -> tuple[int, str]:
        me = self.merchants[turn]
        said = me.http.post("/orders", json={"amount": amount, "currency": "INR", "reusable": reusable})
        assert said.status_code == 201, said.text
        me.orders[said.json()["id"]] = Order(amount, reusable)
        return turn, said.json()["id"]

    @rule(
        target=payments,
        order=orders,
        vpa=st.sampled_from(["success@psp", "success@psp", "failure@psp", "refund-failure@psp"]),
    )
    def pay(self, order: tuple[int, str], vpa: str) -> tuple[int, str] | None:
        turn, order_id = order
        me = self.merchants[turn]
        model = me.orders[order_id]
        request = {"order_id": order_id, "method": "upi", "vpa": vpa}
        said = me.http.post("/payments", json=request)
        if model.status == "paid":
            assert (said.status_code, said.json()["error"]["reason"]) == (400, "order_paid")
            return turn, ""
        assert said.status_code == 201, said.text
        payment_id = said.json()["id"]
        status = self._ended(me, f"/payments/{payment_id}")["status"]
        assert status == ("failed" if vpa.startswith("failure") else "success")
        model.attempts += 1
        model.paid += model.amount if status == "success" else 0
        me.payments[payment_id] = Payment(order_id, model.amount, status, vpa.startswith("refund-failure"))
        return turn, payment_id

    @rule(order=orders, amount=AMOUNTS)
    def pay_another_amount(self, order: tuple[int, str], amount: int) -> None:
        turn, order_id = order
        me = self.merchants[turn]
        model = me.orders[order_id]
        if amount == model.amount:
            return
        request = {"order_id": order_id, "method": "upi", "vpa": "a1@psp", "amount": amount, "currency": "INR"}
        said = me.http.post("/payments", json=request)
        reason = "order_paid" if model.status == "paid" else "amount_differs"
        assert (said.status_code, said.json()["error"]["reason"]) == (400, reason)

    @rule(payment=payments, amount=MAYBE)
    def capture(self, payment: tuple[int, str], amount: int | None) -> None:
        turn, payment_id = payment
        if not payment_id:
            return
        me = self.merchants[turn]
        model = me.payments[payment_id]
        said = me.http.post(f"/payments/{payment_id}/capture", json={} if amount is None else {"amount": amount})
        wanted = model.amount if amount is None else amount
        allowed = (
            model.status == "success"
            and not model.captured
            and model.refunded < model.amount
            and model.refunded <= wanted <= model.amount
        )
        assert said.status_code == (200 if allowed else 400), (said.text, model)
        if allowed:
            model.captured = wanted
            assert (said.json()["captured"], said.json()["amount_captured"]) == (True, wanted)

    @rule(target=refunds, payment=payments, amount=MAYBE, twice=st.booleans())
    def refund(self, payment: tuple[int, str], amount: int | None, *, twice: bool) -> tuple[int, str]:
        turn, payment_id = payment
        if not payment_id:
            return turn, ""
        me = self.merchants[turn]
        model = me.payments[payment_id]
        body = {} if amount is None else {"amount": amount}
        headers = {"Idempotency-Key": uuid.uuid4().hex} if twice else {}
        said = me.http.post(f"/payments/{payment_id}/refunds", json=body, headers=headers)
        wanted = model.left if amount is None else amount
        if model.status != "success" or not 0 < wanted <= model.left:
            assert said.status_code == 400, (said.text, model)
            return turn, ""
        assert (said.status_code, said.json()["amount"]) == (201, wanted)
        if twice:
            again = me.http.post(f"/payments/{payment_id}/refunds", json=body, headers=headers)
            assert (again.status_code, again.text) == (201, said.text)
            assert again.headers["idempotent-replayed"] == "true"
        status = self._ended(me, f"/refunds/{said.json()['id']}")["status"]
        assert status == ("failed" if model.refunds_fail else "processed")
        model.refunded += wanted if status == "processed" else 0
        me.refunds[said.json()["id"]] = (payment_id, wanted, status)
        return turn, said.json()["id"]

    @rule(turn=st.integers(0, 1))
    def add_and_drop_an_endpoint(self, turn: int) -> None:
        me = self.merchants[turn]
        made = me.http.post("/webhook-endpoints", json={"url": "https://example.com/hook", "events": ["refund.*"]})
        assert made.status_code == 201, made.text
        path = f"/webhook-endpoints/{made.json()['id']}"
        assert self.merchants[1 - turn].http.get(path).status_code == 404
        assert self.merchants[1 - turn].http.delete(path).status_code == 404
        assert me.http.delete(path).status_code == 204
        assert me.http.get(path).status_code == 404

    @rule(target=deliveries, turn=st.integers(0, 1))
    def send_a_test_webhook(self, turn: int) -> tuple[int, str]:
        said = self.merchants[turn].http.post("/webhooks/test", json={})
        assert said.status_code == 202, said.text
        return turn, said.json()["id"]

    @rule(delivery=deliveries)
    def retry(self, delivery: tuple[int, str]) -> None:
        turn, delivery_id = delivery
        said = self.merchants[turn].http.post(f"/webhooks/{delivery_id}/retry")
        assert (said.status_code, said.json()["id"]) == (200, delivery_id)

    @rule(thing=orders | payments | refunds | deliveries, data=st.data())
    def try_the_others(self, thing: tuple[int, str], data: st.DataObject) -> None:
        """Every call that takes an id, with an id of the other merchant: 404, and nothing has changed."""
        turn, its_id = thing
        if not its_id:
            return
        owner, thief = self.merchants[turn].http, self.merchants[1 - turn].http
        read, calls = _calls(its_id)
        before = owner.get(read).json()
        method, path, body = data.draw(st.sampled_from(calls))
        said = thief.request(method, path, json=body)
        assert said.status_code == 404, (method, path, said.text)
        assert said.json()["error"]["code"] == "NOT_FOUND"
        assert self.merchants[turn].merchant_id not in said.text
        after = owner.get(read).json()
        if not its_id.startswith("dlv_"):  # a delivery goes on by itself
            assert after == before

    @rule(turn=st.integers(0, 1))
    def the_lists_hold_what_is_mine(self, turn: int) -> None:
        me = self.merchants[turn]
        for path, mine in (("/orders", me.orders), ("/payments", me.payments), ("/refunds", me.refunds)):
            assert {one["id"] for one in _all(me.http, path)} == set(mine), path

    def teardown(self) -> None:
        for turn, me in enumerate(getattr(self, "merchants", ())):
            self.the_lists_hold_what_is_mine(turn)
            for order_id, order in me.orders.items():
                shown = me.http.get(f"/orders/{order_id}").json()
                assert (shown["status"], shown["amount_paid"], shown["attempts"]) == (
                    order.status,
                    order.paid,
                    order.attempts,
                )
            for payment_id, payment in me.payments.items():
                shown = me.http.get(f"/payments/{payment_id}").json()
                assert (shown["status"], shown.get("amount_captured", 0), shown["amount_refunded"]) == (
                    payment.status,
                    payment.captured,
                    payment.refunded,
                )
            known = {*me.orders, *me.payments, *me.refunds}
            told = [one for one in _events(me.http) if one["event"] != "webhook.test"]
            assert {next(iter(one["data"].values()))["id"] for one in told} <= known
            me.http.close()
        with psycopg.connect(self.database_url, row_factory=dict_row) as conn:
            assert broken(conn) == {}

    def _ended(self, me: Merchant, path: str) -> Json:
        def ended() -> Json | None:
            shown: Json = me.http.get(path).json()
            return shown if shown["status"] != "pending" else None

        found = until(ended, what=f"the end of {path}")
        assert found is not None
        return found


def _calls(its_id: str) -> tuple[str, list[tuple[str, str, Json | None]]]:
    """Where to read a thing, and everything that can be asked of it by its id."""
    match its_id.partition("_")[0]:
        case "order":
            read = f"/orders/{its_id}"
            pay = {"order_id": its_id, "method": "upi", "vpa": "a1@psp"}
            return read, [("GET", read, None), ("POST", "/payments", pay)]
        case "pay":
            read = f"/payments/{its_id}"
            return read, [
                ("GET", read, None),
                ("POST", f"{read}/capture", {}),
                ("POST", f"{read}/refunds", {"amount": 1}),
                ("GET", f"{read}/refunds", None),
            ]
        case "rfnd":
            return f"/refunds/{its_id}", [("GET", f"/refunds/{its_id}", None)]
        case _:
            read = f"/webhooks/{its_id}"
            return read, [("GET", read, None), ("POST", f"{read}/retry", None)]


def _all(http: httpx.Client, path: str) -> list[Json]:
    found: list[Json] = []
    while True:
        page = http.get(path, params={"limit": 7, **({"after": found[-1]["id"]} if found else {})}).json()
        found += page["data"]
        if not page["has_more"]:
            return found


def _events(http: httpx.Client) -> list[Json]:
    return _all(http, "/events")


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Stack]:
    with stack(database_url, tmp_path, TEST_PROCESSING_DELAY="0") as made:
        made.start_receiver()
        made.start_api()
        made.start_dispatcher()
        yield made


def test_two_merchants_and_a_model(shop: Stack, database_url: str) -> None:
    TwoMerchants.shop, TwoMerchants.database_url = shop, database_url
    run_state_machine_as_test(
        TwoMerchants,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
