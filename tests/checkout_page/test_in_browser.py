"""A shopper's way through the page, in Debian's Chromium: to the end, and where it goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from tests.checkout_page.browsing import PHONE, REUSABLE, Hosted, Tab, browsing, hosting, shopper


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosting(tmp_path_factory.mktemp("checkout")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as made:
        yield made


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with shopper(browser) as made:
        yield made


@pytest.fixture
def tab(hosted: Hosted, context: BrowserContext) -> Iterator[Tab]:
    made = Tab(hosted, context.new_page())
    yield made
    assert made.wrong == []


def test_upi_goes_through_to_the_payment_that_the_database_has(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order(12_990_050)
    tab.open(order)
    expect(tab["order-summary"]).to_contain_text("₹1,29,900.50")
    expect(tab["pay-button"]).to_have_text("Pay ₹1,29,900.50")
    tab.pay_by_upi()
    expect(tab["processing-state"]).to_be_visible()
    expect(tab["checkout-form"]).to_be_hidden()
    hosted.pending(order)
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    (payment,) = hosted.payments(order)
    expect(tab["payment-id"]).to_have_text(payment["id"])
    assert (payment["status"], payment["amount"]) == ("success", 12_990_050)
    assert tab.page.evaluate("sessionStorage.length") == 0


def test_a_card_is_checked_while_it_is_typed_fails_and_is_tried_again(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    tab.open(order)
    tab["method-card"].click()
    number, expiry, cvv = tab["card-number-input"], tab["expiry-input"], tab["cvv-input"]
    number.press_sequentially("4000000000000001")
    expect(number).to_have_value("4000 0000 0000 0001")
    expect(tab.page.locator("#number-error")).to_have_text("Check the card number: a digit seems to be wrong")
    number.press("Backspace")
    number.press("2")
    expect(tab.page.locator("#number-error")).to_have_text("")
    expect(tab.page.locator("#brand")).to_have_attribute("aria-label", "Visa")
    expiry.press_sequentially("124")
    expect(expiry).to_have_value("12 / 4")
    expiry.press("0")
    cvv.press_sequentially("12a34")
    expect(cvv).to_have_value("123")
    tab["pay-button"].click()
    expect(tab["cardholder-name-input"]).to_be_focused()
    tab["cardholder-name-input"].fill("Asha Rao")
    tab["pay-button"].click()
    hosted.pending(order)
    hosted.settle()
    expect(tab["error-state"]).to_be_visible()
    expect(tab["error-message"]).to_contain_text("declined by your bank")

    tab["retry-button"].click()
    expect(tab["checkout-form"]).to_be_visible()
    number.fill("5555555555554444")
    tab["pay-button"].click()
    hosted.pending(order, 2)
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    assert [payment["status"] for payment in hosted.payments(order)] == ["failed", "success"]
    expect(number).to_have_value("")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("825", "08 / 25"), ("08/2030", "08 / 30"), ("8/30", "08 / 30"), ("1", "1"), ("12", "12 / "), ("1230", "12 / 30")],
)
def test_an_expiry_may_be_typed_in_any_way(hosted: Hosted, tab: Tab, typed: str, shown: str) -> None:
    tab.open(REUSABLE)
    tab["method-card"].click()
    tab["expiry-input"].press_sequentially(typed)
    expect(tab["expiry-input"]).to_have_value(shown)


def test_american_express_has_its_own_groups_and_four_digits_of_cvv(tab: Tab) -> None:
    tab.open(REUSABLE)
    tab["method-card"].click()
    tab["card-number-input"].fill("378282246310005")
    expect(tab["card-number-input"]).to_have_value("3782 822463 10005")
    tab["cvv-input"].fill("12345")
    expect(tab["cvv-input"]).to_have_value("1234")


def test_a_upi_id_is_checked_on_the_spot(tab: Tab) -> None:
    tab.open(REUSABLE)
    tab["pay-button"].click()
    expect(tab.page.locator("#vpa-error")).to_have_text("Enter your UPI ID")
    expect(tab["vpa-input"]).to_be_focused()
    tab["vpa-input"].fill("asha@")
    expect(tab.page.locator("#vpa-error")).to_have_text("Enter a UPI ID such as name@bank")
    tab["vpa-input"].press_sequentially("okbank")
    expect(tab.page.locator("#vpa-error")).to_have_text("")
    expect(tab.page.locator(".right .fine")).to_be_visible()


def test_a_double_click_and_two_tabs_are_one_payment(hosted: Hosted, context: BrowserContext, tab: Tab) -> None:
    order = hosted.order()
    other = Tab(hosted, context.new_page())
    tab.open(order)
    other.open(order)
    tab["vpa-input"].fill("success@paytm")
    tab["pay-button"].dblclick()
    expect(tab["processing-state"]).to_be_visible()
    other.fill_card()
    other["pay-button"].click()
    expect(other["processing-state"]).to_be_visible()
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    expect(other["success-state"]).to_be_visible()
    (payment,) = hosted.payments(order)
    expect(other["payment-id"]).to_have_text(payment["id"])


@pytest.mark.parametrize("reusable", [False, True])
def test_a_reload_in_the_middle_goes_on_where_it_was(hosted: Hosted, tab: Tab, *, reusable: bool) -> None:
    """Once the shopper has seen the end, an order that many pay shows its form anew."""
    order = REUSABLE if reusable else hosted.order()
    before = len(hosted.payments(order))
    tab.open(order)
    tab.pay_by_upi()
    expect(tab["processing-state"]).to_be_visible()
    payment = hosted.pending(order, before + 1)
    tab.open(order)
    expect(tab["processing-state"]).to_be_visible()
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    expect(tab["payment-id"]).to_have_text(payment)
    assert len(hosted.payments(order)) == before + 1
    tab.open(order)
    expect(tab["checkout-form" if reusable else "success-state"]).to_be_visible()


def test_a_dispatcher_that_is_away_is_told_calmly(hosted: Hosted, tab: Tab) -> None:
    """Nothing fails and nothing is sent again: the page says that it takes longer, and goes on when it does."""
    tab.page.clock.install()
    order = hosted.order()
    tab.open(order)
    tab.pay_by_upi()
    expect(tab["processing-state"]).to_contain_text("Confirming your payment")
    hosted.pending(order)
    tab.page.clock.run_for(13_000)
    expect(tab["processing-state"]).to_contain_text("Still processing")
    expect(tab["processing-state"]).to_contain_text("you will not be charged twice")
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    assert len(hosted.payments(order)) == 1


def test_a_server_that_is_away_is_waited_for_and_paid_once(hosted: Hosted, tab: Tab) -> None:
    """Killed before the payment arrives: the page sends the same attempt until somebody answers."""
    order = hosted.order()
    tab.open(order)
    hosted.process.kill()
    tab["vpa-input"].fill("success@paytm")
    tab["pay-button"].click()
    expect(tab["processing-state"]).to_contain_text("Waiting for the connection")
    assert hosted.payments(order) == []
    hosted.start()
    hosted.pending(order)
    expect(tab["processing-state"]).to_contain_text("Confirming your payment")
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    assert len(hosted.payments(order)) == 1


def test_offline_in_the_middle_is_no_failure(hosted: Hosted, context: BrowserContext, tab: Tab) -> None:
    order = hosted.order()
    tab.open(order)
    tab.pay_by_upi()
    hosted.pending(order)
    context.set_offline(True)
    expect(tab["processing-state"]).to_contain_text("Waiting for the connection")
    hosted.settle()
    context.set_offline(False)
    expect(tab["success-state"]).to_be_visible()


def test_who_comes_back_from_another_app_is_told_at_once(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    tab.open(order)
    tab.pay_by_upi()
    hosted.pending(order)
    with tab.page.expect_request("**/checkout/state"):
        tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()


def test_without_streams_the_page_asks_from_time_to_time(hosted: Hosted, tab: Tab) -> None:
    tab.page.route("**/checkout/events", lambda route: route.fulfill(status=503, body="{}"))
    order = hosted.order()
    tab.open(order)
    tab.pay_by_upi()
    hosted.pending(order)
    with tab.page.expect_request("**/checkout/state"):
        pass
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()


def test_an_answer_that_is_lost_is_asked_for_again(hosted: Hosted, tab: Tab) -> None:
    """The payment was made, and the network swallowed that it was."""
    lost: list[int] = []

    def swallow(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch().status)
            route.abort()

    tab.page.route("**/checkout/pay", swallow)
    order = hosted.order()
    tab.open(order)
    tab.pay_by_upi()
    hosted.pending(order)
    expect(tab["processing-state"]).to_be_visible()
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    assert lost == [200]
    assert len(hosted.payments(order)) == 1


def test_a_qr_code_is_shown_and_paid(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    tab.open(order)
    tab.page.locator("label", has_text="QR code").click()
    expect(tab["vpa-input"]).to_be_hidden()
    tab["pay-button"].click()
    code = tab.page.get_by_role("img", name="QR code to pay with UPI")
    expect(code).to_be_visible()
    assert tab["open-app-link"].get_attribute("href").startswith("upi://pay?pa=mer_demo@ledgate&")
    hosted.pending(order)
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()


def test_a_phone_is_offered_its_upi_app_and_a_desk_is_not(hosted: Hosted, browser: Browser, tab: Tab) -> None:
    tab.open(REUSABLE)
    expect(tab.page.get_by_text("UPI app", exact=True)).to_be_hidden()
    with shopper(browser, viewport=PHONE, has_touch=True, is_mobile=True) as context:
        phone = Tab(hosted, context.new_page())
        order = hosted.order()
        phone.open(order)
        expect(phone.page.get_by_text("UPI app", exact=True)).to_be_visible()
        phone["flow-intent"].tap()
        phone["pay-button"].tap()
        expect(phone["open-app-link"]).to_be_visible()
        assert phone.page.evaluate("document.documentElement.scrollWidth") == 360


def test_without_javascript_the_page_says_so(hosted: Hosted, browser: Browser) -> None:
    with shopper(browser, java_script_enabled=False) as context:
        still = Tab(hosted, context.new_page())
        still.go(hosted.address(REUSABLE))
        expect(still.page.locator("noscript h2")).to_be_visible()
        expect(still["order-summary"]).to_contain_text("₹500.00")
        expect(still["vpa-input"]).to_be_visible()
        expect(still["pay-button"]).to_be_disabled()


def test_a_script_that_never_comes_is_told_after_a_while(hosted: Hosted, tab: Tab) -> None:
    """Something on the shopper's side blocks it: no script can say so, the style sheet does."""
    tab.page.route("**/*.js", lambda route: route.abort())
    tab.page.goto(hosted.address(REUSABLE))
    late = tab.page.locator("#late")
    assert late.evaluate("note => getComputedStyle(note).animationDelay") == "8s"
    late.evaluate("note => note.getAnimations()[0].finish()")
    expect(late).to_be_visible()
    expect(late).to_contain_text("could not be loaded")


