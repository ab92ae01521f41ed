"""The checkout in the SDK's dialog, over a shop's page, used as the page by itself is used."""

from __future__ import annotations

from typing import Any

import msgspec
from playwright.async_api import Locator, Page

from gateway import demo
from tests.checkout_page.browsing import Hosted, Tab
from tests.support.origins import Shop

SHOP = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chai &amp; Co</title>
<style>
:root { color-scheme: light dark } body { margin: 0; font: 18px/1.6 Georgia, serif }
header { padding: 20px 6vw; border-bottom: 1px solid; font-weight: 700 } main { padding: 16px 6vw; max-width: 40em }
button { min-height: 48px; padding: 0 24px; border: 0; background: #0a6b4d; color: #fff; font: inherit }
</style>
<script src="CHECKOUT/checkout.js"></script></head>
<body><header>Chai &amp; Co</header>
<main><h1>Your basket</h1><p>Masala chai, two tins</p><p>Total: ₹1,299.00</p>
<button id="buy">Pay ₹1,299.00</button></main>
<script>
const told = [];
const tell = (kind) => (what) => told.push([kind, what]);
const callbacks = { onSuccess: tell("success"), onFailure: tell("failure"), onClose: tell("close") };
document.getElementById("buy").onclick = () => new PaymentGateway({ ...OPTIONS, ...callbacks }).open();
</script></body></html>"""
WISHES = {
    "name": "Chai & Co",
    "description": "Masala chai, two tins",
    "prefill": {"name": "Asha Rao", "email": "asha@example.com"},
    "theme": {"color": "#0a7c59"},
}


class Dialog(Tab):
    """One tab of a shopper's, on the shop's page."""

    def __init__(self, hosted: Hosted, page: Page, shop: Shop, wishes: dict[str, Any] = WISHES) -> None:
        super().__init__(hosted, page)
        self.shop = shop
        self.wishes = wishes
        self.frame = page.frame_locator('[data-test-id="payment-iframe"]')

    def __getitem__(self, test_id: str) -> Locator:
        return self.frame.locator(f'[data-test-id="{test_id}"]')

    async def visit(self, order_id: str) -> None:
        """Go to the shop, whose button opens the checkout of that order."""
        options = msgspec.json.encode({"key": demo.KEY_ID, "orderId": order_id, **self.wishes}).decode()
        await self.go(self.shop.put(SHOP.replace("CHECKOUT", self.hosted.url).replace("OPTIONS", options)))

    async def open(self, order_id: str, **_: str) -> None:
        await self.visit(order_id)
        await self.page.locator("#buy").click()
        await self.ready()

    async def ready(self) -> None:
        await self.frame.locator("html[data-script=ready]").wait_for(state="attached")
