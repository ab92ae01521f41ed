"""Somebody buys tea in Debian's Chromium: the shop, the checkout, the API and a dispatcher as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from gateway import demo
from gateway.config import load
from tests.support import calls
from tests.support.browser import PHONE, WIDE, go, shopper
from tests.support.npm import Installed, installed
from tests.support.ports import steady_port
from tests.support.processes import ROOT, Stack
from tests.support.server import fresh_database
from tests.support.waiting import until

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

NODE = ROOT / "tests/checkout_page/node"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shop's address; each of the three has an origin of its own."""
    ports = {name: steady_port() for name in ("api", "checkout", "shop")}
    with fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url:
        stack = Stack(
            url,
            tmp_path_factory.mktemp("shop"),
            PORT=str(ports["api"]),
            LEDGATE_CHECKOUT_PORT=str(ports["checkout"]),
            LEDGATE_DEMO_SHOP_PORT=str(ports["shop"]),
            LEDGATE_API_URL=f"http://127.0.0.1:{ports['api']}",
            LEDGATE_CHECKOUT_URL=f"http://localhost:{ports['checkout']}",
            LEDGATE_DEMO_SHOP_WEBHOOK_URL=f"http://127.0.0.1:{ports['shop']}/webhook",
        )
        asyncio.run(demo.seed_shop(url, load(stack.env)))
        try:
            for module in ("gateway", "gateway.checkout", "demo_shop", "dispatcher"):
                stack.process(module).start()
            for port, path in (("checkout", "/health/ready"), ("shop", "/health")):
                until(lambda where=f"http://127.0.0.1:{ports[port]}{path}": _well(where), within=30, what=port)
            yield f"http://localhost:{ports['shop']}"
        finally:
            stack.close()


def _well(address: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return calls.get(address, timeout=5).status_code == 200
    return False


async def _accessible(page: Page, axe: str) -> None:
    await page.evaluate(axe)  # past the policy, which forbids any script but the page's
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert told == [], page.url
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_tea_is_bought_and_packed_on_the_webhook_s_word_alone(
    shop: str, browser: Browser, installed: Installed
) -> None:
    """On a phone, at night. Who only claims to have paid waits; who has, sees it without reloading, and after it."""
    axe = (installed(NODE) / "node_modules/axe-core/axe.min.js").read_text()
    night = {"viewport": PHONE, "color_scheme": "dark", "reduced_motion": "reduce"}
    async with shopper(browser, **night) as context:
        page = await context.new_page()
        await go(page, shop)
        await page.click("#add-kahwa")
        await expect(page.locator("#add-kahwa")).to_have_text("Add one more")
        await expect(page.locator("#add-kahwa")).to_be_focused()
        await _accessible(page, axe)
        await page.click("#to-basket")
        await page.click("#more-kahwa")
        await expect(page.locator("#total")).to_have_text("₹1,480")
        await _accessible(page, axe)

        frame = page.frame_locator('[data-test-id="payment-iframe"]')
        await page.click("#pay")
        await expect(frame.locator('[data-test-id="order-summary"]')).to_contain_text("₹1,480.00")
        await page.click('[data-test-id="close-modal-button"]')
        await expect(page.locator("#pay")).to_be_focused()

        # What a forged onSuccess would do: it leads to the page that waits, which goes on waiting.
        place = await page.evaluate("fetch('/orders', {method: 'POST', headers: {Accept: 'application/json'}})"
                                    ".then((answer) => answer.json()).then((till) => till.page)")  # fmt: skip
        async with page.expect_response("**/progress?thanks"):
            await go(page, f"{shop}{place}?thanks")
        await expect(page.locator("#progress")).to_contain_text("Waiting for the bank's word")
        await _accessible(page, axe)
        await page.click("text=Not paid after all?")

        await page.click("#pay")
        await frame.locator('[data-test-id="vpa-input"]').fill("success@paytm")
        await frame.locator('[data-test-id="pay-button"]').click()
        await expect(page.locator('[data-state="paid"]')).to_contain_text("confirmed by the bank")
        assert page.url == f"{shop}{place}?thanks"
        await _accessible(page, axe)
        await page.reload()
        await expect(page.locator('[data-state="paid"]')).to_be_visible()
        await expect(page.locator("#to-basket b")).to_be_hidden()


async def test_without_script_the_checkout_is_a_page_of_its_own(shop: str, browser: Browser) -> None:
    """The basket fills, the order is made, and its button leads to the hosted page of that order."""
    async with shopper(browser, viewport=WIDE, java_script_enabled=False) as context:
        page = await context.new_page()
        await go(page, shop)
        await page.click("#add-nilgiri")
        await page.click("#to-basket")
        await page.click("#pay")
        await expect(page.locator("#progress")).to_contain_text("Not paid yet")
        await page.click("#pay")

        await page.wait_for_url("**/checkout?order_id=order_*&key=key_test_shop123")
        await expect(page.locator("body")).to_contain_text("₹570.00")
