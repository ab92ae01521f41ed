"""The demo shop prices by itself, asks the gateway with its keys, and believes webhooks alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from typing import Any

import httpx
import pytest

from demo_shop import orders
from demo_shop.app import Settings
from demo_shop.cart import Cart
from demo_shop.catalogue import TEAS, rupees
from demo_shop.orders import Orders
from gateway.config import Config
from tests.demo_shop.conftest import CHECKOUT, KEYS, Shopper, ready, selling
from tests.dispatcher.test_delivery import dispatching
from tests.gateway.conftest import Api
from tests.support.processes import ROOT
from tests.support.waiting import eventually


async def test_the_server_prices_whatever_the_page_says(shopper: Shopper) -> None:
    """A basket with prices of its own, unknown teas and absurd numbers is what the catalogue makes of it."""
    await shopper.http.post("/basket", data={"tea": "assam", "quantity": "2", "price": "1", "amount": "1"})
    await shopper.http.post("/orders?amount=1", data={"amount": "1", "total": "1"})
    till = await shopper.order()
    order = await shopper.at_the_gateway(f"/orders/{till['orderId']}")

    assert (order["amount"], order["currency"], order["status"]) == (2 * 42_000 + 6_000, "INR", "created")
    assert order["receipt"] in till["description"]
    assert "₹900" in (await shopper.http.get("/basket")).text
    for wrong in ({"tea": "gold", "quantity": "1"}, {"tea": "assam", "quantity": "-1"}, {"tea": "assam"}):
        assert (await shopper.http.post("/basket", data=wrong)).status_code == 400


@pytest.mark.parametrize(
    "cookie", ["", "x", "0" * 24 + "_assam-0", "0" * 24 + "_assam-1_assam", "0" * 24 + "_assam-99"]
)
def test_a_basket_that_makes_no_sense_is_an_empty_one(cookie: str) -> None:
    assert Cart.read(cookie).lines == ()


def test_a_basket_survives_its_cookie() -> None:
    cart = Cart.read("").with_quantity("assam", 12).with_quantity("kahwa", 1).with_quantity("kangra", 1)
    cart = cart.with_quantity("kangra", 0)

    assert Cart.read(cart.cookie) == cart
    assert (cart.count, cart.goods, cart.delivery) == (10, 9 * 42_000 + 74_000, 0)
    assert Cart.read("0" * 24 + "_gold-1_assam-1").count == 1  # what is no longer sold is left out


def test_the_same_basket_is_one_order() -> None:
    """Its name is the basket's, so that nobody else's is."""
    one, other = (Cart.read("").with_quantity("assam", 1) for _ in range(2))

    assert one.key == Cart.read(one.cookie).key
    assert one.key not in {other.key, one.with_quantity("assam", 2).key}


async def test_pressed_twice_at_once_it_is_one_order(shopper: Shopper) -> None:
    """Also after the shop has forgotten everything: the gateway knows the basket's Idempotency-Key."""
    await shopper.put("nilgiri")
    tills = await asyncio.gather(*(shopper.order() for _ in range(5)))
    plain = await shopper.http.post("/orders")

    assert len({till["orderId"] for till in tills}) == 1
    assert (plain.status_code, plain.headers["location"]) == (303, tills[0]["page"])
    assert len((await shopper.at_the_gateway("/orders"))["data"]) == 1


async def test_the_page_gets_nothing_that_is_secret(shopper: Shopper) -> None:
    await shopper.put("assam")
    till = await shopper.order()
    pages = [(await shopper.http.get(path)).text for path in ("/", "/basket", till["page"])]

    assert till["key"] == KEYS[0]
    assert not [page for page in [*pages, json.dumps(till)] if KEYS[1] in page or "whsec_" in page]


async def test_an_order_is_paid_when_the_webhook_came(config: Config, shopper: Shopper) -> None:
    """Not before: not by what a browser says, nor by the payment itself while nobody told."""
    await shopper.put("assam")
    till = await shopper.order()
    await shopper.pay(till)
    assert await shopper.state(till) == "waiting"

    async with dispatching(config):
        await eventually(lambda: _is(shopper, till, "paid"))

    order = await shopper.at_the_gateway(f"/orders/{till['orderId']}")
    assert order["status"] == "paid"
    assert "Paid. We are packing." in (await shopper.http.get(till["page"])).text
    again = await shopper.http.post("/orders", headers={"Accept": "application/json"})
    assert again.status_code == 303  # the basket was emptied with it
    sent = await shopper.at_the_gateway("/webhooks?status=success")
    assert {one["event"] for one in sent["data"]} == {"payment.success", "order.paid"}


