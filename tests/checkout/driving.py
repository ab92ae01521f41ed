"""Drive a page that has the SDK: open, look, let the frame say things."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Frame, Page

from tests.checkout.origins import PAGES, Checkout, Shop

MODAL = "#payment-gateway-modal"
IFRAME = '[data-test-id="payment-iframe"]'
CLOSE = '[data-test-id="close-modal-button"]'


def parts(name: str) -> dict[str, str]:
    """A file of `pages/` in its parts, each under a comment `== its name`; or the whole, under ""."""
    whole = (PAGES / name).read_text()
    found = re.split(r"^(?:/\*|<!--) == (.+?) (?:\*/|-->)$", whole, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True)) or {"": whole}


PAY = parts("pay.js")[""]


def shop_page(checkout: Checkout, *, head: str = "", body: str = "<button id=buy onclick='pay()'>Buy</button>") -> str:
    """HTML of a merchant that loads the SDK by a script tag."""
    scripts = f"{checkout.script}<script>{PAY}</script>"
    return f"<!doctype html><html lang=en><head><title>Shop</title>{head}{scripts}</head><body>{body}</body></html>"


async def visit(page: Page, shop: Shop, checkout: Checkout, **parts: str) -> None:
    await page.goto(shop.put(shop_page(checkout, **parts)))


async def opened(page: Page, more: dict[str, Any] | None = None) -> Frame:
    """Open the checkout by a script; its frame, once it has answered and is shown."""
    await page.evaluate("(more) => { window.open1 = pay(more) }", more or {})
    return await shown(page)


async def shown(page: Page) -> Frame:
    """The frame that is shown."""
    element = await page.locator(IFRAME).element_handle()
    assert element
    await element.wait_for_element_state("visible")
    frame = await element.content_frame()
    assert frame
    return frame


async def said(frame: Frame, kind: str, data: object = None) -> None:
    """Let the frame say something; the page has heard it when this returns, as messages keep their order."""
    await frame.evaluate("([kind, data]) => say(kind, data)", [kind, data])
    await heard(frame)


async def heard(frame: Frame) -> None:
    """The page has taken all messages of its frame so far: it answers `checkout_ready` in its turn."""
    before = await frame.evaluate("heard.length")
    await frame.evaluate("say('checkout_ready')")
    await frame.wait_for_function("(before) => heard.length > before", arg=before)


async def told(page: Page) -> list[Any]:
    return await page.evaluate("told")
