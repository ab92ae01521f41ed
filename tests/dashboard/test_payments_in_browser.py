"""In Chromium: find a payment, look at it as of a moment, refund it; with a script and without one; live."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Browser, expect

from dashboard import typed
from tests.dashboard.browsing import Served, Tab, serving
from tests.dashboard.paying import BAD_CARD, GOOD_CARD, Till
from tests.dashboard.test_in_browser import AXE, LOOKS, SHOTS
from tests.support.browser import PHONE, shopper
from tests.support.npm import Installed, installed

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVIL = '<img src=x onerror="throw 1">'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("payments")) as made:
        yield made


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


@contextlib.asynccontextmanager
async def till(served: Served) -> AsyncIterator[Till]:
    async with await psycopg.AsyncConnection.connect(served.database_url, autocommit=True) as conn:
        yield Till(conn, served.config)


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
async def test_a_payment_is_found_refunded_and_looked_at_as_it_was(
    served: Served, browser: Browser, *, script: bool
) -> None:
    """From the list by a filter to the payment; a part of it back; then as it was before; and back to now."""
    async with till(served) as paying, shopper(browser, java_script_enabled=script) as context:
        await paying.pay(amount=11_100, order_id=f"small_{script}")
        payment = await paying.pay(card=GOOD_CARD, amount=70_000, order_id=f"large_{script}")
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()
        await tab.go("/dashboard/payments")
        await page.get_by_label("Method").select_option("Card")
        if not script:
            await page.get_by_role("button", name="Show").click()
        await page.wait_for_url("**/payments?*method=card*")
        await expect(tab["payment-row"].filter(has_text="₹111.00")).to_have_count(0)
        await page.locator(f'[data-payment-id="{payment}"]').click()
        await expect(page).to_have_title("₹700.00 · Payment · Ledgate")

        await tab["refund-button"].click()
        await page.wait_for_url("**/refund")
        await expect(page.get_by_label("Amount in INR")).to_be_focused()
        if script:
            await page.get_by_label("Amount in INR").fill("700.01")
            await tab["refund-review"].click()
            await expect(tab["refund-panel"]).to_contain_text("Only ₹700.00 is left to refund.")
        await page.get_by_label("Amount in INR").fill("200")
        await page.get_by_label("Reason").fill(EVIL)
        await tab["refund-review"].click()
        await expect(tab["refund-panel"]).to_contain_text(f"“{EVIL}”")
        await tab["refund-sure"].click()
        await expect(page.locator("[data-toast]")).to_contain_text("A refund of ₹200.00 is on its way")
        await expect(page).to_have_url(f"{served.url}/dashboard/payments/{payment}")
        await expect(tab["refund-status"]).to_have_text("pending")
        await paying.settle()
        if not script:
            await page.reload()
        await expect(tab["refund-status"]).to_have_text("processed")  # the page follows by itself

        await expect(tab["money"]).to_contain_text("₹500.00")
        steps = await tab["step"].count()
        await tab["step"].filter(has_text="Payment succeeded").locator("a.when").click()
        await expect(tab["as-of-note"]).to_be_visible()
        await expect(tab["money"]).not_to_contain_text("₹500.00")
        assert await tab["step"].count() < steps
        if script:
            await tab["step-back"].click()
            await expect(tab["payment-status"]).to_have_text("pending")
            await page.go_back()
            await expect(tab["payment-status"]).to_have_text("success")
            await page.get_by_role("link", name="Back to now").click()
            await expect(tab["step"]).to_have_count(steps)
        await page.locator("#as_of").fill("2020-01-01T10:00")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_role("alert")).to_contain_text("The payment was not there yet")


async def test_new_payments_are_told_of_and_nothing_moves_until_one_asks(served: Served, browser: Browser) -> None:
    async with till(served) as paying, shopper(browser) as context:
        waiting = await paying.pay(settled=False, amount=22_200)
        tab = Tab(served, await context.new_page())
        await tab.enter()
        await tab.go("/dashboard/payments")
        first = tab["payment-row"].first
        await expect(first).to_have_attribute("data-payment-id", waiting)
        place = await first.bounding_box()
        await paying.settle()
        await expect(first).to_contain_text("success")
        new = await paying.pay(amount=33_300)
        await expect(tab["new-payments"]).to_have_text(re.compile("1 new payment$"))
        assert await first.get_attribute("data-payment-id") == waiting
        assert await first.bounding_box() == place
        await tab["new-payments"].click()
        await expect(first).to_have_attribute("data-payment-id", new)
        await expect(tab["new-payments"]).to_have_count(0)


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda one: str(one["width"] if isinstance(one, dict) else one))
async def test_axe_finds_nothing(served: Served, browser: Browser, axe: str, size: dict[str, int], scheme: str) -> None:
    async with (
        till(served) as paying,
        shopper(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as context,
    ):
        good = await paying.pay(notes={"customer": f"Manoj {EVIL}", "long" * 10: "x" * 250})
        await paying.refund(good, 12_300, "Returned goods " * 15)
        failed = await paying.pay(card=BAD_CARD)
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()

        async def look(name: str) -> None:
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-{name}.png", full_page=True)
            await page.evaluate(axe)  # past the policy, which forbids any script but the page's
            assert await page.evaluate(AXE) == [], name
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), name

        pages = {
            "payments": "payments",
            "payment": f"payments/{good}",
            "payment-failed": f"payments/{failed}",
            "events": "events?type=payment.failed",
            "payments-none": "payments?order=nothing",
            "payments-wrong": "payments?least=x",
            "payments-found": "payments?q=asha@okaxis",
            "payment-capture": f"payments/{good}/capture",
            "payment-as-of": f"payments/{good}?as_of={typed.moment(await paying.now())}",
        }
        half = list(pages)[:2] if size == PHONE else list(pages)[2:4]  # axe takes its time
        for name in pages if SHOTS else half:
            await tab.go(f"/dashboard/{pages[name]}")
            await look(name)
        if SHOTS or size == PHONE:
            await tab.go(f"/dashboard/payments/{good}/refund")
            await tab["refund-review"].click()
            await expect(tab["refund-sure"]).to_be_visible()
            await look("payment-refund-sure")
        if SHOTS or size != PHONE:
            await tab.go("/dashboard/events?type=payment.failed")
            await tab["event-row"].first.click()
            await page.locator("summary", has_text="The exact bytes").click()
            await look("event")
