"""Shoppers pay in a shop's page: what its callbacks were told is what the database has and the webhook says."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from tests.checkout_e2e.buyer import Buyer, settled, started
from tests.checkout_e2e.stage import Stage
from tests.support.browser import PHONE, shopper

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_upi_collect(stage: Stage, buyer: Buyer) -> None:
    order = stage.order()
    await buyer.buy(order, prefill={"vpa": "success@paytm"})
    await expect(buyer["order-summary"]).to_contain_text("₹1,299.00")
    await expect(buyer["vpa-input"]).to_have_value("success@paytm")
    await buyer["pay-button"].click()
    await buyer.paid(order)
    await buyer.done()
    assert len(stage.payments(order)) == 1


async def test_upi_by_a_code_that_is_scanned(stage: Stage, buyer: Buyer) -> None:
    order = stage.order()
    await buyer.buy(order)
    await buyer["flow-qr"].check()
    with stage.held():
        await buyer["pay-button"].click()
        await expect(buyer.frame.get_by_role("img", name="QR code")).to_be_visible()
    await buyer.paid(order)


async def test_upi_by_an_app_on_a_phone(stage: Stage, browser: Browser) -> None:
    async with shopper(browser, viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce") as context:
        phone = Buyer(stage, await context.new_page())
        await phone.visit()
        order = stage.order()
        await phone.buy(order)
        await phone["flow-intent"].tap()
        with stage.held():
            await phone["pay-button"].tap()
            await expect(phone["open-app-link"]).to_be_visible()
            link = await phone["open-app-link"].get_attribute("href") or ""
        assert link.startswith("upi://pay?")
        assert "am=1299.00" in link
        await phone.paid(order)


async def test_by_card_on_a_page_with_a_strict_policy(stage: Stage, buyer: Buyer) -> None:
    """Nothing but its own and the checkout's origin is allowed there, and the browser refuses nothing."""
    policy = f"default-src 'self'; script-src 'self' {stage.url}; frame-src {stage.url}"
    for allowed in (policy, f"default-src 'self' {stage.url}"):
        await buyer.visit(stage.page_with({"Content-Security-Policy": allowed}))
        order = stage.order()
        await buyer.buy(order)
        await buyer.pay_by_card()
        await buyer.paid(order)
        await buyer.done()


async def test_a_failure_is_tried_again_in_the_same_dialog(stage: Stage, buyer: Buyer) -> None:
    order = stage.order()
    await buyer.buy(order)
    await buyer.pay_by_card("4000 0000 0000 0002")
    await expect(buyer["error-message"]).to_contain_text("declined by your bank")
    (failed,) = stage.payments(order)
    assert failed["status"] == "failed"
    (failure,) = await buyer.told()
    assert failure[0] == "failure"
    assert failure[1]["code"] == "card_declined"
    assert failure[1]["paymentId"] == failed["id"]
    await buyer["retry-button"].click()
    await buyer["method-upi"].click()
    await buyer.pay_by_upi()
    await buyer.paid(order, failure)
    assert [one["status"] for one in stage.payments(order)] == ["failed", "success"]


async def test_a_double_click_pays_once(stage: Stage, buyer: Buyer) -> None:
    order = stage.order()
    await buyer.buy(order)
    await buyer["vpa-input"].fill("success@paytm")
    await buyer["pay-button"].dblclick()
    await buyer.paid(order)
    assert len(stage.payments(order)) == 1


async def test_two_tabs_that_pay_at_the_same_moment_make_one_payment(
    stage: Stage, buyer: Buyer, context: BrowserContext
) -> None:
    """By different ways. Both pages are told of the one that it became."""
    order = stage.order()
    other = Buyer(stage, await context.new_page())
    await other.page.emulate_media(reduced_motion="reduce")
    await other.visit()
    await buyer.buy(order)
    await other.buy(order)
    await buyer["vpa-input"].fill("success@paytm")
    await other["flow-qr"].check()
    pay = "() => document.querySelector('[data-test-id=pay-button]').click()"
    with stage.held():
        await asyncio.gather(buyer.inner().evaluate(pay), other.inner().evaluate(pay))
        for one in (buyer, other):
            await expect(one["processing-state"]).to_be_visible()
        await started(stage, order)
    assert await buyer.paid(order) == await other.paid(order)
    assert len(stage.payments(order)) == 1


async def test_a_tab_whose_order_was_paid_in_another_finds_that_payment(
    stage: Stage, buyer: Buyer, context: BrowserContext
) -> None:
    order = stage.order()
    late = Buyer(stage, await context.new_page())
    await late.page.emulate_media(reduced_motion="reduce")
    await late.visit()
    await late.buy(order)
    await buyer.buy(order)
    await buyer.pay_by_upi()
    await buyer.paid(order)
    await late.front()
    await late.pay_by_upi("failure@psp")
    await late.paid(order)
    assert len(stage.payments(order)) == 1


async def escape_in_the_page(buyer: Buyer) -> None:
    await buyer.page.focus('[data-test-id="close-modal-button"]')
    await buyer.pressed("Escape")


WAYS = {
    "button": lambda buyer: buyer.page.click('[data-test-id="close-modal-button"]'),
    "Escape in the frame": lambda buyer: buyer.pressed("Escape"),
    "Escape in the page": escape_in_the_page,
    "backdrop": lambda buyer: buyer.page.mouse.click(20, 20),
}
STATE = """() => [document.documentElement.outerHTML, document.adoptedStyleSheets.length, frames.length, history.length,
  document.activeElement.id, getComputedStyle(document.documentElement).overflow]"""


async def test_closed_in_the_middle_it_is_paid_all_the_same(stage: Stage, buyer: Buyer) -> None:
    """However it is closed: told once, nothing stays in the page, and the merchant hears of the payment by webhook."""
    await buyer.page.focus("#buy")
    before = await buyer.page.evaluate(STATE)
    for n, (way, close) in enumerate(WAYS.items(), 1):
        order = stage.order()
        await buyer.buy(order)
        with stage.held():
            await buyer.pay_by_upi()
            await expect(buyer["processing-state"]).to_be_visible()
            await started(stage, order)
            await close(buyer)
            await expect(buyer.modal).to_have_count(0)
            assert await buyer.told() == [["close"]] * n, way
            assert await buyer.page.evaluate(STATE) == before, way
        await settled(stage, order)
    assert await buyer.told() == [["close"]] * len(WAYS)


async def test_opened_again_after_it_was_closed_in_the_middle_it_goes_on(stage: Stage, buyer: Buyer) -> None:
    order = stage.order()
    await buyer.buy(order)
    with stage.held():
        await buyer.pay_by_upi()
        await started(stage, order)
        await buyer.page.evaluate("checkout.close()")
        await buyer.page.evaluate("checkout.open()")
        await expect(buyer["processing-state"]).to_be_visible()
    await buyer.paid(order, ["close"])
    assert len(stage.payments(order)) == 1
