"""The dialog: opens once, closes however the shopper likes, and leaves the page as it was."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, expect

from tests.checkout.driving import CLOSE, IFRAME, MODAL, opened, parts, said, shown, told, visit
from tests.checkout.origins import Checkout, Shop
from tests.support.browser import shopper

pytestmark = pytest.mark.asyncio(loop_scope="session")
LONG = "<button id=buy onclick='pay()'>Buy</button><div style='height:3000px'>Goods</div>"


async def test_it_opens_with_the_promised_parts(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    await page.click("#buy")
    await shown(page)
    # By the page's own tree, as merchants' scripts and tests look for them.
    inside = await page.evaluate(
        "[...document.querySelectorAll('#payment-gateway-modal[data-test-id=payment-modal] [data-test-id]')]"
        ".map(one => one.dataset.testId)"
    )
    assert sorted(inside) == ["close-modal-button", "payment-iframe"]
    assert await page.locator(IFRAME).get_attribute("src") == (
        f"{checkout.url}/checkout?order_id=order_1&key=key_test_abc123&embedded=true"
    )
    dialog = page.get_by_role("dialog", name="Payment", exact=True)
    await expect(dialog).to_have_attribute("aria-modal", "true")
    for part in (page.locator(MODAL), page.locator(IFRAME), page.get_by_role("button", name="Close")):
        await expect(part).to_be_visible()


async def test_references_of_any_shape_arrive_whole(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    order = "cart 7&key=other#ü/"
    await page.evaluate("(order) => pay({ orderId: order, name: 'Corner Shop' })", order)
    frame = await shown(page)
    assert await frame.evaluate("new URLSearchParams(location.search).getAll('key')") == ["key_test_abc123"]
    assert await frame.evaluate("order") == order
    assert quote(order, safe="") in checkout.asked[-1]
    await expect(page.get_by_role("dialog", name="Payment: Corner Shop")).to_be_visible()


WAYS = {
    "button": lambda page: page.click(CLOSE),
    "escape": lambda page: page.keyboard.press("Escape"),
    "escape in the frame": lambda page: page.frame_locator(IFRAME).locator("#first").press("Escape"),
    "backdrop": lambda page: page.mouse.click(20, 20),
    "by its element": lambda page: page.locator(MODAL).click(position={"x": 5, "y": 5}),
    "click() on its element": lambda page: page.evaluate("document.getElementById('payment-gateway-modal').click()"),
    "the frame's word": lambda page: page.frames[1].evaluate("say('close_modal')"),
    "close()": lambda page: page.evaluate("open1.close()"),
    "the page removes it": lambda page: page.evaluate("document.getElementById('payment-gateway-modal').remove()"),
    "the browser, as Back does on Android": lambda page: page.evaluate(
        "document.getElementById('payment-gateway-modal').shadowRoot.firstChild.requestClose()"
    ),
    "the page closes all dialogs": lambda page: page.evaluate(
        "document.getElementById('payment-gateway-modal').shadowRoot.firstChild.close()"
    ),
}
COUNTING, STATE = (parts(name)[""] for name in ("counting.js", "state.js"))


async def test_every_way_to_close_leaves_the_page_as_it_was(page: Page, shop: Shop, checkout: Checkout) -> None:
    """No listener, timer, node, rule or history entry is left; scrolling and focus are back; onClose is told once."""
    await page.add_init_script(COUNTING)
    for way in WAYS:
        await _closes(page, shop, checkout, way)


async def _closes(page: Page, shop: Shop, checkout: Checkout, way: str) -> None:
    await visit(page, shop, checkout, body=LONG)
    await page.evaluate(
        "document.adoptedStyleSheets = [new CSSStyleSheet()]; scrollTo(0, 700); buy.focus({ preventScroll: true })"
    )
    await page.wait_for_function("true")  # Playwright hangs listeners of its own on the page, once
    before = await page.evaluate(STATE)
    await opened(page)
    during = await page.evaluate(STATE)
    assert during["kept"]["listeners"] > before["kept"]["listeners"]
    await WAYS[way](page)
    await expect(page.locator(MODAL)).to_have_count(0)
    await page.wait_for_function("told.length")
    assert await page.evaluate(STATE) == before
    await page.evaluate("open1.close()")
    assert await told(page) == [["close"]]


async def test_closed_before_it_loaded(page: Page, shop: Shop, checkout: Checkout) -> None:
    """Nothing is left, nothing comes later, and it opens again."""
    await page.add_init_script(COUNTING)
    await page.clock.install()
    await visit(page, shop, checkout)
    await page.focus("#buy")
    before = await page.evaluate(STATE)
    await page.evaluate("window.open1 = pay(); open1.close()")
    assert await page.evaluate(STATE) == before
    await page.clock.fast_forward(60_000)
    assert await told(page) == [["close"]]
    await page.evaluate("open1.open()")
    await shown(page)


async def test_opened_twice_is_open_once(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    frame = await opened(page)
    await frame.evaluate("window.typed = 'half a card number'")
    await page.evaluate("open1.open()")
    assert await frame.evaluate("typed") == "half a card number"
    assert await page.locator(IFRAME).count() == 1
    assert await told(page) == []


async def test_another_checkout_closes_the_one_that_is_open(page: Page, shop: Shop, checkout: Checkout) -> None:
    """Also if it is of another copy of the SDK."""
    await visit(page, shop, checkout)
    await opened(page)
    await page.evaluate("pay({ orderId: 'order_2' })")
    assert await page.locator(MODAL).count() == 1
    assert "order_2" in (await shown(page)).url
    assert await told(page) == [["close"]]
    await page.evaluate(
        "async (url) => { const { PaymentGateway: Other } = await import(url);"
        " window.differ = Other !== PaymentGateway; new Other(options({ orderId: 'order_3' })).open() }",
        checkout.url + "/checkout.mjs",
    )
    assert await page.evaluate("differ")
    assert await page.locator(MODAL).count() == 1
    assert "order_3" in (await shown(page)).url
    assert await told(page) == [["close"], ["close"]]


async def test_a_double_click_opens_and_does_not_close(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    await page.dblclick("#buy")
    await shown(page)
    assert await told(page) == []


async def test_a_press_that_began_in_the_dialog_does_not_close_it(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout)
    await page.evaluate("pay({ orderId: 'silent', name: 'Corner Shop' })")
    box = await page.get_by_text("Corner Shop").bounding_box()
    assert box
    await page.mouse.move(box["x"] + 5, box["y"] + 5)
    await page.mouse.down()
    await page.mouse.move(20, 20)
    await page.mouse.up()
    await expect(page.locator(MODAL)).to_be_visible()
    assert await told(page) == []


async def test_the_focus_stays_inside_and_goes_round(page: Page, shop: Shop, checkout: Checkout) -> None:
    await visit(page, shop, checkout, body="<input id=above><button id=buy>Buy</button><input id=below>")
    frame = await opened(page)
    assert await frame.evaluate("document.activeElement.id") == "first", "the form has the focus once it is there"
    # Waited for: between the processes of page and frame, the focus is nowhere for a moment.
    there = "(id) => document.activeElement.dataset.testId === id"
    for part in ["payment-iframe", "close-modal-button", "payment-iframe"] * 2:
        await page.keyboard.press("Tab")
        await page.wait_for_function(there, arg=part)
    for part in ["close-modal-button", "payment-iframe"] * 3:
        await page.keyboard.press("Shift+Tab")
        await page.wait_for_function(there, arg=part)


async def test_a_page_that_holds_the_focus_does_not_get_it(page: Page, shop: Shop, checkout: Checkout) -> None:
    """Libraries of dialogs pull the focus back into theirs, and close theirs on Escape."""
    await visit(
        page,
        shop,
        checkout,
        body="<dialog id=theirs><input id=field><button id=buy onclick='pay()'>Buy</button></dialog><script>"
        "theirs.showModal(); document.addEventListener('focusin', e => theirs.contains(e.target) || field.focus());"
        "document.addEventListener('keydown', e => e.key == 'Escape' && theirs.close())</script>",
    )
    await page.click("#buy")
    frame = await shown(page)
    await frame.click("#first")
    await page.keyboard.type("4111")
    assert await frame.input_value("#first") == "4111"
    await page.focus(CLOSE)
    await page.keyboard.press("Escape")
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await page.evaluate("[theirs.open, document.activeElement.id]") == [True, "buy"]


SCROLLING = (
    "",
    "body{overflow-x:hidden;height:100%}html{height:100%}",
    "html,body{height:100%;overflow:auto}",
    "html{overflow-y:scroll;scroll-behavior:smooth}",
    "html.js{overflow:auto!important}",
    "html{scrollbar-gutter:stable}",
)


async def test_the_page_stands_still_and_nothing_moves(page: Page, shop: Shop, checkout: Checkout) -> None:
    """Whoever gives the viewport its scrolling: no wheel moves it, no scrollbar's room is lost, no jump to the top."""
    for style in SCROLLING:
        await _stands_still(page, shop, checkout, style)


