"""What the frame says becomes callbacks, once; what anybody else says does nothing."""

from __future__ import annotations

import pytest
from playwright.async_api import Frame, Page, expect

from tests.checkout.driving import IFRAME, MODAL, heard, opened, said, shown, told, visit
from tests.checkout.origins import Checkout, Shop
from tests.support.browser import wrong

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAID = {"paymentId": "pay_1", "orderId": "order_1", "status": "success"}
DECLINED = {"code": "card_declined", "description": "The bank declined the card.", "paymentId": "pay_0"}


async def test_a_success_is_told_once_and_nothing_after_it(page: Page, shop: Shop, checkout: Checkout) -> None:
    """The dialog stays, for the shopper to read that it worked; the frame closes it."""
    await visit(page, shop, checkout)
    frame = await opened(page)
    await said(frame, "payment_success", PAID)
    await said(frame, "payment_success", PAID)
    await said(frame, "payment_success", PAID | {"paymentId": "pay_2"})
    await said(frame, "payment_failed", DECLINED)
    assert await told(page) == [["success", PAID]]
    await expect(page.locator(MODAL)).to_be_visible()
    await frame.evaluate("say('close_modal')")
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await told(page) == [["success", PAID], ["close"]]


async def test_each_failed_payment_is_told_once_and_may_be_tried_again(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    await visit(page, shop, checkout)
    frame = await opened(page)
    await said(frame, "payment_failed", DECLINED)
    await said(frame, "payment_failed", DECLINED)
    await said(frame, "payment_failed", DECLINED | {"paymentId": "pay_01"})
    await said(frame, "payment_failed", {"code": "UNAVAILABLE", "description": "Try later."})
    await said(frame, "payment_failed")
    await said(frame, "payment_success", PAID)
    assert await told(page) == [
        ["failure", DECLINED],
        ["failure", DECLINED | {"paymentId": "pay_01"}],
        ["failure", {"code": "UNAVAILABLE", "description": "Try later."}],
        ["failure", {"code": "PAYMENT_FAILED", "description": ""}],
        ["success", PAID],
    ]


async def test_opened_anew_it_may_be_told_anew(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    for _ in range(2):
        frame = await opened(page)
        await said(frame, "payment_success", PAID)
        await page.evaluate("open1.close()")
    assert await told(page) == [["success", PAID], ["close"]] * 2


async def test_a_merchant_may_close_in_a_callback(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    await page.evaluate(
        "const onSuccess = () => { told.push('success'); made.close(); made.close() };const made = pay({ onSuccess })"
    )
    frame = await shown(page)
    await frame.evaluate("(paid) => say('payment_success', paid)", PAID)
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await told(page) == ["success", ["close"]]


async def test_a_callback_that_throws_is_reported_and_hurts_only_itself(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    await visit(page, shop, checkout)
    await page.evaluate(
        "window.open1 = pay({ onSuccess() { throw Error('in onSuccess') }, onClose() { throw Error('in onClose') } })"
    )
    frame = await shown(page)
    await said(frame, "payment_success", PAID)
    async with page.expect_event("pageerror", predicate=lambda error: str(error) == "in onClose"):
        await page.evaluate("open1.close()")
    assert await page.locator(MODAL).count() == 0
    assert wrong(page) == ["in onSuccess", "in onClose"]
    wrong(page).clear()


async def test_words_of_a_wrong_shape_are_no_words(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    frame = await opened(page)
    for words in (
        {"type": "payment_success", "data": PAID | {"orderId": "order_of_another"}},
        {"type": "payment_success", "data": {"orderId": "order_1", "status": "success"}},
        {"type": "payment_success", "data": PAID | {"paymentId": 7}},
        {"type": "payment_success", "data": "pay_1"},
        {"type": "payment_success"} | PAID,
        {"type": "payment_succeeded", "data": PAID},
        {"type": {"payment_success": 1}, "data": PAID},
        {"type": None, "data": PAID},
        ["payment_success", PAID],
        "payment_success",
        7,
        None,
    ):
        await frame.evaluate("(words) => parent.postMessage(words, '*')", words)
        await heard(frame)
        assert await told(page) == [], words
    await said(frame, "payment_success", PAID)
    assert await told(page) == [["success", PAID]]


_OTHER = (
    "const other = Object.assign(document.createElement('iframe'), { src });"
    "const there = new Promise(done => (other.onload = done)); document.body.append(other); return there"
)
FORGED = {
    "by the page itself": "window.postMessage(forged, '*')",
    "by an event that a script made up": (
        "const { contentWindow: source } = document.querySelector('[data-test-id=payment-iframe]');"
        "window.dispatchEvent(new MessageEvent('message', { data: forged, origin: checkout, source }))"
    ),
    "by another frame of the checkout's origin": f"const src = checkout + '/checkout?order_id=silent'; {_OTHER}",
    "by a frame of another origin": f"const src = '/'; {_OTHER}",
}


async def test_forged_messages_do_nothing(page: Page, shop: Shop, checkout: Checkout) -> None:
    """Right in every word, and from the wrong window or origin."""
    for how in FORGED:
        await _is_deaf(page, shop, checkout, how)


async def _is_deaf(page: Page, shop: Shop, checkout: Checkout, how: str) -> None:
    await visit(page, shop, checkout)
    frame = await opened(page)
    for forged in (
        {"type": "payment_success", "data": PAID},
        {"type": "payment_failed", "data": DECLINED},
        {"type": "close_modal"},
    ):
        await page.evaluate(f"async ([forged, checkout]) => {{ {FORGED[how]} }}", [forged, checkout.url])
        for other in page.frames[2:]:
            await other.evaluate("async (forged) => parent.postMessage(forged, '*')", forged)
            await other.evaluate("new Promise(done => setTimeout(done))")
    await page.evaluate(
        "new Promise(done => { addEventListener('message', done, { once: true }); postMessage('last', '*') })"
    )
    await heard(frame)
    assert await told(page) == []
    await expect(page.locator(MODAL)).to_be_visible()


async def test_a_frame_that_was_led_elsewhere_is_not_believed_and_told_nothing(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    """The window is ours, the origin is not: a bank's page, or worse. Back at the checkout, it is believed again."""
    stranger = shop.put(
        "<script>const heard = []; onmessage = (event) => heard.push(event.data);"
        "parent.postMessage({ type: 'checkout_ready' }, '*')</script>"
    )
    await visit(page, shop, checkout)
    frame = await opened(page, {"prefill": {"email": "asha@example.com"}})
    home = frame.url
    frame = await _led(page, frame, stranger)
    for forged in ({"type": "payment_success", "data": PAID}, {"type": "close_modal"}):
        await frame.evaluate("(forged) => parent.postMessage(forged, '*')", forged)
    await page.evaluate(
        "new Promise(done => { addEventListener('message', done, { once: true }); postMessage('last', '*') })"
    )
    assert await frame.evaluate("heard") == []
    assert await told(page) == []
    frame = await _led(page, frame, home)
    await said(frame, "payment_success", PAID)
    assert await told(page) == [["success", PAID]]


async def _led(page: Page, frame: Frame, url: str) -> Frame:
    async with page.expect_event("framenavigated", predicate=lambda navigated: navigated.url == url) as led:
        await frame.evaluate("(url) => { setTimeout(() => location.replace(url)) }", url)
    frame = await led.value
    await frame.wait_for_load_state()
    return frame


async def test_what_is_personal_travels_in_a_message_to_the_checkout_alone(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    """Not in an address, which servers log and browsers remember; with everything the page wants to be shown."""
    await visit(page, shop, checkout, head="<base href='/shop/'>")
    prefill = {"name": "Asha Rao", "email": "asha@example.com", "contact": "+919000000000", "vpa": "asha@upi"}
    frame = await opened(
        page,
        {
            "amount": 50000,
            "name": "Corner Shop",
            "description": "Two chairs",
            "image": "logo.png",
            "prefill": prefill,
            "theme": {"color": "#0A7c59"},
        },
    )
    (first,) = await frame.evaluate("heard")
    version = await page.evaluate("PaymentGateway.version")
    assert first == {
        "origin": shop.url,
        "data": {
            "type": "checkout_options",
            "data": {
                "version": version,
                "amount": 50000,
                "name": "Corner Shop",
                "description": "Two chairs",
                "image": f"{shop.url}/shop/logo.png",
                "prefill": prefill,
            },
        },
    }
    # A colour tells nothing of anybody, and the form stands in it from the first moment.
    assert checkout.asked[-1].endswith("&embedded=true&color=%230A7c59")
    assert not any("asha" in asked.lower() for asked in checkout.asked)
    assert await frame.evaluate("document.referrer") == shop.url + "/"
    assert await page.locator(IFRAME).get_attribute("allow") == "payment; clipboard-write"
