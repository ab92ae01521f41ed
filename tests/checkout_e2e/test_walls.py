"""What browser, SDK and checkout keep out: frames elsewhere, and words of anybody but each other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Frame, Page, expect

from tests.checkout_e2e.buyer import Buyer, started
from tests.checkout_e2e.stage import Stage
from tests.support.browser import wrong

pytestmark = pytest.mark.asyncio(loop_scope="session")
SORRY = "The payment form did not load. Check your connection, then try again."


@pytest_asyncio.fixture(loop_scope="session")
async def origins(stage: Stage) -> AsyncIterator[Stage]:
    """Where the checkout may be framed is put back."""
    yield stage
    stage.ask("PUT", "checkout/origins", {"origins": []})


async def test_on_an_origin_that_is_not_allowed_the_browser_refuses_the_frame(origins: Stage, buyer: Buyer) -> None:
    """The shop's developer reads why on the console, the shopper after 15 s that it did not load, and may try again;
    which works as soon as the merchant has allowed the origin."""
    order = origins.order()
    origins.ask("PUT", "checkout/origins", {"origins": ["https://shop.example", "http://localhost:1"]})
    await buyer.page.clock.install()
    await buyer.visit()
    async with buyer.page.expect_console_message(lambda line: "frame-ancestors" in line.text):
        await buyer.page.evaluate("(id) => { buy(id) }", order)
    wrong(buyer.page).clear()
    await buyer.page.clock.run_for(15_500)
    await expect(buyer.page.get_by_role("alert")).to_have_text(SORRY)
    (told,) = await buyer.told()
    assert told[0] == "failure"
    assert told[1]["code"] == "CHECKOUT_UNAVAILABLE"
    assert "checkout-form" not in "".join([await frame.content() for frame in buyer.page.frames])

    origins.ask("PUT", "checkout/origins", {"origins": [origins.shop.url]})
    await buyer.page.get_by_role("button", name="Try again").click()
    await buyer.ready()
    await buyer.page.clock.resume()
    await buyer.pay_by_upi()
    await buyer.paid(order, told)


PAID = {"paymentId": "pay_forged", "status": "success"}
DECLINED = {"code": "forged", "description": "Forged", "paymentId": "pay_forged"}
OTHER = "async (src) => { const one = document.createElement('iframe'); one.src = src; document.body.append(one);"
OTHER += "await new Promise((done) => { one.onload = done }) }"


async def test_forged_words_to_the_page_do_nothing(stage: Stage, buyer: Buyer) -> None:
    """True in every word, from any window or origin but the two that count, while a payment is in flight."""
    order = stage.order()
    await buyer.buy(order)
    forged = [
        {"type": "payment_success", "data": PAID | {"orderId": order}},
        {"type": "payment_failed", "data": DECLINED},
        {"type": "close_modal"},
    ]
    with stage.held():
        await buyer.pay_by_upi()
        await started(stage, order)
        # The page itself, plainly and by events that name the right origin and the right window.
        await buyer.page.evaluate(
            """([all, origin]) => {
            const source = document.querySelector("[data-test-id=payment-iframe]").contentWindow;
            for (const data of all) { postMessage(data, "*");
              window.dispatchEvent(new MessageEvent("message", { data, origin, source }));
              window.dispatchEvent(new MessageEvent("message", { data, origin, source: window })); } }""",
            [forged, stage.url],
        )
        # A frame of another origin, and the real checkout of another order, beside the true one.
        for src in (stage.shop.url, f"{stage.url}/checkout?order_id={stage.order()}&key=key_test_abc123"):
            await buyer.page.evaluate(OTHER, src)
            await _say(buyer.page.frames[-1], "[parent]", forged)
        # Another window, of the shop's and of the checkout's origin.
        for address in (stage.shop.url, f"{stage.url}/checkout?order_id={stage.order()}&key=key_test_abc123"):
            async with buyer.page.expect_popup() as popped:
                await buyer.page.evaluate("(address) => { open(address) }", address)
            popup = await popped.value
            await popup.wait_for_load_state()
            await _say(popup, "[opener || parent]", forged)
            await popup.close()
        await buyer.page.evaluate("new Promise(done => { onmessage = done; postMessage('last', '*') })")
        assert await buyer.told() == []
        await expect(buyer["processing-state"]).to_be_visible()
    await buyer.paid(order)


async def test_forged_words_to_the_checkout_do_nothing(stage: Stage, buyer: Buyer) -> None:
    """It heeds the window around it, of the origin that the browser names; and there is little that can be said."""
    order = stage.order()
    await buyer.buy(order, theme={"color": "#0a7c59"})
    await expect(buyer.frame.locator("#description")).to_have_text("Two chairs")
    forged: list[Any] = [
        {"type": "checkout_options", "data": {"name": "Forged", "amount": 1, "prefill": {"vpa": "forged@psp"}}},
        {"type": "payment_success", "data": PAID | {"orderId": order}},
        {"type": "close_modal"},
        "checkout_options",
        None,
    ]
    frame = "document.querySelector('[data-test-id=payment-iframe]').contentWindow"
    # A window of the shop's own origin that is not the one around the frame, and a stranger's frame beside it.
    async with buyer.page.expect_popup() as popped:
        await buyer.page.evaluate("(address) => { open(address) }", stage.shop.url)
    popup = await popped.value
    await popup.wait_for_load_state()
    await _say(popup, f"[opener.{frame}]", forged)
    await popup.close()
    for src in (stage.shop.url, f"{stage.url}/checkout?order_id={stage.order()}&key=key_test_abc123"):
        await buyer.page.evaluate(OTHER, src)
        await _say(buyer.page.frames[-1], "Array.from({ length: parent.length }, (_, n) => parent.frames[n])", forged)
    # Heard after them.
    await buyer.page.evaluate(
        f"(to) => {frame}.postMessage({{ type: 'checkout_options', data: {{ description: 'Last' }} }}, to)", stage.url
    )
    await expect(buyer.frame.locator("#description")).to_have_text("Last")
    await expect(buyer.frame.locator("#name")).to_have_text("Corner Shop")
    await expect(buyer["vpa-input"]).to_have_value("")
    assert await buyer.told() == []
    await buyer.pay_by_upi()
    await buyer.paid(order)
    assert [one["amount"] for one in stage.payments(order)] == [129_900]


async def _say(speaker: Frame | Page, to: str, messages: list[Any]) -> None:
    """Have a window or frame say things to windows; it has spoken when it is told of a message of its own."""
    await speaker.evaluate(
        f"(all) => {{ for (const w of {to}) for (const one of all) w.postMessage(one, '*') }}", messages
    )
    await speaker.evaluate("new Promise((done) => { onmessage = done; postMessage('sent', '*') })")


async def test_the_key_in_the_page_opens_nothing_else(stage: Stage, buyer: Buyer) -> None:
    """Whatever a stranger does with what stands in the shop's source: the API refuses it, as it lacks the secret."""
    answers = await buyer.page.evaluate(
        """async (base) => Promise.all(["orders", "payments", "webhooks", "checkout/origins"].map(async (path) => {
        const headers = { "X-Api-Key": "key_test_abc123" };
        try { return (await fetch(`${base}/api/v1/${path}`, { headers })).status } catch { return "unreadable" } }))""",
        stage.stack.url,
    )
    assert all(re.fullmatch(r"401|unreadable", str(one)) for one in answers), answers
