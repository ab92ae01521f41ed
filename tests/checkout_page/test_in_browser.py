"""A shopper's way through the page, in Debian's Chromium: to the end, and where it goes wrong."""

from __future__ import annotations

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Route, expect

from tests.checkout_page.browsing import REUSABLE, Hosted, Tab
from tests.support.browser import PHONE, shopper
from tests.support.slow import slow_down

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def tab(hosted: Hosted, context: BrowserContext) -> Tab:
    return Tab(hosted, await context.new_page())


async def test_upi_goes_through_to_the_payment_that_the_database_has(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order(12_990_050)
    await tab.open(order)
    await expect(tab["order-summary"]).to_contain_text("₹1,29,900.50")
    await expect(tab["pay-button"]).to_have_text("Pay ₹1,29,900.50")
    await tab.pay_by_upi()
    await expect(tab["processing-state"]).to_be_visible()
    await expect(tab["checkout-form"]).to_be_hidden()
    await hosted.pending(order)
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    (payment,) = hosted.payments(order)
    await expect(tab["payment-id"]).to_have_text(payment["id"])
    assert (payment["status"], payment["amount"]) == ("success", 12_990_050)
    assert await tab.page.evaluate("sessionStorage.length") == 0


async def test_a_card_is_checked_while_it_is_typed_fails_and_is_tried_again(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    await tab.open(order)
    await tab["method-card"].click()
    number, expiry, cvv = tab["card-number-input"], tab["expiry-input"], tab["cvv-input"]
    await number.press_sequentially("4000000000000001")
    await expect(number).to_have_value("4000 0000 0000 0001")
    await expect(tab.page.locator("#number-error")).to_have_text("Check the card number: a digit seems to be wrong")
    await number.press("Backspace")
    await number.press("2")
    await expect(tab.page.locator("#number-error")).to_have_text("")
    await expect(tab.page.locator("#brand")).to_have_attribute("aria-label", "Visa")
    await expiry.press_sequentially("124")
    await expect(expiry).to_have_value("12 / 4")
    await expiry.press("0")
    await cvv.press_sequentially("12a34")
    await expect(cvv).to_have_value("123")
    await tab["pay-button"].click()
    await expect(tab["cardholder-name-input"]).to_be_focused()
    await tab["cardholder-name-input"].fill("Asha Rao")
    await tab["pay-button"].click()
    await hosted.pending(order)
    await hosted.settle()
    await expect(tab["error-state"]).to_be_visible()
    await expect(tab["error-message"]).to_contain_text("declined by your bank")

    await tab["retry-button"].click()
    await expect(tab["checkout-form"]).to_be_visible()
    await number.fill("5555555555554444")
    await tab["pay-button"].click()
    await hosted.pending(order, 2)
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    assert [payment["status"] for payment in hosted.payments(order)] == ["failed", "success"]
    await expect(number).to_have_value("")


EXPIRIES = {
    "825": "08 / 25", "08/2030": "08 / 30", "8/30": "08 / 30", "1": "1", "12": "12 / ", "1230": "12 / 30",
}  # fmt: skip


async def test_an_expiry_may_be_typed_in_any_way(hosted: Hosted, tab: Tab) -> None:
    await tab.open(REUSABLE)
    await tab["method-card"].click()
    for typed, shown in EXPIRIES.items():
        await tab["expiry-input"].fill("")
        await tab["expiry-input"].press_sequentially(typed)
        await expect(tab["expiry-input"]).to_have_value(shown)


async def test_american_express_has_its_own_groups_and_four_digits_of_cvv(tab: Tab) -> None:
    await tab.open(REUSABLE)
    await tab["method-card"].click()
    await tab["card-number-input"].fill("378282246310005")
    await expect(tab["card-number-input"]).to_have_value("3782 822463 10005")
    await tab["cvv-input"].fill("12345")
    await expect(tab["cvv-input"]).to_have_value("1234")


async def test_a_upi_id_is_checked_on_the_spot(tab: Tab) -> None:
    await tab.open(REUSABLE)
    await tab["pay-button"].click()
    await expect(tab.page.locator("#vpa-error")).to_have_text("Enter your UPI ID")
    await expect(tab["vpa-input"]).to_be_focused()
    await tab["vpa-input"].fill("asha@")
    await expect(tab.page.locator("#vpa-error")).to_have_text("Enter a UPI ID such as name@bank")
    await tab["vpa-input"].press_sequentially("okbank")
    await expect(tab.page.locator("#vpa-error")).to_have_text("")
    await expect(tab.page.locator(".right .fine")).to_be_visible()


async def test_a_double_click_and_two_tabs_are_one_payment(hosted: Hosted, context: BrowserContext, tab: Tab) -> None:
    order = hosted.order()
    other = Tab(hosted, await context.new_page())
    await tab.open(order)
    await other.open(order)
    await tab["vpa-input"].fill("success@paytm")
    await tab["pay-button"].dblclick()
    await expect(tab["processing-state"]).to_be_visible()
    await other.fill_card()
    await other["pay-button"].click()
    await expect(other["processing-state"]).to_be_visible()
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    await expect(other["success-state"]).to_be_visible()
    (payment,) = hosted.payments(order)
    await expect(other["payment-id"]).to_have_text(payment["id"])


@pytest.mark.parametrize("reusable", [False, True])
async def test_a_reload_in_the_middle_goes_on_where_it_was(hosted: Hosted, tab: Tab, *, reusable: bool) -> None:
    """Once the shopper has seen the end, an order that many pay shows its form anew."""
    order = REUSABLE if reusable else hosted.order()
    before = len(hosted.payments(order))
    await tab.open(order)
    await tab.pay_by_upi()
    await expect(tab["processing-state"]).to_be_visible()
    payment = await hosted.pending(order, before + 1)
    await tab.open(order)
    await expect(tab["processing-state"]).to_be_visible()
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    await expect(tab["payment-id"]).to_have_text(payment)
    assert len(hosted.payments(order)) == before + 1
    await tab.open(order)
    await expect(tab["checkout-form" if reusable else "success-state"]).to_be_visible()


async def test_a_dispatcher_that_is_away_is_told_calmly(hosted: Hosted, tab: Tab) -> None:
    """Nothing fails and nothing is sent again: the page says that it takes longer, and goes on when it does."""
    await tab.page.clock.install()
    order = hosted.order()
    await tab.open(order)
    await tab.pay_by_upi()
    await expect(tab["processing-state"]).to_contain_text("Confirming your payment")
    await hosted.pending(order)
    await expect(tab["processing-state"]).to_contain_text("Approve the request in your UPI app")
    await tab.page.clock.run_for(13_000)
    await expect(tab["processing-state"]).to_contain_text("Still processing")
    await expect(tab["processing-state"]).to_contain_text("you will not be charged twice")
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    assert len(hosted.payments(order)) == 1


async def test_a_server_that_is_away_is_waited_for_and_paid_once(hosted: Hosted, tab: Tab) -> None:
    """Killed before the payment arrives: the page sends the same attempt until somebody answers."""
    order = hosted.order()
    await tab.open(order)
    hosted.process.kill()
    await tab["vpa-input"].fill("success@paytm")
    await tab["pay-button"].click()
    await expect(tab["processing-state"]).to_contain_text("Waiting for the connection")
    assert hosted.payments(order) == []
    hosted.start()
    await hosted.pending(order)
    await expect(tab["processing-state"]).to_contain_text("Confirming your payment")
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    assert len(hosted.payments(order)) == 1


async def test_offline_in_the_middle_is_no_failure(hosted: Hosted, context: BrowserContext, tab: Tab) -> None:
    order = hosted.order()
    await tab.open(order)
    await tab.pay_by_upi()
    await hosted.pending(order)
    await context.set_offline(True)
    await expect(tab["processing-state"]).to_contain_text("Waiting for the connection")
    await hosted.settle()
    await context.set_offline(False)
    await expect(tab["success-state"]).to_be_visible()


async def test_who_comes_back_from_another_app_is_told_at_once(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    await tab.open(order)
    await tab.pay_by_upi()
    await hosted.pending(order)
    back = "setInterval(() => document.dispatchEvent(new Event('visibilitychange')), 100)"  # until the page waits
    async with tab.page.expect_request("**/checkout/state"):
        await tab.page.evaluate(back)
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()


async def test_without_streams_the_page_asks_from_time_to_time(hosted: Hosted, tab: Tab) -> None:
    await tab.page.route("**/checkout/events", lambda route: route.fulfill(status=503, body="{}"))
    order = hosted.order()
    await tab.open(order)
    await tab.pay_by_upi()
    await hosted.pending(order)
    async with tab.page.expect_request("**/checkout/state"):
        pass
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()


async def test_an_answer_that_is_lost_is_asked_for_again(hosted: Hosted, tab: Tab) -> None:
    """The payment was made, and the network swallowed that it was."""
    lost: list[int] = []

    async def swallow(route: Route) -> None:
        if lost:
            await route.continue_()
        else:
            lost.append((await route.fetch()).status)
            await route.abort()

    await tab.page.route("**/checkout/pay", swallow)
    order = hosted.order()
    await tab.open(order)
    await tab.pay_by_upi()
    await hosted.pending(order)
    await expect(tab["processing-state"]).to_be_visible()
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    assert lost == [200]
    assert len(hosted.payments(order)) == 1


async def test_a_qr_code_is_shown_and_paid(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    await tab.open(order)
    await tab.page.locator("label", has_text="QR code").click()
    await expect(tab["vpa-input"]).to_be_hidden()
    await tab["pay-button"].click()
    code = tab.page.get_by_role("img", name="QR code to pay with UPI")
    await expect(code).to_be_visible()
    assert (await tab["open-app-link"].get_attribute("href") or "").startswith("upi://pay?pa=mer_demo@ledgate&")
    await hosted.pending(order)
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()


async def test_a_phone_is_offered_its_upi_app_and_a_desk_is_not(hosted: Hosted, browser: Browser, tab: Tab) -> None:
    await tab.open(REUSABLE)
    await expect(tab.page.get_by_text("UPI app", exact=True)).to_be_hidden()
    async with shopper(browser, viewport=PHONE, has_touch=True, is_mobile=True) as context:
        phone = Tab(hosted, await context.new_page())
        order = hosted.order()
        await phone.open(order)
        await expect(phone.page.get_by_text("UPI app", exact=True)).to_be_visible()
        await phone["flow-intent"].tap()
        await phone["pay-button"].tap()
        await expect(phone["open-app-link"]).to_be_visible()
        assert await phone.page.evaluate("document.documentElement.scrollWidth") == 360


async def test_without_javascript_the_page_says_so(hosted: Hosted, browser: Browser) -> None:
    async with shopper(browser, java_script_enabled=False) as context:
        still = Tab(hosted, await context.new_page())
        await still.go(hosted.address(REUSABLE))
        await expect(still.page.locator("noscript h2")).to_be_visible()
        await expect(still["order-summary"]).to_contain_text("₹500.00")
        await expect(still["checkout-form"]).to_be_hidden()


async def test_a_script_that_never_comes_is_told_after_a_while(hosted: Hosted, tab: Tab) -> None:
    """Something on the shopper's side blocks it: no script can say so, the style sheet does."""
    await tab.page.route("**/*.js", lambda route: route.abort())
    await tab.page.goto(hosted.address(REUSABLE))
    late = tab.page.locator("#late")
    assert await late.evaluate("note => getComputedStyle(note).animationDelay") == "8s"
    await late.evaluate("note => note.getAnimations()[0].finish()")
    await expect(late).to_be_visible()
    await expect(late).to_contain_text("could not be loaded")


async def test_slow_javascript_shows_the_form_at_once_and_sends_nothing_before(hosted: Hosted, tab: Tab) -> None:
    held: list[Route] = []
    released: list[bool] = []

    async def hold(route: Route) -> None:
        if released:
            await route.continue_()
        else:
            held.append(route)

    await tab.page.route("**/page.js", hold)
    await tab.page.goto(hosted.address(REUSABLE), wait_until="commit")
    await expect(tab["vpa-input"]).to_be_visible()
    await expect(tab["pay-button"]).to_be_disabled()
    await tab["vpa-input"].fill("success@paytm")
    await tab["vpa-input"].press("Enter")
    assert "vpa" not in tab.page.url
    released.append(True)
    for route in held:
        await route.continue_()
    await tab.ready()
    await expect(tab["pay-button"]).to_be_enabled()
    await expect(tab["vpa-input"]).to_have_value("success@paytm")


async def test_a_slow_network_gets_a_form_and_pays(hosted: Hosted, tab: Tab) -> None:
    """The second time its scripts are in the cache: none runs before the last of the page has come, and fails."""
    await tab.open(REUSABLE)
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    await slow_down(tab.page)
    order = hosted.order()
    await tab.open(order)
    assert [url for url in asked if "-1/" in url] == []
    await tab.pay_by_upi()
    await hosted.pending(order)
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    assert len(hosted.payments(order)) == 1


@pytest.mark.parametrize("name", ["page.js", "fields.js", "page.css"])
async def test_a_file_that_does_not_come_is_asked_for_again(hosted: Hosted, tab: Tab, name: str) -> None:
    failed: list[str] = []

    async def fail_first(route: Route) -> None:
        if not failed:
            failed.append(route.request.url)
            await route.abort()
        else:
            await route.continue_()

    await tab.page.route(f"**/{name}", fail_first)
    await tab.open(REUSABLE)
    assert failed
    await expect(tab["pay-button"]).to_be_enabled()
    await expect(tab["pay-button"]).to_have_css("background-color", "rgb(47, 111, 237)")


async def test_the_keyboard_is_enough(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    await tab.open(order)
    keys = tab.page.keyboard
    await keys.press("Tab")
    await expect(tab["method-upi"]).to_be_focused()
    await keys.press("ArrowRight")
    await expect(tab["method-card"]).to_be_focused()
    await expect(tab["card-number-input"]).to_be_visible()
    await keys.press("ArrowRight")
    await expect(tab["method-upi"]).to_be_focused()
    await keys.press("Tab")
    await expect(tab["flow-collect"]).to_be_focused()
    await keys.press("ArrowRight")
    await expect(tab["flow-qr"]).to_be_checked()
    await keys.press("ArrowLeft")
    await keys.press("Tab")
    await expect(tab["vpa-input"]).to_be_focused()
    await keys.type("failure@psp")
    await keys.press("Tab")
    await expect(tab["pay-button"]).to_be_focused()
    await keys.press("Enter")
    await hosted.pending(order)
    await expect(tab.page.locator("#processing-title")).to_be_focused()
    await hosted.settle()
    await expect(tab.page.locator("#failed-title")).to_be_focused()
    await keys.press("Tab")
    await expect(tab["retry-button"]).to_be_focused()
    await keys.press("Enter")
    await expect(tab["method-upi"]).to_be_focused()