async def test_a_failed_payment_is_told_and_may_be_followed_by_another(config: Config, shopper: Shopper) -> None:
    await shopper.put("kangra", 2)
    till = await shopper.order()
    async with dispatching(config):
        await shopper.pay(till, "failure@paytm")

        async def refused() -> bool:
            return '<p class="problem" >The last try did not go' in (await shopper.http.get(till["page"])).text

        await eventually(refused)
        await shopper.pay(till)
        await eventually(lambda: _is(shopper, till, "paid"))


async def test_a_forged_success_marks_nothing(shopper: Shopper) -> None:
    """Neither the browser's word nor a webhook that anybody could have made; each is refused, and nothing is paid."""
    await shopper.put("masala")
    till = await shopper.order()
    told = {"id": till["orderId"], "amount": 42_000, "currency": "INR", "status": "paid"}
    body = json.dumps({"id": "evt_1", "event": "order.paid", "timestamp": 1, "data": {"order": told}}).encode()
    now = str(int(time.time()))
    forged: list[dict[str, str]] = [
        {},
        {"X-Webhook-Signature": hmac.new(b"whsec_test_abc123", body, hashlib.sha256).hexdigest()},
        _signed(b"whsec_test_abc123", body, "evt_1", now),
        _signed(b"", body, "evt_1", now),
        _signed(KEYS[1].encode(), body, "evt_1", now),
        {"webhook-id": "evt_1", "webhook-timestamp": now, "webhook-signature": "v1,"},
    ]

    for headers in forged:
        assert (await shopper.http.post("/webhook", content=body, headers=headers)).status_code == 401
    for method in ("POST", "PUT", "PATCH"):
        for path in (till["page"], f"{till['page']}?thanks", f"{till['page']}/progress"):
            said = await shopper.http.request(method, path, data={"status": "paid", "paymentId": "pay_1"})
            assert said.status_code == 405
    await shopper.http.post("/orders", data={"status": "paid"})
    assert await shopper.state(till) == "waiting"
    assert 'data-state="unpaid"' in (await shopper.http.get(till["page"])).text


async def test_a_genuine_webhook_is_no_use_to_who_recorded_it(api: Api, merchant: None) -> None:
    """Signed right, it is taken once; with another time or another id, its signature is wrong."""
    async with selling(api) as shopper:
        await ready(shopper)
        (endpoint,) = (await shopper.at_the_gateway("/webhook-endpoints"))["data"]
        secret = (await shopper.at_the_gateway(f"/webhook-endpoints/{endpoint['id']}/secret"))["webhook_secret"]
        key = base64.b64decode(secret.removeprefix("whsec_"))
        await shopper.put("masala")
        till = await shopper.order()
        told = {"order_id": till["orderId"], "amount": 42_000, "currency": "INR", "status": "failed"}
        body = json.dumps({"event": "payment.failed", "data": {"payment": told}}).encode()
        now = int(time.time())
        good = _signed(key, body, "evt_1", str(now))

        assert (await shopper.http.post("/webhook", content=body, headers=good)).status_code == 200
        for wrong in (
            {**good, "webhook-id": "evt_2"},
            {**good, "webhook-timestamp": str(now + 1)},
            _signed(key, body, "evt_2", str(now - 301)),
        ):
            assert (await shopper.http.post("/webhook", content=body, headers=wrong)).status_code == 401
        assert (await shopper.http.post("/webhook", content=body + b" ", headers=good)).status_code == 401