def test_slow_javascript_shows_the_form_at_once_and_sends_nothing_before(hosted: Hosted, tab: Tab) -> None:
    held: list[Route] = []
    released: list[bool] = []

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            held.append(route)

    tab.page.route("**/page.js", hold)
    tab.page.goto(hosted.address(REUSABLE), wait_until="commit")
    expect(tab["vpa-input"]).to_be_visible()
    expect(tab["pay-button"]).to_be_disabled()
    tab["vpa-input"].fill("success@paytm")
    tab["vpa-input"].press("Enter")
    assert "vpa" not in tab.page.url
    released.append(True)
    for route in held:
        route.continue_()
    tab.ready()
    expect(tab["pay-button"]).to_be_enabled()
    expect(tab["vpa-input"]).to_have_value("success@paytm")


def test_a_slow_network_gets_a_form_and_pays(hosted: Hosted, context: BrowserContext, tab: Tab) -> None:
    """As slow as the tools of browsers call slow 3G: 400 ms there and back, 50 kB a second."""
    network = context.new_cdp_session(tab.page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    network.send("Network.emulateNetworkConditions", slow)
    order = hosted.order()
    tab.open(order)
    tab.pay_by_upi()
    hosted.pending(order)
    hosted.settle()
    expect(tab["success-state"]).to_be_visible()
    assert len(hosted.payments(order)) == 1


@pytest.mark.parametrize("name", ["page.js", "fields.js", "page.css"])
def test_a_file_that_does_not_come_is_asked_for_again(hosted: Hosted, tab: Tab, name: str) -> None:
    failed: list[str] = []

    def fail_first(route: Route) -> None:
        if not failed:
            failed.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    tab.page.route(f"**/{name}", fail_first)
    tab.open(REUSABLE)
    assert failed
    expect(tab["pay-button"]).to_be_enabled()
    expect(tab["pay-button"]).to_have_css("background-color", "rgb(47, 111, 237)")


def test_the_keyboard_is_enough(hosted: Hosted, tab: Tab) -> None:
    order = hosted.order()
    tab.open(order)
    keys = tab.page.keyboard
    keys.press("Tab")
    expect(tab["method-upi"]).to_be_focused()
    keys.press("ArrowRight")
    expect(tab["method-card"]).to_be_focused()
    expect(tab["card-number-input"]).to_be_visible()
    keys.press("ArrowRight")
    expect(tab["method-upi"]).to_be_focused()
    keys.press("Tab")
    expect(tab["flow-collect"]).to_be_focused()
    keys.press("ArrowRight")
    expect(tab["flow-qr"]).to_be_checked()
    keys.press("ArrowLeft")
    keys.press("Tab")
    expect(tab["vpa-input"]).to_be_focused()
    keys.type("failure@psp")
    keys.press("Tab")
    expect(tab["pay-button"]).to_be_focused()
    keys.press("Enter")
    hosted.pending(order)
    expect(tab.page.locator("#processing-title")).to_be_focused()
    hosted.settle()
    expect(tab.page.locator("#failed-title")).to_be_focused()
    keys.press("Tab")
    expect(tab["retry-button"]).to_be_focused()
    keys.press("Enter")
    expect(tab["method-upi"]).to_be_focused()