async def _stands_still(page: Page, shop: Shop, checkout: Checkout, style: str) -> None:
    look = "[scrollX, scrollY, document.body.scrollTop, ...Object.values(goods.getBoundingClientRect().toJSON())]"
    await visit(
        page,
        shop,
        checkout,
        head=f"<style>{style}</style>",
        body="<script>document.documentElement.className = 'js'</script>"
        "<div id=goods style='height:3000px'>Goods</div>",
    )
    await page.evaluate("scrollTo({ top: 700, behavior: 'instant' }); document.body.scrollTop ||= 700")
    before = await page.evaluate(look)
    await opened(page)
    assert await page.evaluate(look) == before
    held = "[document.documentElement, document.body].map(one => getComputedStyle(one).overflow)"
    assert "hidden" in await page.evaluate(held)
    for x, y in ((20, 400), (640, 400)):
        await page.mouse.move(x, y)
        await page.mouse.wheel(0, 300)
    await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert await page.evaluate(look) == before
    await page.keyboard.press("Escape")
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await page.evaluate(look) == before
    await page.mouse.wheel(0, 300)
    await page.wait_for_function(f"(before) => ({look})[1] + ({look})[2] > before[1] + before[2]", arg=before)


async def test_on_a_phone_it_is_the_whole_screen(page: Page, shop: Shop, checkout: Checkout) -> None:
    for width, height in ((360, 640), (320, 480), (640, 360)):
        await _fills(page, shop, checkout, width, height)


