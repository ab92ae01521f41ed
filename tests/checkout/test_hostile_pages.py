"""Pages that fight back: their styles, their scripts, their policies. The checkout looks and works the same."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.checkout.driving import CLOSE, IFRAME, MODAL, PAY, opened, parts, said, shown, told, visit
from tests.checkout.origins import Checkout, Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAID = {"paymentId": "pay_1", "orderId": "order_1", "status": "success"}

STYLES, SCRIPTS = parts("hostile.css"), parts("hostile.js")
LOOKS = parts("looks.js")[""]


async def test_styles_of_the_page_change_nothing(page: Page, shop: Shop, checkout: Checkout) -> None:
    """Whatever they say: where the parts are, how they look, who gets a click, and that a click closes it."""
    await page.emulate_media(reduced_motion="reduce")
    await visit(
        page,
        shop,
        checkout,
        # Some make the page scroll; a scrollbar has its room beside the dialog.
        head="<style>html{scrollbar-width:none!important}</style><style id=hostile></style>",
        body="<main><p>Shop</p></main><div>Goods</div>",
    )
    clean: Any = None
    for name, style in {"nothing": "", **STYLES}.items():
        await page.evaluate("(style) => { hostile.textContent = style }", style)
        await page.mouse.move(0, 0)  # away from the button, which looks else when a pointer is over it
        await opened(page)
        looks = await page.evaluate(LOOKS)
        clean = clean or looks
        assert (looks["there"], looks["clicked"], looks["generated"]) == (True, [True] * 3, ["none"] * 2), name
        assert looks == clean, name
        await page.click(CLOSE)
        await expect(page.locator(MODAL)).to_have_count(0)


@pytest.mark.parametrize(
    ("before", "after"),
    [("polluted", ""), ("overridden", "overridden after the SDK has loaded"), ("broken iterators", "")],
)
async def test_scripts_of_the_page_change_nothing(
    page: Page, shop: Shop, checkout: Checkout, before: str, after: str
) -> None:
    """The page drives itself here, and the frame says that it is paid as soon as it is there."""
    scripts = [SCRIPTS[before], checkout.script, SCRIPTS.get(after, ""), "<body>", SCRIPTS["drive"]]
    html = "".join(one if one.startswith("<") else f"<script>{one}</script>" for one in scripts)
    await page.goto(shop.put("<!doctype html><title>Shop</title>" + html))
    await expect(page).to_have_title("Shop pay_1/says_success/success closed")
    assert await page.locator(MODAL).count() == 0


POLICY = "default-src 'self'; script-src 'self' 'nonce-n' {0}; frame-src {0}; base-uri 'none'; object-src 'none'"


@pytest.mark.parametrize(
    "policy",
    ["default-src 'self' {0}", POLICY, POLICY + "; require-trusted-types-for 'script'; trusted-types 'none'"],
    ids=["one origin", "nonces", "trusted types"],
)
async def test_a_strict_policy_refuses_nothing_of_ours(page: Page, shop: Shop, checkout: Checkout, policy: str) -> None:
    """It looks as it does without a policy, and the browser reports nothing."""
    script = shop.put(
        "const violated = [];"
        "document.addEventListener('securitypolicyviolation', (e) => violated.push(e.violatedDirective));" + PAY,
        kind="text/javascript",
    )
    html = f"<!doctype html><title>Shop</title>{checkout.script}<script src='{script}'></script><body>Goods"
    looks = []
    for headers in ({}, {"Content-Security-Policy": policy.format(checkout.url)}):
        await page.goto(shop.put(html, headers))
        frame = await opened(page, {"theme": {"color": "#a0f"}})
        await said(frame, "checkout_resize", {"height": 400})
        await expect(page.locator(IFRAME)).to_have_js_property("clientHeight", 400)
        looks.append(await page.evaluate(LOOKS))
        assert await page.evaluate("violated") == []
        assert await page.evaluate("document.querySelectorAll('[style], style').length") == 0
        await said(frame, "payment_success", PAID)
        assert await told(page) == [["success", PAID]]
    assert looks[0] == looks[1]


@pytest.mark.parametrize("given", ["option", "script"])
async def test_a_browser_of_the_past_gets_by_with_a_nonce(
    page: Page, shop: Shop, checkout: Checkout, given: str
) -> None:
    """Without constructed sheets and modal dialogs: style elements with the page's nonce, a layer above all others."""
    policy = f"default-src 'none'; script-src 'nonce-n'; style-src 'nonce-n'; frame-src {checkout.url}"
    old = "delete window.CSSStyleSheet.prototype.replaceSync; delete HTMLDialogElement.prototype.showModal;"
    option = ", { nonce: 'n' }" if given == "option" else ""
    nonce = "" if given == "option" else "nonce=n"
    source = f" {checkout.url}" if given == "option" else ""
    html = (
        f"<!doctype html><title>Shop</title><script nonce=n>{old}</script>"
        f"<script {nonce} src='{checkout.url}/checkout.js'></script>"
        f"<script nonce=n>{PAY}</script><body><button id=buy>Buy</button><div id=spacer></div>"
    )
    await page.goto(shop.put(html, {"Content-Security-Policy": policy.replace("'nonce-n'", "'nonce-n'" + source, 1)}))
    await page.focus("#buy")
    await page.evaluate(f"pay(Object.assign({{}}{option}))")
    frame = await shown(page)
    assert await page.evaluate(
        "[...document.querySelectorAll('iframe, #payment-gateway-modal')].map(one => getComputedStyle(one).display)"
    ) == [
        "block",
        "block",
    ]
    assert (await page.evaluate(LOOKS))["clicked"] == [True] * 3
    await said(frame, "checkout_resize", {"height": 420})
    await expect(page.locator(IFRAME)).to_have_js_property("clientHeight", 420)
    assert await page.evaluate("getComputedStyle(document.documentElement).overflow") == "hidden"
    for _ in range(6):
        await page.keyboard.press("Tab")  # between processes, the focus is nowhere for a moment
        await page.wait_for_function("() => document.activeElement.closest('#payment-gateway-modal')")
    await page.focus(CLOSE)
    await page.keyboard.press("Escape")
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await page.evaluate("[document.activeElement.id, document.querySelectorAll('style').length]") == ["buy", 0]
    assert await told(page) == [["close"]]
