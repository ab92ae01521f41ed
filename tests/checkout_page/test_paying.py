"""One order is paid by one payment at a time, however often and from wherever somebody presses the button."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.checkout.app import make_app
from gateway.config import Config
from schema.invariants import broken
from tests.checkout_page.conftest import BY_CARD, COLLECT, Conn, Shop
from tests.gateway.conftest import Api, side_by_side
from tests.support.waiting import eventually
from tests.support.working import Hands


async def test_a_payment_by_upi_goes_through(shop: Shop, hands: Hands) -> None:
    shop.order("order_a", 129_900)
    page = await shop.open("order_a")
    assert page.boot["view"]["state"] == "ready"

    view = await page.pay()
    assert view["state"] == "processing"
    assert "success@paytm" not in str(view)
    assert (await page.state())["state"] == "processing"
    await hands.work_off("payment.process")

    view = await page.state()
    (payment,) = shop.payments()
    assert (view["state"], view["payment"]["id"]) == ("success", payment["id"])
    assert (payment["amount"], payment["currency"], payment["status"]) == (129_900, "INR", "success")
    again = await shop.open("order_a")
    assert again.boot["view"]["state"] == "success"
    assert again.text("payment-id") == payment["id"]


async def test_a_card_leaves_no_trace_but_brand_and_last_four(shop: Shop, hands: Hands, conn: Conn) -> None:
    shop.order("order_a")
    page = await shop.open("order_a")
    said = await page.try_to_pay(BY_CARD)
    assert said.json()["state"] == "processing"
    assert "4111" not in said.text
    (payment,) = shop.payments()
    assert (payment["card_brand"], payment["card_last4"]) == ("visa", "1111")
    assert payment["sealed_instrument"] is not None
    await hands.work_off("payment.process")
    assert shop.payments()[0]["sealed_instrument"] is None
    assert (await page.state())["state"] == "success"


async def test_a_failure_says_why_and_can_be_tried_again(shop: Shop, hands: Hands) -> None:
    shop.order("order_a")
    page = await shop.open("order_a")
    await page.pay({"method": "card", "card": {**BY_CARD["card"], "number": "4000000000009995"}})
    await hands.work_off("payment.process")
    view = await page.state()
    assert (view["state"], view["payment"]["error_code"]) == ("failed", "insufficient_funds")
    assert "not enough money" in view["payment"]["message"]
    assert (await shop.open("order_a")).boot["view"]["state"] == "ready"

    assert (await page.pay(attempt=2))["state"] == "processing"
    await hands.work_off("payment.process")
    assert (await page.state())["state"] == "success"
    assert [payment["status"] for payment in shop.payments()] == ["failed", "success"]


async def test_a_double_click_two_tabs_and_two_shoppers_make_one_payment(shop: Shop, conn: Conn) -> None:
    """Twenty requests of four pages at once, by UPI and card, with equal and other attempts."""
    shop.order("order_a")
    pages = [await shop.open("order_a") for _ in range(4)]
    bodies = [COLLECT, BY_CARD]
    views = await asyncio.gather(*(page.pay(bodies[n % 2], attempt=1 + n // 3) for page in pages for n in range(5)))
    assert {view["state"] for view in views} == {"processing"}
    assert len({view["payment"]["id"] for view in views}) == 1
    assert len(shop.payments()) == 1
    assert not broken(conn)


async def test_an_order_that_is_being_paid_through_the_api_is_not_paid_beside_it(shop: Shop, api: Api) -> None:
    shop.order("order_a")
    said = await api.post("/payments", {"order_id": "order_a", "method": "upi", "vpa": "shop@psp"})
    page = await shop.open("order_a")
    assert page.boot["view"]["payment"]["id"] == said.json()["id"]
    assert (await page.pay())["payment"]["id"] == said.json()["id"]
    assert len(shop.payments()) == 1


async def test_a_paid_order_shows_that_it_is_paid(shop: Shop, hands: Hands) -> None:
    """A page that stood open meanwhile does not pay again: it is shown the payment that did."""
    shop.order("order_a")
    page, other = await shop.open("order_a"), await shop.open("order_a")
    paid = await page.pay()
    await hands.work_off("payment.process")
    view = await other.pay(BY_CARD)
    assert (view["state"], view["payment"]["id"]) == ("success", paid["payment"]["id"])
    assert len(shop.payments()) == 1


async def test_an_order_that_many_pay_shows_each_shopper_only_the_own_payment(shop: Shop, hands: Hands) -> None:
    """Two shoppers donate at once; a double click of one of them still is one payment."""
    one, other = await shop.open("order_test_123"), await shop.open("order_test_123")
    twice = await asyncio.gather(one.pay(), one.pay(), one.pay(BY_CARD))
    assert len({view["payment"]["id"] for view in twice}) == 1
    assert (await other.state())["state"] == "ready"
    assert (await other.pay())["payment"]["id"] != twice[0]["payment"]["id"]
    assert (await one.pay(attempt=2))["payment"]["id"] == twice[0]["payment"]["id"]
    await hands.work_off("payment.process")
    assert (await one.state())["payment"]["id"] == twice[0]["payment"]["id"]
    assert (await one.pay(attempt=2))["state"] == "processing"
    assert len(shop.payments()) == 3


async def test_a_request_that_is_sent_again_is_the_same_payment_even_after_it_failed(shop: Shop, hands: Hands) -> None:
    """The first answer was lost: the page sends the attempt again, later, and does not charge a second time."""
    shop.order("order_a")
    page = await shop.open("order_a")
    first = await page.pay({**COLLECT, "vpa": "failure@psp"})
    await hands.work_off("payment.process")
    again = await page.pay({**COLLECT, "vpa": "success@psp"})
    assert (again["state"], again["payment"]["id"]) == ("failed", first["payment"]["id"])
    assert len(shop.payments()) == 1


async def test_qr_and_intent_give_the_link_that_carries_the_order_s_amount(shop: Shop) -> None:
    for n, flow in enumerate(("qr", "intent")):
        shop.order(f"order_{n}", 50_050)
        view = await (await shop.open(f"order_{n}")).pay({"method": "upi", "flow": flow})
        link = view["payment"]["link"]
        assert link.startswith("upi://pay?")
        assert link.endswith("&am=500.50")
        assert ("code" in view["payment"]) == (flow == "qr")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"method": "upi", "vpa": "nobody"}, "vpa_invalid"),
        ({"method": "upi"}, "vpa_missing"),
        ({"method": "card"}, "card_missing"),
        ({"method": "card", "card": {**BY_CARD["card"], "number": "4111111111111112"}}, "card_number_invalid"),
        ({"method": "card", "card": {**BY_CARD["card"], "expiry_year": 2020}}, "card_expired"),
        ({"method": "card", "card": {**BY_CARD["card"], "cvv": "1234"}}, "cvv_invalid"),
        ({"method": "cash"}, "field_invalid"),
        ([], "field_invalid"),
    ],
)
async def test_what_cannot_be_right_is_refused_as_the_api_does_and_may_be_mended(
    shop: Shop, body: Any, reason: str
) -> None:
    shop.order("order_a")
    page = await shop.open("order_a")
    said = await page.try_to_pay(body)
    assert (said.status_code, said.json()["error"]["reason"]) == (400, reason)
    assert "4111111111111112" not in said.text
    assert (await page.pay())["state"] == "processing"


@pytest.mark.parametrize("attempt", ["", "x", "1 ", "12345", "1:2", "-1"])
async def test_an_attempt_is_a_small_number(shop: Shop, attempt: str) -> None:
    shop.order("order_a")
    said = await (await shop.open("order_a")).try_to_pay(attempt=attempt)
    assert (said.status_code, said.json()["error"]["field"]) == (400, "Idempotency-Key")


async def test_upi_pays_rupees_only(shop: Shop) -> None:
    shop.order("order_a", 1250, "USD")
    page = await shop.open("order_a")
    assert 'data-upi="no"' in page.html
    said = await page.try_to_pay()
    assert (said.status_code, said.json()["error"]["reason"]) == (400, "currency_not_upi")
    assert (await page.pay(BY_CARD))["state"] == "processing"


async def test_a_stream_tells_when_the_payment_has_settled(shop: Shop, hands: Hands) -> None:
    """Each of many watchers is told; all of them together, whatever they watch, cost one statement a look."""
    pages = [await shop.open(shop.order(f"order_{n}")) for n in range(2)]
    for page in pages:
        await page.pay()
    progress = shop.progress

    async def all_watch() -> bool:
        return bool(progress.streams == 30)

    watching = [asyncio.create_task(page.call("GET", "events")) for page in pages for _ in range(15)]
    await eventually(all_watch)
    before = progress.asked
    await progress.look()
    assert progress.asked - before in (1, 2)  # the poller's own may fall into it
    await hands.work_off("payment.process")
    said = await asyncio.gather(*watching)

    for one in said:
        assert one.headers["content-type"].startswith("text/event-stream")
        events = [msgspec.json.decode(line[6:]) for line in one.text.splitlines() if line.startswith("data: ")]
        assert [event["state"] for event in events] == ["processing", "success"]
    assert progress.streams == 0
    assert not progress._waiting


async def test_a_stream_ends_before_the_time_that_a_request_may_take(
    config: Config, demo_merchant: str, conn: Conn
) -> None:
    """By itself and whole, so that no limit has to cut it; the page asks for the next one."""
    async with side_by_side(msgspec.structs.replace(config, request_timeout=0.5), make_app) as made:
        shop = Shop(made.client, conn)
        page = await shop.open(shop.order("order_a"))
        await page.pay()
        said = await page.call("GET", "events")
        assert (said.status_code, said.text.count("event: state")) == (200, 1)
        assert said.text.endswith(": still pending\n\n")
        assert shop.progress.streams == 0


async def test_where_streams_are_taken_the_page_is_told_to_ask(config: Config, demo_merchant: str, conn: Conn) -> None:
    async with side_by_side(msgspec.structs.replace(config, checkout_streams=0), make_app) as made:
        shop = Shop(made.client, conn)
        shop.order("order_a")
        page = await shop.open("order_a")
        assert (await page.call("GET", "events")).status_code == 200  # nothing is in flight: it ends at once
        await page.pay()
        said = await page.call("GET", "events")
        assert (said.status_code, said.json()["error"]["reason"]) == (503, "streams_taken")
        assert (await page.state())["state"] == "processing"


async def test_one_address_does_not_take_all_streams(config: Config, demo_merchant: str, conn: Conn) -> None:
    """It asks from time to time instead, as everybody does where they are taken; others still listen."""
    behind = msgspec.structs.replace(config, checkout_streams=20, trusted_proxies="0.0.0.0/0", request_timeout=60)
    async with side_by_side(behind, make_app) as made:
        shop = Shop(made.client, conn)
        page = await shop.open(shop.order("order_a"))
        await page.pay()
        here, there = ({"X-Forwarded-For": f"198.51.100.{n}"} for n in (1, 2))
        streams = [asyncio.create_task(page.call("GET", "events", headers=here)) for _ in range(2)]

        async def listening() -> bool:
            return bool(shop.progress.streams == 2)

        await eventually(listening)
        said = await page.call("GET", "events", headers=here)
        assert (said.status_code, said.json()["error"]["reason"]) == (503, "streams_taken")
        streams.append(asyncio.create_task(page.call("GET", "events", headers=there)))

        async def listens_too() -> bool:
            return bool(shop.progress.streams == 3)

        await eventually(listens_too)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        assert not shop.progress._from


async def test_a_stream_tells_nothing_more_to_a_page_whose_key_was_revoked(
    config: Config, demo_merchant: str, conn: Conn, hands: Hands
) -> None:
    async with side_by_side(msgspec.structs.replace(config, credential_ttl=0), make_app) as made:
        shop = Shop(made.client, conn)
        page = await shop.open(shop.order("order_a"))
        await page.pay()
        listening = asyncio.create_task(page.call("GET", "events"))

        async def listens() -> bool:
            return bool(shop.progress.streams)

        await eventually(listens)
        conn.execute("UPDATE api_keys SET revoked_at = now()")
        await hands.work_off("payment.process")
        said = await listening
    assert said.text.count("event: state") == 1
    assert '"state":"success"' not in said.text


async def test_of_fifty_that_pay_at_two_processes_one_does(config: Config, shop: Shop, conn: Conn) -> None:
    """Ten pages, five tries of each at once, half of them at another process that has its own connections and memory.
    In the rush some are told to come again (503); no try makes a second payment, then or later."""
    shop.order("order_a")
    async with side_by_side(config, make_app) as other:
        pages = [await shop.open("order_a") for _ in range(10)]
        for n, page in enumerate(pages):
            page.client = (shop.client, other.client)[n % 2]
        tries = [(page, BY_CARD if n % 2 else COLLECT, n) for page in pages for n in range(5)]
        said = await asyncio.gather(*(page.try_to_pay(body, attempt=n) for page, body, n in tries))
        assert {one.status_code for one in said} <= {200, 503}
        again = await asyncio.gather(*(page.pay(body, attempt=n) for page, body, n in tries))
    (payment,) = shop.payments()
    assert {one["payment"]["id"] for one in again} == {payment["id"]}
    assert {one.json()["payment"]["id"] for one in said if one.status_code == 200} == {payment["id"]}
    assert not broken(conn)


async def test_a_refund_does_not_open_an_order_again(shop: Shop, api: Api, hands: Hands) -> None:
    shop.order("order_a", 5000)
    page, other = await shop.open("order_a"), await shop.open("order_a")
    payment = (await page.pay())["payment"]["id"]
    await hands.work_off("payment.process")
    assert (await api.post(f"/payments/{payment}/refunds", {})).status_code == 201
    await hands.work_off("refund.process")

    view = await other.pay(BY_CARD)
    assert (view["state"], view["payment"]["id"]) == ("success", payment)
    assert (await shop.open("order_a")).boot["view"]["state"] == "success"
    assert len(shop.payments()) == 1


async def test_the_number_of_a_try_belongs_to_its_session(shop: Shop, hands: Hands) -> None:
    """Whoever uses the numbers of others finds his own payments, and not theirs."""
    one, other = await shop.open("order_test_123"), await shop.open("order_test_123")
    mine = (await one.pay(attempt=1))["payment"]["id"]
    await hands.work_off("payment.process")
    assert (await other.pay(attempt=1))["payment"]["id"] != mine
    assert (await one.pay(BY_CARD, attempt=1))["payment"]["id"] == mine
    assert len(shop.payments()) == 2