def test_each_event_is_acted_on_once_and_in_any_order() -> None:
    """A failure that comes late undoes nothing; another amount, and what is not ours, change nothing."""
    kept = Orders()
    order = kept.place(Cart.read("").with_quantity("assam", 1), "order_1")
    paid = _event("order.paid", "order", id="order_1", status="paid", amount=48_000, currency="INR")
    failed = _event("payment.failed", "payment", order_id="order_1", status="failed", error_description="No money.")

    assert "no order of ours" in kept.hear("evt_0", _event("order.paid", "order", id="order_2", status="paid"))
    assert "not paid" in kept.hear("evt_1", failed)
    assert (order.paid_at, order.refused) == (None, "No money.")
    for n, wrong in enumerate([{"amount": 47_999}, {"currency": "USD"}, {"amount": None}]):
        told = {**paid["data"]["order"], **wrong}
        assert "another amount" in kept.hear(f"evt_2{n}", {**paid, "data": {"order": told}})
    assert order.paid_at is None
    assert "paid" in kept.hear("evt_3", paid)
    assert (order.paid_at is not None, order.refused) == (True, None)
    assert kept.hear("evt_3", paid) == "a duplicate"
    assert kept.hear("evt_4", failed) == "known"
    assert order.refused is None
    assert kept.hear("evt_5", {"event": "webhook.test", "data": {}}) == "nothing for us"
    test = {**_event("order.paid", "order", id="order_1", status="paid"), "test": True}
    assert kept.hear("evt_6", test) == "a test"


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "KEPT_ORDERS", 3)
    monkeypatch.setattr(orders, "REMEMBERED_IDS", 2)
    kept = Orders()
    carts = [Cart.read("").with_quantity("assam", 1) for _ in range(5)]
    for n, cart in enumerate(carts):
        kept.place(cart, f"order_{n}")
        kept.hear(f"evt_{n}", {"event": "webhook.test"})

    assert [bool(kept.find(cart.key)) for cart in carts] == [False, False, True, True, True]
    assert len(kept._by_gateway_id) == 3
    assert kept.hear("evt_4", {}) == "a duplicate"
    assert kept.hear("evt_0", {}) == "nothing for us"


async def test_it_has_one_endpoint_however_often_it_starts(api: Api, merchant: None, shopper: Shopper) -> None:
    """And mends it: what was turned off while it was away is on again, for the events that it wants."""
    (before,) = (await shopper.at_the_gateway("/webhook-endpoints"))["data"]
    port = int(shopper.url.rstrip("/").rpartition(":")[2])
    async with selling(api) as other:
        await ready(other)
        assert len((await other.at_the_gateway("/webhook-endpoints"))["data"]) == 2  # another URL is another shop
    await shopper.patch_endpoint(before["id"], {"enabled": False, "events": ["refund.*"]})
    assert before["url"] == f"http://127.0.0.1:{port}/webhook"

    async with selling(api, url=before["url"]) as again:
        await ready(again)
        (after, _) = (await again.at_the_gateway("/webhook-endpoints"))["data"]

    assert (after["id"], after["enabled"]) == (before["id"], True)
    assert after["events"] == before["events"] == ["order.paid", "payment.failed", "payment.success"]


async def test_it_waits_for_a_gateway_that_is_not_there_yet(api: Api, merchant: None) -> None:
    """It shows its teas meanwhile; nothing is ordered, and webhooks are asked to come again."""
    gateway = Moody(api.client._transport)
    async with selling(api, transport=gateway) as shopper:
        await shopper.put("assam")
        assert (await shopper.http.get("/health")).status_code == 503
        assert (await shopper.http.get("/")).status_code == 200
        assert (await shopper.http.post("/webhook", content=b"{}")).status_code == 503
        said = await shopper.http.post("/orders", headers={"Accept": "application/json"})
        assert said.status_code == 503
        assert "nothing was charged" in said.json()["error"]

        gateway.away = False
        await ready(shopper)
        await shopper.order()


async def test_answers_that_get_lost_make_no_second_endpoint_and_no_second_order(api: Api, merchant: None) -> None:
    gateway = Moody(api.client._transport, away=False, loses=1)
    async with selling(api, transport=gateway) as shopper:
        await ready(shopper)
        assert gateway.loses == 0
        assert len((await shopper.at_the_gateway("/webhook-endpoints"))["data"]) == 1
        await shopper.put("assam")
        gateway.loses = 1
        till = await shopper.order()

        assert gateway.loses == 0
        assert [one["id"] for one in (await shopper.at_the_gateway("/orders"))["data"]] == [till["orderId"]]


