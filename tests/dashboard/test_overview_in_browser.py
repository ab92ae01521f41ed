"""In Chromium: the overview's charts are drawn from their tables, read by hand and by key, and follow what happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Browser, Page, expect

from tests.dashboard.browsing import Served, Tab, serving
from tests.dashboard.paying import Till
from tests.dashboard.test_in_browser import AXE, LOOKS, SHOTS
from tests.dashboard_data.past import NOW, Past
from tests.support.browser import PHONE, shopper
from tests.support.npm import Installed, installed
from tests.support.paying import MERCHANT

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAINTED = """([id, name]) => {
  const canvas = document.querySelector(`#plot-${id} canvas`);
  const wanted = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [r, g, b] = wanted.match(/[0-9a-f]{2}/g).map((one) => parseInt(one, 16));
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const same = (n) => data[n] === r && data[n + 1] === g && data[n + 2] === b && data[n + 3] === 255;
  return data.reduce((found, _, n) => found + (n % 4 === 0 && same(n)), 0);
}"""
"""How many points of a chart have the colour of a token."""
FITS = """() => {
  const plot = document.getElementById("plot-volume");
  return plot.clientWidth === plot.querySelector(".uplot").offsetWidth;
}"""
SHIFTS = """new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().map((one) => one.value)))
  .observe({ type: "layout-shift", buffered: true })) """

DRAWN = """{
  const look = () => {
    const words = document.querySelector("h1 + .faint");
    if (words && getComputedStyle(words).visibility === "visible") {
      sessionStorage.drawn ??= words.textContent.match(/Times in (.*)\\./)[1];
    } else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
"""Keeps the zone of the first times that are drawn."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("overview")) as made:
        past = Past(MERCHANT)
        for hours in range(1, 40):
            past.pay(NOW - timedelta(hours=hours), 10_000 * (hours % 7 + 1), good=hours % 5 > 0)
            past.pay(NOW - timedelta(hours=hours), 25_000, method="card", good=hours % 4 > 0)
        past.pay(NOW - timedelta(hours=2), 1_999, currency="USD", refunds=((NOW - timedelta(hours=1), 500, True),))
        past.lay(made.database_url)
        yield made


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


async def painted(page: Page, chart: str, token: str) -> int:
    return int(await page.evaluate(PAINTED, [chart, f"--{token}"]))


async def test_charts_are_drawn_and_read_by_hand_and_by_key(served: Served, browser: Browser) -> None:
    """What the read-out says is what stands in the table; colours are the theme's, also after it was changed."""
    async with shopper(browser, color_scheme="light") as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()
        await tab.go("/dashboard")
        plot = page.locator("#plot-volume")
        rows = page.locator("#chart-volume tbody tr")
        assert await painted(page, "volume", "series-1") > 500
        assert await painted(page, "payments", "series-bad") > 50
        assert await painted(page, "success", "series-4") > 20

        await plot.focus()
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowRight")
        wanted = (await rows.nth(22).text_content() or "").split("₹")
        readout = plot.locator(".readout")
        await expect(readout).to_be_visible()
        await expect(readout).to_contain_text(wanted[0].strip())
        text = await plot.get_attribute("aria-valuetext") or ""
        assert text.startswith(f"{wanted[0].strip()}: Volume ₹")
        await page.keyboard.press("Escape")
        await expect(readout).to_be_hidden()
        box = await plot.bounding_box()
        assert box
        await page.mouse.move(box["x"] + box["width"] - 28, box["y"] + 60)
        await expect(readout).to_contain_text("so far")

        await page.get_by_role("navigation", name="Pages").hover()
        await page.get_by_role("button", name="Dark").first.click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert await painted(page, "volume", "series-1") > 500, "the dark one's blue"


async def test_what_happens_is_drawn_into_the_chart_that_is_there(served: Served, browser: Browser) -> None:
    """No canvas is made anew, what is unfolded stays so, and nothing on the page moves."""
    async with (
        await psycopg.AsyncConnection.connect(served.database_url, autocommit=True) as conn,
        shopper(browser) as context,
    ):
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()
        await tab.go("/dashboard")
        count = page.locator('[data-figure="payments"] dd').first
        before = int(await count.inner_text())
        await page.evaluate("document.querySelector('#plot-payments canvas').ours = true")
        await page.locator("#summary-payments").click()
        first = page.locator("#chart-payments tbody tr").first
        had = await first.inner_text()
        high = await page.locator("#plot-payments").bounding_box()

        await Till(conn, served.config).pay(amount=70_000)

        await expect(count).to_have_text(str(before + 1))
        await expect(first).not_to_have_text(had)
        assert await page.evaluate("document.querySelector('#plot-payments canvas').ours")
        assert await page.locator("#table-payments").evaluate("(one) => one.open")
        assert await page.locator("#plot-payments").bounding_box() == high

        await page.get_by_role("link", name="7 days").click()
        await page.wait_for_url("**/dashboard?period=7d")
        await expect(page.locator("#chart-volume tbody tr")).to_have_count(28)
        await page.get_by_role("link", name="USD").click()
        await expect(page.locator("#chart-volume")).to_contain_text("$19.99")
        await page.go_back()
        await expect(page.locator("#chart-volume")).to_contain_text("₹")
        await page.go_back()
        await expect(page.locator("#chart-volume tbody tr")).to_have_count(24)


async def test_a_chart_is_as_wide_as_its_place_and_nothing_jumps(served: Served, browser: Browser) -> None:
    async with shopper(browser) as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()
        await tab.go("/dashboard")
        await expect(page.locator("#plot-deliveries canvas, #plot-volume canvas").first).to_be_visible()
        shifts = await page.evaluate(f"Promise.race([{SHIFTS}, new Promise((done) => setTimeout(done, 300, []))])")
        assert sum(shifts) < 0.01
        for size in (PHONE, {"width": 768, "height": 900}, {"width": 1440, "height": 900}):
            await page.set_viewport_size(size)  # type: ignore[arg-type]
            await expect(page.locator("#plot-volume .uplot")).to_be_visible()
            await page.wait_for_function(FITS)
            await page.evaluate("document.querySelectorAll('.chart details').forEach((one) => { one.open = true; })")
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")


async def test_without_a_script_the_table_is_the_chart(served: Served, browser: Browser) -> None:
    async with shopper(browser, java_script_enabled=False) as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()
        await tab.go("/dashboard")
        await expect(page.locator("#plot-volume")).to_be_hidden()
        await page.locator("#summary-volume").click()
        await expect(page.locator("#chart-volume tbody tr").first).to_contain_text("so far")
        await page.get_by_role("link", name="30 days").click()
        await page.wait_for_url("**/dashboard?period=30d")
        await expect(page.locator("#chart-volume tbody tr")).to_have_count(30)
        await page.get_by_role("link", name="USD").click()
        await expect(page.get_by_role("heading", name="Payments in USD")).to_be_visible()


async def test_a_browser_elsewhere_has_its_own_days_from_the_first_page_on(served: Served, browser: Browser) -> None:
    """Nothing is drawn before; one that keeps no cookies is shown UTC, once."""
    async with shopper(browser, timezone_id="Asia/Kolkata") as context:
        tab = Tab(served, await context.new_page())
        await tab.enter()
        await tab.page.add_init_script(DRAWN)
        await tab.go("/dashboard")
        await expect(tab.page.get_by_text(re.compile("Times in Asia/Kolkata"))).to_be_visible()
        assert await tab.page.evaluate("sessionStorage.drawn") == "Asia/Kolkata"
        fetched: list[str] = []
        tab.page.on("request", lambda one: fetched.append(one.url) if one.is_navigation_request() else None)
        await tab.go("/dashboard?period=7d")
        await tab.page.add_init_script("Object.defineProperty(document, 'cookie', { get: () => '', set() {} })")
        await context.clear_cookies(name="ledgate_zone")
        await tab.go("/dashboard?period=30d")
        await expect(tab.page.get_by_text(re.compile("Times in UTC"))).to_be_visible()
        assert len(fetched) == 2


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda one: str(one["width"] if isinstance(one, dict) else one))
async def test_axe_finds_nothing(served: Served, browser: Browser, axe: str, size: dict[str, int], scheme: str) -> None:
    async with shopper(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()
        await tab.go("/dashboard")
        await page.locator("#summary-volume").click()
        if SHOTS:
            await page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-overview-charts.png", full_page=True)
        await page.evaluate(axe)  # past the policy, which forbids any script but the page's
        assert await page.evaluate(AXE) == []
