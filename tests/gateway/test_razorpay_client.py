"""The `razorpay` Python client, as merchants have it, pointed at us: what carries over, and what does not.

Same: Basic auth, orders (create, fetch, all), payments (fetch, all, capture), refunds (fetch, all, of a payment),
amounts in paise, `{"error": {code, description, field, reason}}` and the exceptions that it becomes.
Not the same: a refund is `POST /payments/{id}/refunds` (theirs is `/refund`, or `POST /refunds` with `payment_id`);
pages are `limit` and `offset` (theirs `count` and `skip`) in `data` (theirs `items`); there is no `entity` field, no
`/orders/{id}/payments` (`/payments?order_id=` here), no editing of orders; `created_at` is text, not seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import razorpay
from razorpay.errors import BadRequestError

from gateway import demo
from gateway.config import load
from tests.support.processes import Stack, stack
from tests.support.waiting import until


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Stack]:
    with stack(database_url, tmp_path) as made:
        asyncio.run(demo.seed(database_url, load(made.env)))
        made.start_receiver()
        made.start_api()
        made.start_dispatcher()
        yield made


def test_orders_payments_and_refunds_through_their_client(shop: Stack) -> None:
    client = razorpay.Client(auth=(demo.KEY_ID, demo.SECRET), base_url=f"{shop.url}/api")

    order = client.order.create({"amount": 50000, "currency": "INR", "receipt": "r-1", "notes": {"k": "v"}})
    assert (order["amount_due"], order["status"], order["notes"]) == (50000, "created", {"k": "v"})
    assert client.order.fetch(order["id"]) == order
    assert client.order.all({"limit": 1})["data"] == [order]

    started = client.order.post_url("/v1/payments", {"order_id": order["id"], "method": "upi", "vpa": "user@paytm"})
    until(lambda: client.payment.fetch(started["id"])["status"] == "success", what="success")
    assert client.order.fetch(order["id"])["status"] == "paid"
    assert client.payment.all({"order_id": order["id"]})["data"][0]["id"] == started["id"]

    captured = client.payment.capture(started["id"], 50000)
    assert (captured["captured"], captured["amount_captured"]) == (True, 50000)
    with pytest.raises(BadRequestError, match="captured"):
        client.payment.capture(started["id"], 50000)

    refund = client.payment.post_url(f"/v1/payments/{started['id']}/refunds", {"amount": 20000, "reason": "Broken"})
    assert (refund["amount"], refund["status"]) == (20000, "pending")
    until(lambda: client.refund.fetch(refund["id"])["status"] == "processed", what="processed")
    assert [one["id"] for one in client.payment.fetch_multiple_refund(started["id"])["data"]] == [refund["id"]]
    assert [one["id"] for one in client.refund.all({"payment_id": started["id"]})["data"]] == [refund["id"]]
    assert client.payment.fetch(started["id"])["amount_refunded"] == 20000


def test_refusals_become_their_exceptions(shop: Stack) -> None:
    client = razorpay.Client(auth=(demo.KEY_ID, demo.SECRET), base_url=f"{shop.url}/api")
    wrong = razorpay.Client(auth=(demo.KEY_ID, "guess"), base_url=f"{shop.url}/api")

    with pytest.raises(BadRequestError, match="amount"):
        client.order.create({"amount": 0, "currency": "INR"})
    with pytest.raises(BadRequestError, match="count is not a parameter"):
        client.payment.all({"count": 5})
    with pytest.raises(Exception, match="wrong"):
        wrong.order.all()
