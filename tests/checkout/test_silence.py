"""A frame that does not answer: the shopper is told after 15 s and can try again; who comes late is still welcome."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.checkout.driving import CLOSE, IFRAME, MODAL, said, shown, told, visit
from tests.checkout.origins import Checkout, Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SORRY = "The payment form did not load. Check your connection, then try again."
UNAVAILABLE = [
    "failure",
    {"code": "CHECKOUT_UNAVAILABLE", "description": "The payment form did not load within 15 seconds."},
]


async def _open(page: Page, shop: Shop, checkout: Checkout, more: dict[str, str]) -> None:
    await page.clock.install(time=NOON)
    await visit(page, shop, checkout)
    await page.clock.pause_at(NOON + timedelta(hours=1))  # from here on, only the test moves the clock
    await page.evaluate("(more) => { window.open1 = pay(more) }", more)


async def test_after_15_seconds_the_shopper_is_told(page: Page, shop: Shop, checkout: Checkout) -> None:
    await _open(page, shop, checkout, {"orderId": "silent"})
    await expect(page.get_by_role("status")).to_have_text("Loading the payment form…")
    await expect(page.locator(IFRAME)).to_be_hidden()
    await page.clock.run_for(14_000)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await page.clock.run_for(1_500)
    await expect(page.get_by_role("alert")).to_have_text(SORRY)
    await expect(page.get_by_role("status")).to_be_hidden()
    assert await told(page) == [UNAVAILABLE]
    for _ in range(3):
        await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('#payment-gateway-modal') !== null")
    await page.click(CLOSE)
    await page.clock.run_for(60_000)
    assert await told(page) == [UNAVAILABLE, ["close"]]


async def test_trying_again_loads_a_new_frame_and_the_old_one_is_not_heard(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    """Without an entry in the history: Back would only bring back the frame that failed."""
    await _open(page, shop, checkout, {"orderId": "silent"})
    was = await page.evaluate("history.length")
    await page.clock.run_for(15_500)
    await page.evaluate("window.old = document.querySelector('[data-test-id=payment-iframe]')")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("status")).to_be_visible()
    await expect(page.get_by_role("alert")).to_be_hidden()
    assert await page.evaluate("[old.isConnected, document.querySelectorAll('iframe').length]") == [False, 1]
    assert await page.evaluate("document.activeElement.dataset.testId") == "close-modal-button"
    await page.clock.run_for(15_500)
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_role("button", name="Try again").click()
    element = await page.locator(IFRAME).element_handle()
    frame = element and await element.content_frame()
    assert frame
    await frame.wait_for_load_state()
    await said(frame, "payment_success", {"paymentId": "pay_1", "orderId": "silent", "status": "success"})
    await shown(page)
    assert await page.evaluate("history.length") == was
    assert [kind for kind, *_ in await told(page)] == ["failure", "failure", "success"]


async def test_who_comes_late_is_welcome(page: Page, shop: Shop, checkout: Checkout) -> None:
    """An answer after 20 s puts the form in the place of the apology; the patience ends with the answer."""
    await _open(page, shop, checkout, {"orderId": "silent"})
    await page.clock.run_for(20_000)
    await expect(page.get_by_role("alert")).to_be_visible()
    await said(page.frames[1], "checkout_ready")
    await shown(page)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await page.clock.run_for(60_000)
    assert await told(page) == [UNAVAILABLE]


async def test_a_frame_that_answered_may_take_its_time(page: Page, shop: Shop, checkout: Checkout) -> None:
    await _open(page, shop, checkout, {})
    await shown(page)
    await page.clock.run_for(600_000)
    assert await told(page) == []
    await expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("what", ["an error page", "nobody listens", "led to another origin"])
async def test_whatever_kept_the_form_away_can_be_tried_again(
    page: Page, shop: Shop, checkout: Checkout, what: str
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/checkout"
        checkout.moved["moved"] = shop.put("<script>parent.postMessage({ type: 'checkout_ready' }, '*')</script>")
        more = {
            "an error page": {"orderId": "away"},
            "nobody listens": {"checkoutUrl": nobody},
            "led to another origin": {"orderId": "moved"},
        }[what]
        await _open(page, shop, checkout, more)
        await page.clock.run_for(15_500)
        await expect(page.get_by_role("alert")).to_have_text(SORRY)
        await expect(page.locator(IFRAME)).to_be_hidden()
        await expect(page.get_by_role("button", name="Try again")).to_be_enabled()
        assert await told(page) == [UNAVAILABLE]
        await page.keyboard.press("Escape")
        await expect(page.locator(MODAL)).to_have_count(0)