async def _fills(page: Page, shop: Shop, checkout: Checkout, width: int, height: int) -> None:
    await page.set_viewport_size({"width": width, "height": height})
    await visit(page, shop, checkout, head="<meta name=viewport content='width=device-width'>")
    frame = await opened(page)
    await said(frame, "checkout_resize", {"height": 300})
    panel = page.locator(f"{MODAL} .panel")
    await expect(panel).to_have_js_property("offsetHeight", height)
    await expect(panel).to_have_js_property("offsetWidth", width)
    assert await frame.evaluate("[innerWidth, innerHeight]") == [width, height]
    button = await page.locator(CLOSE).bounding_box()
    assert button
    assert min(button["width"], button["height"]) >= 44


async def test_it_is_as_high_as_the_frame_asks_but_never_higher_than_the_window(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await visit(page, shop, checkout)
    frame = await opened(page)
    for asked, given in ((420, 420), (500.2, 501), (9000, 800 - 50 - 16), (10, 10)):
        await said(frame, "checkout_resize", {"height": asked})
        await frame.wait_for_function("(given) => innerHeight === given", arg=given)
        assert await frame.evaluate("innerWidth") == 440
    for nonsense in (-1, 0, "420", None, {"px": 1}):
        await said(frame, "checkout_resize", {"height": nonsense})
    assert await frame.evaluate("innerHeight") == 10


@pytest.mark.parametrize("wish", ["reduce", "no-preference"])
async def test_motion_is_for_those_who_like_it(
    page: Page, shop: Shop, checkout: Checkout, wish: Literal["reduce", "no-preference"]
) -> None:
    await page.emulate_media(reduced_motion=wish)
    await visit(page, shop, checkout)
    await page.evaluate("pay({ orderId: 'silent' })")
    running = await page.evaluate(
        "document.getElementById('payment-gateway-modal').shadowRoot.firstChild.getAnimations({ subtree: true }).length"
    )
    assert (running > 0) == (wish == "no-preference")


async def test_it_speaks_hindi_to_those_who_do(browser: Browser, shop: Shop, checkout: Checkout) -> None:
    async with shopper(browser, locale="hi-IN") as context:
        page = await context.new_page()
        await visit(page, shop, checkout)
        await opened(page)
        await expect(page.get_by_role("dialog", name="भुगतान")).to_have_attribute("lang", "hi")
        await expect(page.get_by_role("button", name="बंद करें")).to_be_visible()
