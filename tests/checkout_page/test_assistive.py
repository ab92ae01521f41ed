"""Without a mouse and without eyes: a payment by keys alone, and what every control is called in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Frame, Page, expect

from tests.checkout_page.browsing import REUSABLE, Hosted, Tab
from tests.checkout_page.dialog import Dialog
from tests.support.browser import shopper
from tests.support.origins import Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module", name="shop")
def _shop() -> Iterator[Shop]:
    with Shop("localhost") as served:
        yield served


async def has_focus(frame: Frame, control: str) -> None:
    await frame.wait_for_function("(id) => document.hasFocus() && document.activeElement.id === id", arg=control)


async def test_a_payment_by_keys_alone(hosted: Hosted, page: Page, shop: Shop) -> None:
    """From the shop's button, past a slip, to the success, and back to the button."""
    await page.emulate_media(reduced_motion="reduce")
    dialog = Dialog(hosted, page, shop)
    order = hosted.order()
    await dialog.visit(order)
    press, type_ = page.keyboard.press, page.keyboard.type
    await press("Tab")
    await expect(page.locator("#buy")).to_be_focused()
    await press("Enter")
    await dialog.ready()
    (frame,) = page.frames[1:]
    await frame.wait_for_function("() => document.hasFocus()")
    await press("Tab")
    await has_focus(frame, "tab-upi")
    await press("ArrowRight")
    await has_focus(frame, "tab-card")
    await press("Tab")
    await has_focus(frame, "number")
    await type_("4111111111111112")
    await press("Tab")
    await type_("1240")
    await press("Tab")
    await type_("123")
    await press("Enter")
    await has_focus(frame, "number")
    await expect(dialog["card-number-input"]).to_have_accessible_description(
        "Check the card number: a digit seems to be wrong"
    )
    await press("End")
    await press("Backspace")
    await type_("1")
    for control in ("expiry", "cvv", "holder", "pay"):
        await press("Tab")
        await has_focus(frame, control)
    await press("Enter")
    await has_focus(frame, "processing-title")
    await hosted.pending(order)
    await hosted.settle()
    await has_focus(frame, "success-title")
    await press("Tab")
    await has_focus(frame, "done")
    await press("Enter")
    await expect(page.locator("#payment-gateway-modal")).to_have_count(0)
    await expect(page.locator("#buy")).to_be_focused()


NAMES = {
    "en-IN": """
        region "Order summary"; heading "Ledgate Demo" [level=1]; heading "How would you like to pay?" [level=2]
        tablist "How would you like to pay?"; tab "UPI" [selected]; tab "Card"; tabpanel "UPI"; group "Pay with UPI by"
        radio "UPI ID" [checked]; radio "QR code"; textbox "UPI ID"; button "Pay ₹500.00"
        region "Order summary"; heading "Ledgate Demo" [level=1]; heading "How would you like to pay?" [level=2]
        tablist "How would you like to pay?"; tab "UPI"; tab "Card" [selected]; tabpanel "Card"; textbox "Card number"
        textbox "Expiry"; textbox "CVV"; textbox "Name on card"; button "Pay ₹500.00" """,
    "hi-IN": """
        region "ऑर्डर का सारांश"; heading "Ledgate Demo" [level=1]; heading "आप कैसे भुगतान करना चाहेंगे?" [level=2]
        tablist "आप कैसे भुगतान करना चाहेंगे?"; tab "UPI" [selected]; tab "कार्ड"; tabpanel "UPI"
        group "UPI से भुगतान का तरीका"; radio "UPI ID" [checked]; radio "QR कोड"; textbox "UPI ID"
        button "₹500.00 का भुगतान करें"
        region "ऑर्डर का सारांश"; heading "Ledgate Demo" [level=1]; heading "आप कैसे भुगतान करना चाहेंगे?" [level=2]
        tablist "आप कैसे भुगतान करना चाहेंगे?"; tab "UPI"; tab "कार्ड" [selected]; tabpanel "कार्ड"; textbox "कार्ड नंबर"
        textbox "समाप्ति तिथि"; textbox "CVV"; textbox "कार्ड पर लिखा नाम"; button "₹500.00 का भुगतान करें" """,
}


@pytest.mark.parametrize("locale", NAMES)
async def test_every_control_has_its_name(hosted: Hosted, browser: Browser, locale: str) -> None:
    """In the order in which they are read; the form for UPI, then the one for cards."""
    async with shopper(browser, locale=locale) as context:
        tab = Tab(hosted, await context.new_page())
        await tab.open(REUSABLE)
        found = await tab.page.locator("body").aria_snapshot()
        await tab["method-card"].click()
        found += "\n" + await tab.page.locator("body").aria_snapshot()
    roles = "button|group|heading|radio|region|tab|tablist|tabpanel|textbox"
    named = re.findall(rf"^ *- ((?:{roles}) .*?):?$", found, re.MULTILINE)
    assert named == [name.strip() for name in re.split(r"[;\n]", NAMES[locale]) if name.strip()]


async def test_whoever_needs_wider_letters_or_a_narrow_page_loses_nothing(hosted: Hosted, browser: Browser) -> None:
    """WCAG 1.4.10 and 1.4.12: in 320 pixels, spaced, nothing is cut off or scrolls sideways; 2.5.8: room to press."""
    spaced = "* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }"
    async with shopper(browser, viewport={"width": 320, "height": 568}, has_touch=True, bypass_csp=True) as context:
        tab = Tab(hosted, await context.new_page())
        await tab.open(hosted.order(99_999_999_999))
        await tab.page.add_style_tag(content=spaced)
        for method in ("method-upi", "method-card"):
            await tab[method].click()
            await tab["pay-button"].click()
            assert await tab.page.evaluate(CUT) == []
            assert await tab.page.evaluate(SMALL) == []


CUT = """[document.documentElement, ...document.querySelectorAll("main *:not(.away)")]
  .filter((one) => one.checkVisibility() && getComputedStyle(one).display !== "inline")
  .filter((one) => one.scrollWidth > one.clientWidth)
  .map((one) => one.outerHTML)"""
SMALL = """[...document.querySelectorAll("button, input, a")].filter((one) => one.checkVisibility())
  .map((one) => [one.id, one.getBoundingClientRect()])
  .filter(([, { width, height }]) => Math.min(width, height) < 44).map(([id]) => id)"""
