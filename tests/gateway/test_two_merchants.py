"""Two merchants do whatever they like, with a model beside the database, and try each call with the other's ids.

What the API answers must be what the model expects; what belongs to the other is a 404 without a trace; at the end
every object is as the model has it, and every invariant of the ledger holds.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg.rows import dict_row

from gateway.api.app import make_app
from gateway.config import Config
from schema.invariants import broken
from tests.gateway.model import Merchant, Order, Payment
from tests.support.processes import Stack, stack
from tests.support.waiting import until

LONG = os.environ.get("FUZZ") == "long"
EXAMPLES, STEPS = (60, 50) if LONG else (4, 30)

Json = dict[str, Any]


MAX_ADDED = 49
"""Endpoints besides the default one."""
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
    endpoints = Bundle("endpoints")
    keys = Bundle("keys")
    events = Bundle("events")
    recoveries = Bundle("recoveries")

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

    @rule(target=endpoints, turn=st.integers(0, 1))
    def add_an_endpoint(self, turn: int) -> tuple[int, str]:
        me = self.merchants[turn]
        made = me.http.post("/webhook-endpoints", json={"url": "https://example.com/hook", "events": ["order.paid"]})
        if len(me.endpoints) == MAX_ADDED:
            assert (made.status_code, made.json()["error"]["reason"]) == (400, "too_many_endpoints")
            return turn, ""
        assert made.status_code == 201, made.text
        # Nothing is sent to it: events of reusable orders only would be, and `order.paid` is switched off here.
        me.http.patch(f"/webhook-endpoints/{made.json()['id']}", json={"enabled": False}).raise_for_status()
        me.endpoints.add(made.json()["id"])
        return turn, made.json()["id"]

    @rule(endpoint=endpoints)
    def drop_an_endpoint(self, endpoint: tuple[int, str]) -> None:
        turn, endpoint_id = endpoint
        me = self.merchants[turn]
        said = me.http.delete(f"/webhook-endpoints/{endpoint_id or 'whep_none'}")
        assert said.status_code == (204 if endpoint_id in me.endpoints else 404)
        me.endpoints.discard(endpoint_id)

    @rule(turn=st.integers(0, 1), shops=st.lists(st.sampled_from("abc"), unique=True))
    def say_where_the_checkout_is_framed(self, turn: int, shops: list[str]) -> None:
        me = self.merchants[turn]
        me.origins = [f"https://{shop}.example" for shop in shops]
        said = me.http.put("/checkout/origins", json={"origins": me.origins})
        assert (said.status_code, said.json()) == (200, {"origins": me.origins})
        for each in self.merchants:
            assert each.http.get("/checkout/origins").json() == {"origins": each.origins}

    @rule(target=keys, turn=st.integers(0, 1))
    def make_a_key(self, turn: int) -> tuple[int, str]:
        made = self.merchants[turn].http.post("/api-keys", json={"scopes": ["read"]})
        assert made.status_code in {201, 400}, made.text
        return turn, made.json().get("id", "")

    @rule(target=events, turn=st.integers(0, 1), data=st.data())
    def read_the_ledger(self, turn: int, data: st.DataObject) -> tuple[int, str]:
        told = self.merchants[turn].http.get("/events").json()["data"]
        return turn, data.draw(st.sampled_from(told))["id"] if told else ""

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

    @rule(target=recoveries, turn=st.integers(0, 1), data=st.data())
    def recover(self, turn: int, data: st.DataObject) -> tuple[int, str]:
        """What is sent again is the merchant's own: deliveries that failed, of which there are none here."""
        status = data.draw(st.sampled_from(["failed", "success"]))
        said = self.merchants[turn].http.post(
            "/webhooks/recover", json={"since": "2026-01-01T00:00:00Z", "status": status}
        )
        assert said.status_code == 202 or said.json()["error"]["reason"] == "too_many_recoveries", said.text
        return turn, said.json().get("id", "")

    @rule(recovery=recoveries, verb=st.sampled_from(["pause", "resume", "cancel"]))
    def hold_a_recovery(self, recovery: tuple[int, str], verb: str) -> None:
        turn, recovery_id = recovery
        if not recovery_id:
            return
        said = self.merchants[turn].http.post(f"/webhooks/recoveries/{recovery_id}/{verb}")
        assert said.status_code == 200 or said.json()["error"]["reason"] == "recovery_ended", said.text

    @rule(thing=orders | payments | refunds | deliveries | endpoints | keys | events | recoveries, data=st.data())
    def try_the_others(self, thing: tuple[int, str], data: st.DataObject) -> None:
        """Every call that takes an id, with an id of the other merchant: 404, and nothing has changed."""
        turn, its_id = thing
        if not its_id:
            return
        owner, thief = self.merchants[turn].http, self.merchants[1 - turn].http
        read, calls = _calls(its_id)
        before = owner.get(read)
        if before.status_code == 404:  # an endpoint that its owner has dropped
            return
        method, path, body = data.draw(st.sampled_from(calls))
        said = thief.request(method, path, json=body)
        assert said.status_code == 404, (method, path, said.text)
        assert said.json()["error"]["code"] == "NOT_FOUND"
        assert self.merchants[turn].merchant_id not in said.text
        after = owner.get(read)
        if not its_id.startswith(("dlv_", "rcv_")):  # a delivery and a recovery go on by themselves
            assert after.json() == before.json()

    @rule(thing=orders | payments | endpoints)
    def look_for_the_others(self, thing: tuple[int, str]) -> None:
        """Lists narrowed to what is the other merchant's hold nothing."""
        turn, its_id = thing
        filters = {"order": "/payments?order_id=", "pay": "/refunds?payment_id=", "whep": "/webhooks?endpoint="}
        if its_id:
            said = self.merchants[1 - turn].http.get(f"{filters[its_id.partition('_')[0]]}{its_id}")
            assert (said.status_code, said.json()["data"]) == (200, [])

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
    pay = {"order_id": its_id, "method": "upi", "vpa": "a1@psp"}
    order, payment, refund = f"/orders/{its_id}", f"/payments/{its_id}", f"/refunds/{its_id}"
    delivery, endpoint, event = f"/webhooks/{its_id}", f"/webhook-endpoints/{its_id}", f"/events/{its_id}"
    recovery = f"/webhooks/recoveries/{its_id}"
    calls: dict[str, tuple[str, list[tuple[str, str, Json | None]]]] = {
        "order": (order, [("GET", order, None), ("POST", "/payments", pay)]),
        "pay": (
            payment,
            [
                ("GET", payment, None),
                ("POST", f"{payment}/capture", {}),
                ("POST", f"{payment}/refunds", {"amount": 1}),
                ("GET", f"{payment}/refunds", None),
            ],
        ),
        "rfnd": (refund, [("GET", refund, None)]),
        "dlv": (delivery, [("GET", delivery, None), ("POST", f"{delivery}/retry", None)]),
        "whep": (
            endpoint,
            [
                ("GET", endpoint, None),
                ("PATCH", endpoint, {"enabled": True}),
                ("DELETE", endpoint, None),
                ("GET", f"{endpoint}/secret", None),
                ("POST", f"{endpoint}/secret/regenerate", {}),
                ("POST", "/webhooks/test", {"endpoint_id": its_id}),
                ("POST", "/webhooks/recover", {"since": "2026-01-01T00:00:00Z", "endpoint": its_id}),
                ("POST", "/webhooks/verify", {"endpoint_id": its_id, "body": "{}", "headers": {}}),
            ],
        ),
        "key": ("/api-keys", [("POST", f"/api-keys/{its_id}/revoke", None)]),
        "evt": (event, [("GET", event, None)]),
        "rcv": (
            recovery,
            [
                ("GET", recovery, None),
                ("POST", f"{recovery}/pause", None),
                ("POST", f"{recovery}/resume", None),
                ("POST", f"{recovery}/cancel", None),
            ],
        ),
    }
    return calls[its_id.partition("_")[0]]


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


def test_every_call_with_an_id_is_tried(config: Config) -> None:
    """A call of tomorrow that takes an id, and is not tried with the other merchant's, fails here."""
    ids = {"order": "order_id", "pay": "payment_id", "rfnd": "refund_id", "dlv": "delivery_id", "whep": "endpoint_id",
           "key": "key_id", "evt": "event_id", "rcv": "recovery_id"}  # fmt: skip
    tried = {
        (method.lower(), path.replace(f"{kind}_1", f"{{{name}}}"))
        for kind, name in ids.items()
        for method, path, _ in _calls(f"{kind}_1")[1]
    }
    described = {
        (method, path.removeprefix("/api/v1"))
        for path, calls in make_app(config).state.described()["paths"].items()
        for method in calls
        if "{" in path
    }
    assert described <= tried


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
