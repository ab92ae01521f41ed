"""Pages that fight back: their styles, their scripts, their policies. The checkout looks and works the same."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.checkout.driving import CLOSE, IFRAME, MODAL, PAY, opened, said, shop_page, shown, told, visit
from tests.checkout.origins import Checkout, Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAID = {"paymentId": "pay_1", "orderId": "order_1", "status": "success"}

# Where everything is, how it looks, and who gets a click there.
LOOKS = """() => {
  const host = document.getElementById("payment-gateway-modal"), [button, iframe] = host.children;
  const parts = { button, iframe, dialog: host.shadowRoot.querySelector("dialog"), panel: host.shadowRoot.querySelector(".panel") };
  const looks = {};
  for (const name in parts) {
    const style = getComputedStyle(parts[name]), box = parts[name].getBoundingClientRect();
    looks[name] = [box.x, box.y, box.width, box.height, style.display, style.visibility, style.opacity, style.transform,
      style.filter, style.color, style.backgroundColor, style.font, style.clipPath, style.pointerEvents, style.direction];
  }
  const at = (x, y) => document.elementFromPoint(x, y);
  const { x, y, width, height } = button.getBoundingClientRect();
  return [looks, host.offsetWidth * host.offsetHeight > 0, at(640, 400) === iframe, at(x + width / 2, y + height / 2) === button, at(20, 20) === host,
    getComputedStyle(button, "::before").content, getComputedStyle(iframe, "::after").content];
}"""
STYLES = {
    "display none": "* { display: none !important } html, body { display: block !important }",
    "display none on the body": "body { display: none !important }",
    "hidden": "* { visibility: hidden !important; opacity: 0 !important }",
    "frames": "iframe { display: none !important; width: 1px !important; height: 1px !important; pointer-events: none !important;"
    " border: 9px solid red !important; position: static !important; transform: scale(.1) !important; max-width: 9px !important }",
    "buttons": "button { all: unset !important; position: absolute !important; left: -9999px !important; font-size: 90px !important }",
    "divs": "div { overflow: hidden !important; width: 0 !important; position: static !important; clip-path: inset(50%) !important }",
    "by id": "#payment-gateway-modal#payment-gateway-modal, #payment-gateway-modal * { all: unset !important; display: none !important }",
    "containing blocks": "html, body { transform: rotate(2deg) scale(.5); filter: blur(2px); perspective: 9px; contain: paint; opacity: .2 }",
    "layers": "body > * { position: fixed !important; z-index: 2147483647 !important; inset: 0 !important; background: red !important }",
    "motion": "* { transition: all 100s 100s !important; animation: gone 1s infinite forwards !important }"
    "@keyframes gone { from, to { opacity: 0; transform: scale(0) } }",
    "generated": "*::before, *::after { content: 'x' !important; position: fixed !important; inset: 0 !important; background: red !important }",
    "type": "html { font: 62.5%/9 fantasy; letter-spacing: 9px; direction: rtl; text-transform: uppercase; color: red; writing-mode: vertical-rl }",
    "dialogs": "dialog, dialog::backdrop, ::backdrop { display: none !important; background: red !important } dialog { width: 9px !important }",
    "pointers": "html, body, * { pointer-events: none !important; user-select: none !important; touch-action: none !important }",
    "variables": "* { --ink: red !important; --paper: red !important; --accent: red !important; --line: red !important }",
    "grid": "html { display: grid !important; grid: 1fr / 200px 200px; width: 400px; height: 100px; overflow: scroll }",
}


@pytest.fixture(scope="module")
def clean() -> dict[str, Any]:
    """How it looks on a page without styles; measured once."""
    return {}


@pytest.mark.parametrize("name", STYLES)
async def test_styles_of_the_page_change_nothing(
    page: Page, shop: Shop, checkout: Checkout, name: str, clean: dict[str, Any]
) -> None:
    await page.emulate_media(reduced_motion="reduce")
    for style in ("", STYLES[name]):
        if not style and "looks" in clean:
            continue
        await visit(
            page, shop, checkout, head=f"<style>{style}</style>", body="<main><p>Shop</p></main><div>Goods</div>"
        )
        await opened(page)
        looks = await page.evaluate(LOOKS)
        if not style:
            clean["looks"] = looks
    assert looks == clean["looks"]
    assert looks[1:] == [True, True, True, True, "none", "none"]
    await page.click(CLOSE)
    await expect(page.locator(MODAL)).to_have_count(0)


POLLUTED = """
  for (const name of ["get", "set", "value", "writable", "enumerable", "configurable", "key", "amount", "name", "image", "theme",
    "prefill", "checkoutUrl", "color", "nonce", "onClose", "type", "data", "height", "paymentId", "status", "code", "capture", "once",
    "passive", "signal", "mode", "delegatesFocus", "slotAssignment", "childList", "attributes", "preventScroll", "focusVisible",
    "detail", "version", "module", "exports", "slot", "class", "length", "toJSON", "then", "0", "1", "options", "sheet", "stack"])
    Object.prototype[name] = "polluted";
  Array.prototype.toJSON = () => "polluted";
  Array.prototype.extra = String.prototype.extra = Function.prototype.extra = "polluted";
