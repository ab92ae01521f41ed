"""The page can be read and used by everybody: axe-core, contrast in any colour, both themes, narrow and wide."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.checkout_page.browsing import PHONE, REUSABLE, WIDE, Hosted, Tab, browsing, hosting, shopper
from tests.support.npm import Installed, installed

__all__ = ["installed"]

SHOTS = os.environ.get("CHECKOUT_SHOTS")
"""A folder for a picture of each state."""


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosting(tmp_path_factory.mktemp("looks")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


LOOKS = [(PHONE, "light"), (WIDE, "dark"), *([(PHONE, "dark"), (WIDE, "light")] if SHOTS else [])]
"""All four for the pictures; each size and each theme always."""


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda one: str(one["width"] if isinstance(one, dict) else one))
def test_axe_finds_nothing_on_any_state(
    hosted: Hosted, browser: Browser, axe: str, size: dict[str, int], scheme: str
) -> None:
    with shopper(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(hosted, context.new_page())

        def look(name: str) -> None:
            if SHOTS:
                tab.page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-{name}.png", full_page=True)
            tab.page.evaluate(axe)  # past the policy, which forbids any script but the page's
            found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            told = [(one["id"], one["impact"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
            assert told == [], (name, told)
            wide: int = tab.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"], name

        order = hosted.order()
        tab.open(order)
        look("upi")
        tab["vpa-input"].fill("nobody")
        tab["pay-button"].click()
        look("upi-refused")
        tab["method-card"].click()
        look("card")
        tab["pay-button"].click()
        look("card-refused")
        tab.fill_card("4000000000000002")
        look("card-filled")
        tab["pay-button"].click()
        expect(tab["processing-state"]).to_be_visible()
        look("processing")
        hosted.pending(order)
        hosted.settle()
        expect(tab["error-state"]).to_be_visible()
        look("failed")
        tab["retry-button"].click()
        tab["method-upi"].click()
        tab["flow-qr"].check()
        look("qr-choice")
        tab["pay-button"].click()
        expect(tab.page.locator("#code svg")).to_be_visible()
        look("qr")
        hosted.pending(order, 2)
        hosted.settle()
        expect(tab["success-state"]).to_be_visible()
        look("success")
        tab.open(REUSABLE, lang="hi")
        look("hindi")
        tab.go(hosted.address("order_none"))
        look("refused")


COLOURS = ["#ffffff", "#000000", "#ffd400", "#0a7c59", "#777777", "#ff0000", "#00ff00", "#87ceeb", "#f0f", "#2f6fed"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_merchant_s_colour_never_makes_the_page_unreadable(hosted: Hosted, browser: Browser, scheme: str) -> None:
    with shopper(browser, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(hosted, context.new_page())
        for colour in COLOURS:
            tab.open(REUSABLE, color=colour)
            assert _contrast(*tab["pay-button"].evaluate(_INK)) >= 4.5, colour
            tab["pay-button"].hover()
            tab.page.wait_for_timeout(0)
            text, _ = tab["method-upi"].evaluate(_INK)
            _, paper = tab.page.locator("html").evaluate(_INK)
            assert _contrast(text, paper) >= 4.5, colour


def test_nonsense_for_a_colour_changes_nothing(hosted: Hosted, browser: Browser) -> None:
    with shopper(browser) as context:
        tab = Tab(hosted, context.new_page())
        for colour in ("red", "url(x)", "#12", "#1234567", "0a7c59"):
            tab.open(REUSABLE, color=colour)
            expect(tab["pay-button"]).to_have_css("background-color", "rgb(47, 111, 237)")
        assert tab.wrong == []


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
