"""The page can be read and used by everybody: axe-core, contrast in any colour, both themes, narrow and wide."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.checkout_page.browsing import REUSABLE, Hosted, Tab
from tests.support.browser import PHONE, WIDE, shopper
from tests.support.npm import Installed, installed

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOTS = os.environ.get("CHECKOUT_SHOTS")
"""A folder for a picture of each state."""


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


LOOKS = [(PHONE, "light"), (WIDE, "dark"), *([(PHONE, "dark"), (WIDE, "light")] if SHOTS else [])]
"""All four for the pictures; each size and each theme always."""


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda one: str(one["width"] if isinstance(one, dict) else one))
async def test_axe_finds_nothing_on_any_state(
    hosted: Hosted, browser: Browser, axe: str, size: dict[str, int], scheme: str
) -> None:
    async with shopper(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(hosted, await context.new_page())

        async def look(name: str) -> None:
            if SHOTS:
                await tab.page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-{name}.png", full_page=True)
            await tab.page.evaluate(axe)  # past the policy, which forbids any script but the page's
            found = await tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            told = [(one["id"], one["impact"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
            assert told == [], (name, told)
            wide: int = await tab.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"], name

        order = hosted.order()
        await tab.open(order)
        await look("upi")
        await tab["vpa-input"].fill("nobody")
        await tab["pay-button"].click()
        await look("upi-refused")
        await tab["method-card"].click()
        await look("card")
        await tab["pay-button"].click()
        await look("card-refused")
        await tab.fill_card("4000000000000002")
        await look("card-filled")
        await tab["pay-button"].click()
        await expect(tab["processing-state"]).to_be_visible()
        await look("processing")
        await hosted.pending(order)
        await hosted.settle()
        await expect(tab["error-state"]).to_be_visible()
        await look("failed")
        await tab["retry-button"].click()
        await tab["method-upi"].click()
        await tab["flow-qr"].check()
        await look("qr-choice")
        await tab["pay-button"].click()
        await expect(tab.page.locator("#code svg")).to_be_visible()
        await look("qr")
        await hosted.pending(order, 2)
        await hosted.settle()
        await expect(tab["success-state"]).to_be_visible()
        await look("success")
        await tab.open(REUSABLE, lang="hi")
        await look("hindi")
        await tab.go(hosted.address("order_none"))
        await look("refused")


COLOURS = ["#ffffff", "#000000", "#ffd400", "#0a7c59", "#777777", "#ff0000", "#00ff00", "#87ceeb", "#f0f", "#2f6fed"]


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