"""
OVERRIDDEN = """
  const broken = () => { throw Error("overridden") };
  for (const name of ["push", "pop", "slice", "splice", "concat", "map", "filter", "forEach", "find", "indexOf", "includes", "join", "some", "reduce"])
    Array.prototype[name] = broken;
  window.addEventListener = window.removeEventListener = document.addEventListener = broken;
  window.postMessage = window.dispatchEvent = broken;
  window.JSON = { parse: broken, stringify: broken };
  window.fetch = window.eval = window.Proxy = window.Map = window.Set = window.Promise = broken;
"""
LATER = """
  EventTarget.prototype.addEventListener = EventTarget.prototype.removeEventListener = broken;
  Function.prototype.call = Function.prototype.apply = Function.prototype.bind = broken;
  window.setTimeout = window.clearTimeout = window.setInterval = broken;
  Object.prototype.hasOwnProperty = Reflect.apply = broken;
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (POLLUTED, ""),
        (OVERRIDDEN, LATER),
        ("Array.prototype[Symbol.iterator] = () => { throw Error('overridden') };", ""),
    ],
    ids=["polluted prototypes", "overridden functions", "broken iterators"],
)
async def test_scripts_of_the_page_change_nothing(
    page: Page, shop: Shop, checkout: Checkout, before: str, after: str
) -> None:
    """The page itself drives here, as Playwright's own scripts would stumble: it writes what it sees into its title."""
    drive = """
      const seen = (what) => { document.title += " " + what };
      const made = new PaymentGateway({
        key: "key_test_abc123", orderId: "says_success",
        onSuccess: (payment) => { seen(payment.paymentId + "/" + payment.orderId + "/" + payment.status); made.close() },
        onFailure: (failure) => seen("failed"), onClose: () => seen("closed"),
      });
      made.open();
    """
    await page.goto(
        shop.put(
            f"<!doctype html><title>Shop</title><script>{before}</script>{checkout.script}<script>{after}</script><body><script>{drive}</script>"
        )
    )
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
        "const violated = []; document.addEventListener('securitypolicyviolation', (e) => violated.push(e.violatedDirective));"
        + PAY,
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
    """Without constructed sheets and modal dialogs: style elements with the page's nonce, and a layer above all others."""
    policy = f"default-src 'none'; script-src 'nonce-n'; style-src 'nonce-n'; frame-src {checkout.url}"
    old = "delete window.CSSStyleSheet.prototype.replaceSync; delete HTMLDialogElement.prototype.showModal;"
    option = ", { nonce: 'n' }" if given == "option" else ""
    nonce = "" if given == "option" else "nonce=n"
    source = f" {checkout.url}" if given == "option" else ""
    html = (
        f"<!doctype html><title>Shop</title><script nonce=n>{old}</script><script {nonce} src='{checkout.url}/checkout.js'></script>"
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
    assert (await page.evaluate(LOOKS))[1:5] == [True, True, True, True]
    await said(frame, "checkout_resize", {"height": 420})
    await expect(page.locator(IFRAME)).to_have_js_property("clientHeight", 420)
    assert await page.evaluate("getComputedStyle(document.documentElement).overflow") == "hidden"
    for _ in range(6):
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('#payment-gateway-modal') !== null")
    await page.focus(CLOSE)
    await page.keyboard.press("Escape")
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await page.evaluate("[document.activeElement.id, document.querySelectorAll('style').length]") == ["buy", 0]
    assert await told(page) == [["close"]]


async def test_elements_that_shadow_names_of_the_document_lead_nobody_astray(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    """DOM clobbering: user content with ids and names that scripts ask the document for."""
    clobbered = "<img name=currentScript src='https://evil.example/checkout.js'><form id=module></form><a id=PaymentGateway></a>"
    await page.goto(shop.put(f"<!doctype html>{clobbered}{checkout.script}<script>{PAY}</script>"))
    frame = await opened(page)
    assert frame.url.startswith(checkout.url)


async def test_a_page_isolated_from_other_origins_needs_nothing_of_the_sdk(
    page: Page, shop: Shop, checkout: Checkout
) -> None:
    """The script itself loads under COEP; the frame must then say the same of itself, which is the hosted page's part."""
    headers = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
    await page.goto(shop.put(shop_page(checkout), headers))
    assert await page.evaluate("typeof PaymentGateway") == "function"
    await expect(page.locator(IFRAME)).to_have_count(0)
