"""However the SDK comes into a page: it finds the checkout, or says what it needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.checkout.driving import CLOSE, MODAL, PAY, parts, shop_page, shown, visit
from tests.checkout.origins import Checkout, Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

FORMS = parts("forms.html") | {"without a doctype": parts("forms.html")["script tag"]}


async def test_however_it_comes_it_finds_the_checkout(page: Page, shop: Shop, checkout: Checkout) -> None:
    for form in FORMS:
        await _comes(page, shop, checkout, form)


async def _comes(page: Page, shop: Shop, checkout: Checkout, form: str) -> None:
    doctype = "" if form == "without a doctype" else "<!doctype html>"
    loading = FORMS[form].replace("CHECKOUT", checkout.url)
    await page.goto(shop.put(f"{doctype}<title>Shop</title><script>{PAY}; const ready = () => pay()</script>{loading}"))
    frame = await shown(page)
    assert frame.url == f"{checkout.url}/checkout?order_id=order_1&key=key_test_abc123&embedded=true"


async def test_opened_in_the_head_before_there_is_a_body(page: Page, shop: Shop, checkout: Checkout) -> None:
    await page.goto(
        shop.put(
            f"<!doctype html><html><head><title>Shop</title>{checkout.script}"
            f"<script>{PAY}; window.bodies = [!!document.body]; pay()</script>"
            "<meta name=after content=x></head><body id=theirs><p>Goods</p></body></html>"
        )
    )
    await shown(page)
    assert await page.evaluate("bodies") == [False]
    assert await page.evaluate("[document.body.id, document.body.innerText.trim(), document.head.children.length]") == [
        "theirs",
        "Goods",
        4,
    ]
    await page.click(CLOSE)
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await page.evaluate("[...document.documentElement.children].map(one => one.tagName)") == ["HEAD", "BODY"]


async def test_a_checkout_elsewhere_is_named(page: Page, shop: Shop, checkout: Checkout) -> None:
    """From a bundle of the merchant's own, nothing says where the checkout is."""
    script = (await (await page.request.get(f"{checkout.url}/checkout.js")).body()).decode()
    bundle = shop.put(script, kind="text/javascript")
    await page.goto(
        shop.put(f"<!doctype html><title>Shop</title><script src='{bundle}'></script><script>{PAY}</script><body>")
    )
    refused = await page.evaluate("() => { try { pay() } catch (error) { return error.message } }")
    assert refused.startswith("PaymentGateway: checkoutUrl is required")
    await page.evaluate("(url) => pay({ checkoutUrl: url })", f"{checkout.url}/checkout")
    assert (await shown(page)).url.startswith(f"{checkout.url}/checkout?")


async def test_with_integrity(page: Page, shop: Shop, checkout: Checkout, sdk: Path) -> None:
    """The hash that the build tells is the file's; any other is refused by the browser."""
    told = json.loads((sdk / "dist/build.json").read_text())["integrity"]
    for integrity, there in ((told, "function"), (told[:-4] + "AAA=", "undefined")):
        await page.goto(
            shop.put(
                f"<!doctype html><script src='{checkout.url}/checkout.js' integrity='{integrity}' crossorigin></script>"
            )
        )
        assert await page.evaluate("typeof PaymentGateway") == there


async def test_a_page_that_swaps_its_body_keeps_the_checkout(page: Page, shop: Shop, checkout: Checkout) -> None:
    """Sites that fetch the next page and replace the body: what the shopper has typed stays, and closing works."""
    await visit(page, shop, checkout)
    await page.evaluate("pay()")
    frame = await shown(page)
    await frame.fill("#first", "4111")
    await page.evaluate("document.documentElement.replaceChild(document.createElement('body'), document.body)")
    assert await frame.input_value("#first") == "4111"
    await frame.press("#first", "Escape")
    await expect(page.locator(MODAL)).to_have_count(0)
    assert await page.evaluate("getComputedStyle(document.documentElement).overflow") == "visible"


async def test_an_option_that_nobody_knows_is_named(page: Page, shop: Shop, checkout: Checkout) -> None:
    await page.goto(shop.put(shop_page(checkout)))
    async with page.expect_console_message() as warned:
        await page.evaluate("pay({ onSucess() {} })")
    assert (await warned.value).text == "PaymentGateway: unknown option onSucess"
