"""The checkout can be read and used by everybody: axe-core, contrast in any colour, both themes, narrow and wide."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.checkout_page.browsing import REUSABLE, Hosted, Tab
from tests.checkout_page.dialog import Dialog
from tests.support.browser import PHONE, WIDE, shopper
from tests.support.npm import Installed, installed
from tests.support.origins import Shop

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOTS = os.environ.get("CHECKOUT_SHOTS")
"""A folder for a picture of each state; docs/screenshots/sheets.py puts them together."""

AXE = """async () => {
  axe.configure({ allowedOrigins: ["<unsafe_all_origins>"] }); // else it does not look into another site's frame
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false });
  return violations.map(({ id, impact, nodes }) => [id, impact, ...nodes.map((node) => node.html)]);
}"""
WIDER = """document.documentElement.scrollWidth > innerWidth"""


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture(scope="module", name="shop")
def _shop() -> Iterator[Shop]:
    with Shop("localhost") as served:
        yield served


class Look:
    """Looks at what is on the screen, in every frame."""

    def __init__(self, page: Page, axe: str, name: str) -> None:
        self.page = page
        self.axe = axe
        self.name = name

    async def __call__(self, state: str) -> None:
        for frame in self.page.frames:
            if not await frame.evaluate("'axe' in window"):
                await frame.evaluate(self.axe)  # past the policy, which forbids any script but the page's
            assert not await frame.evaluate(WIDER), (state, "scrolls sideways")
        assert await self.page.evaluate(AXE) == [], state
        await self.take(state)

    async def take(self, state: str) -> None:
        """A picture, if any are wanted."""
        if SHOTS:
            await self.page.screenshot(path=f"{SHOTS}/{self.name}-{state}.png", full_page="dialog" not in self.name)


async def walk(at: Tab, look: Look) -> None:
    """Through every state that a shopper may see, and look at each."""
    hosted, page = at.hosted, at.page
    order = hosted.order()
    await at.open(order)
    await look("01-upi")
    await at["vpa-input"].fill("asha")
    await at["pay-button"].click()
    await look("02-upi-refused")
    await at["vpa-input"].fill("asha@okbank")
    await look("03-upi-checked")
    await at["method-card"].click()
    await look("04-card")
    await at["pay-button"].click()
    await look("05-card-refused")
    await at.fill_card("4000000000000002")
    await look("06-card-filled")
    await at["pay-button"].click()
    await expect(at["processing-state"]).to_be_visible()
    await look("07-processing")
    await hosted.pending(order)
    await page.clock.run_for(13_000)
    await expect(at["processing-state"]).to_contain_text("Still processing")
    await look("08-still-processing")
    await page.context.set_offline(True)
    await expect(at["processing-state"]).to_contain_text("Waiting for the connection")
    await look("09-offline")
    await page.context.set_offline(False)
    await hosted.settle()
    await expect(at["error-state"]).to_be_visible()
    await look("10-failed")
    await at["retry-button"].click()
    await at["method-upi"].click()
    await at["flow-qr"].check()
    await look("11-qr-choice")
    if await at["flow-intent"].is_visible():  # where there is a finger, there may be an app
        await at["flow-intent"].check()
        await look("11-upi-app-choice")
        await at["flow-qr"].check()
    await at["pay-button"].click()
    await expect(at["processing-state"].locator("svg[role=img]")).to_be_visible()
    await look("12-qr")
    await hosted.pending(order, 2)
    await hosted.settle()
    await expect(at["success-state"]).to_be_visible()
    await look("13-success")
    await at.open(order)
    await expect(at["success-state"]).to_contain_text("This order is paid")
    await look("14-paid-already")
    await at.open(hosted.order())
    old = {"error": {"code": "FORBIDDEN", "reason": "session_expired", "description": "open for too long"}}
    await page.route("**/checkout/*", lambda route: route.fulfill(status=403, json=old))
    await at.pay_by_upi()
    await expect(at["reload-button"]).to_be_visible()
    await look("15-expired")
    await page.unroute_all()
    await at.open("order_none")
    await expect(at["refused-state"]).to_be_visible()
    await look("16-refused")


async def alone(tab: Tab, look: Look) -> None:
    """What a page by itself can come to: another language; scripts that do not come, as the style sheet tells."""
    await tab.open(REUSABLE, lang="hi")
    await look("17-hindi")
    await tab.page.route("**/*.js", lambda route: route.abort())
    await tab.go(tab.hosted.address(tab.hosted.order()))
    await tab.page.evaluate("document.getAnimations().forEach((one) => one.finish())")
    await expect(tab.page.locator("#late")).to_be_visible()
    await look("18-without-script")


async def silent(dialog: Dialog, look: Look) -> None:
    """The frame does not answer: what the SDK says, at once and after a while. axe is in tests/checkout."""
    await dialog.page.route("**/checkout?*", lambda _: None)
    await dialog.visit("order_1")
    await dialog.page.locator("#buy").click()
    await look.take("17-loading")
    await dialog.page.clock.run_for(16_000)
    await expect(dialog.page.locator('[data-test-id="reload-frame-button"]')).to_be_visible()
    await look.take("18-silent")


PAGES = [(PHONE, "light"), (WIDE, "dark"), *([(PHONE, "dark"), (WIDE, "light")] if SHOTS else [])]
DIALOGS = [(PHONE, "dark"), (WIDE, "light"), *([(PHONE, "light"), (WIDE, "dark")] if SHOTS else [])]
"""All four for the pictures; each size and each theme always."""


def named(one: dict[str, int] | str) -> str:
    return str(one["width"] if isinstance(one, dict) else one)


@contextlib.asynccontextmanager
async def looking(browser: Browser, axe: str, name: str, size: dict[str, int], scheme: str) -> AsyncIterator[Look]:
    phone = {"has_touch": True, "device_scale_factor": 2 if SHOTS else 1} if size == PHONE else {}
    async with shopper(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce", **phone) as context:
        page = await context.new_page()
        await page.clock.install()
        yield Look(page, axe, f"{name}-{size['width']}-{scheme}")


@pytest.mark.parametrize(("size", "scheme"), PAGES, ids=named)
async def test_axe_finds_nothing_on_the_page(
    hosted: Hosted, browser: Browser, axe: str, size: dict[str, int], scheme: str
) -> None:
    async with looking(browser, axe, "page", size, scheme) as look:
        tab = Tab(hosted, look.page)
        await walk(tab, look)
        await alone(tab, look)


@pytest.mark.parametrize(("size", "scheme"), DIALOGS, ids=named)
async def test_axe_finds_nothing_on_a_shop_s_page_with_the_dialog(
    hosted: Hosted, browser: Browser, axe: str, shop: Shop, size: dict[str, int], scheme: str
) -> None:
    async with looking(browser, axe, "dialog", size, scheme) as look:
        dialog = Dialog(hosted, look.page, shop)
        await walk(dialog, look)
        if SHOTS:
            await silent(dialog, look)


COLOURS = ["#ffffff", "#ffd400", "#777777", "#f0f"]  # all are tried without a browser, in test_scripts.py


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_merchant_s_colour_never_makes_it_unreadable(hosted: Hosted, browser: Browser, scheme: str) -> None:
    async with shopper(browser, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(hosted, await context.new_page())
        for colour in COLOURS:
            await tab.open(REUSABLE, color=colour)
            assert _contrast(*await tab["pay-button"].evaluate(_INK)) >= 4.5, colour
            await tab["pay-button"].hover()
            await tab.page.wait_for_timeout(0)
            text, _ = await tab["method-upi"].evaluate(_INK)
            _, paper = await tab.page.locator("html").evaluate(_INK)
            assert _contrast(text, paper) >= 4.5, colour


async def test_nonsense_for_a_colour_changes_nothing(hosted: Hosted, browser: Browser) -> None:
    async with shopper(browser) as context:
        tab = Tab(hosted, await context.new_page())
        for colour in ("red", "url(x)", "#12", "#1234567", "0a7c59"):
            await tab.open(REUSABLE, color=colour)
            await expect(tab["pay-button"]).to_have_css("background-color", "rgb(47, 111, 237)")


_INK = "it => [getComputedStyle(it).color, getComputedStyle(it).backgroundColor]"


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio, computed here and not by the page's own code."""

    def luminance(text: str) -> float:
        channels = [int(n) / 255 for n in re.findall(r"\d+", text)[:3]]
        linear: Callable[[float], Any] = lambda c: c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4  # noqa: E731
        r, g, b = map(linear, channels)
        return float(0.2126 * r + 0.7152 * g + 0.0722 * b)

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
