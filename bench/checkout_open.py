"""From `open()` to a form that can be used: in a shop's page, with the SDK, in Chromium, cold, warm and on slow 3G.

Usable is: the first field can take the focus, and the button is enabled, as an animation frame of the form sees it. The
shop stands on another site than the checkout. Run by hand: `python -m bench.checkout_open`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
from typing import TYPE_CHECKING

from bench.stage import ask, free_port, stage, until
from gateway import demo
from tests.support.browser import launched
from tests.support.origins import Shop
from tests.support.slow import slow_down

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Frame, Page

ROUNDS = 15
SHOP = """<!doctype html><title>Shop</title><script src="CHECKOUT/checkout.js"></script>
<script>const open1 = () => { window.began = performance.timeOrigin + performance.now();
  window.made = new PaymentGateway({ key: "KEY", orderId: "ORDER", name: "Corner Shop" }); made.open() }</script>"""
USABLE = """() => new Promise((done) => {
  const look = () => {
    const field = document.querySelector("[data-test-id=vpa-input]");
    const button = document.querySelector("[data-test-id=pay-button]");
    if (field?.checkVisibility({ visibilityProperty: true }) && button && !button.disabled)
      done(performance.timeOrigin + performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""


async def opened(page: Page) -> float:
    """Open it; milliseconds until it can be used."""
    async with page.expect_event("frameattached") as attached:
        await page.evaluate("open1()")
    frame: Frame = await attached.value
    await frame.wait_for_url("**/checkout?**", wait_until="commit")
    return float(await frame.evaluate(USABLE)) - float(await page.evaluate("began"))


@contextlib.asynccontextmanager
async def shopper(browser: Browser, shop: str) -> AsyncIterator[Page]:
    """A browser that has seen nothing, in the shop."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = await context.new_page()
        await page.goto(shop)
        yield page
    finally:
        await context.close()


async def measure(shop: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each opening."""
    found: dict[str, list[float]] = {"cold": [], "warm": [], "slow 3G": [], "slow 3G, warm": []}
    async with launched() as browser:
        async with shopper(browser, shop) as page:
            await opened(page)  # the server's own first time
        for _ in range(rounds):
            async with shopper(browser, shop) as page:
                found["cold"].append(await opened(page))
                await page.evaluate("made.close()")
                found["warm"].append(await opened(page))
            async with shopper(browser, shop) as page:
                await slow_down(page)
                found["slow 3G"].append(await opened(page))
                await page.evaluate("made.close()")
                found["slow 3G, warm"].append(await opened(page))
    return found


def main() -> None:
    """Measure, print the medians."""
    parser = argparse.ArgumentParser(prog="python -m bench.checkout_open", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    port = free_port()
    with stage() as made, made.database("checkout_open") as database, Shop("localhost") as shop:
        env = {**database.env, "LEDGATE_CHECKOUT_PORT": str(port)}
        with made.process("gateway.checkout", env=env) as child:
            until(lambda: b" 200 " in ask(port, "/health/ready"), child=child)
            html = SHOP.replace("CHECKOUT", f"http://127.0.0.1:{port}").replace("KEY", demo.KEY_ID)
            found = asyncio.run(measure(shop.put(html.replace("ORDER", demo.ORDER_IDS[0])), asked.rounds))
    print(f"from open() to a usable form, {asked.rounds} times each, ms   median    min    max")
    for name, times in found.items():
        print(f"{name:<54} {statistics.median(times):6.0f} {min(times):6.0f} {max(times):6.0f}")


if __name__ == "__main__":
    main()