@pytest.mark.parametrize(
    ("credentials", "why"),
    [({"key": "", "secret": ""}, "LEDGATE_DEMO_SHOP_KEY"), ({"secret": "wrong"}, "API key or secret is wrong")],
)
async def test_without_credentials_it_is_closed_and_says_why(
    api: Api, merchant: None, credentials: dict[str, str], why: str
) -> None:
    """It is up, so that what starts it does not wait for ever; nothing can be bought."""
    async with selling(api, **credentials) as shopper:

        async def closed() -> Any:
            said = await shopper.http.get("/health")
            return said.status_code == 200 and said.json()

        assert why in (await eventually(closed))["reason"]
        assert why in (await shopper.http.get("/")).text
        await shopper.put("assam")
        assert re.search(r'id="pay" disabled', (await shopper.http.get("/basket")).text)
        assert (await shopper.http.post("/orders")).status_code == 503


async def test_its_pages_are_strict(shopper: Shopper) -> None:
    """Nothing inline, nothing from anywhere but the checkout; on refusals too."""
    await shopper.put("kahwa")
    till = await shopper.order()

    for path in ("/", "/basket", till["page"], f"{till['page']}?thanks", "/orders/nobody", "/nothing"):
        said = await shopper.http.get(path)
        policy = dict(part.split(" ", 1) for part in said.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert (policy["script-src"], policy["frame-src"]) == (f"'self' {CHECKOUT}", CHECKOUT)
        assert "unsafe" not in said.headers["content-security-policy"]
        assert not re.search(r'<style| style="|<script>|\son\w+=|javascript:', said.text)
        assert not [url for url in re.findall(r'(?:src|href)="(https?:[^"]+)', said.text) if CHECKOUT not in url]


async def test_other_sites_fill_no_baskets(shopper: Shopper) -> None:
    for origin in ("https://evil.example", "null"):
        said = await shopper.http.post("/basket", data={"tea": "assam", "quantity": "1"}, headers={"Origin": origin})
        assert said.status_code == 403
    mine = await shopper.http.post(
        "/basket", data={"tea": "assam", "quantity": "1"}, headers={"Origin": shopper.url.rstrip("/")}
    )
    assert mine.status_code == 303
    assert all(word in mine.headers["set-cookie"] for word in ("HttpOnly", "SameSite=Lax"))


def test_amounts_are_written_as_in_india() -> None:
    amounts = {0: "₹0", 6_000: "₹60", 100_000: "₹1,000", 12_990_050: "₹1,29,900.50", 1_000_000_000: "₹1,00,00,000"}

    assert {paise: rupees(paise) for paise in amounts} == amounts
    assert all(tea.price > 0 for tea in TEAS.values())


def test_the_verifier_is_the_test_merchant_s() -> None:
    """Copied, so that each example is whole by itself; and the same, so that a mend reaches both."""
    ours, its = (
        ROOT / "examples" / path / "signature.py" for path in ("demo-shop/demo_shop", "test-merchant/test_merchant")
    )

    assert ours.read_text() == its.read_text()


def test_its_settings_tell_no_secret() -> None:
    assert "s3cret" not in repr(Settings("http://a", "http://b", "http://c", "key", "s3cret"))


class Moody(httpx.AsyncBaseTransport):
    """The way to the gateway: away, or losing the next answers of POSTs."""

    def __init__(self, there: httpx.AsyncBaseTransport, *, away: bool = True, loses: int = 0) -> None:
        self._there = there
        self.away = away
        self.loses = loses

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("nobody there")
        answer = await self._there.handle_async_request(request)
        if self.loses and request.method == "POST":
            self.loses -= 1
            raise httpx.ReadError("cut")
        return answer


async def _is(shopper: Shopper, till: dict[str, Any], state: str) -> bool:
    return await shopper.state(till) == state


def _event(name: str, kind: str, **told: Any) -> dict[str, Any]:
    return {"id": "evt", "event": name, "timestamp": 1, "data": {kind: told}}


def _signed(key: bytes, body: bytes, webhook_id: str, timestamp: str) -> dict[str, str]:
    content = b".".join((webhook_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}
