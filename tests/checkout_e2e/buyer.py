"""A shopper at the shop, and what must be true once something was paid."""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import Frame, Locator, Page, expect

from tests.checkout_e2e.stage import Stage
from tests.support.browser import go
from tests.support.waiting import eventually

MODAL = "#payment-gateway-modal"
IFRAME = '[data-test-id="payment-iframe"]'


class Buyer:
    """One tab, on the shop's page."""

    def __init__(self, stage: Stage, page: Page) -> None:
        self.stage = stage
        self.page = page
        self.frame = page.frame_locator(IFRAME)

    async def visit(self, address: str = "") -> None:
        """Come to the shop (again)."""
        await go(self.page, address or self.stage.page)

    async def buy(self, order_id: str, **more: Any) -> None:
        """Open the checkout until it can be used."""
        await self.page.evaluate("([id, more]) => { buy(id, more) }", [order_id, more])
        await self.ready()

    async def ready(self) -> None:
        """The form has heard how the shop wants it to look, and stands still from now on."""
        await self.frame.locator("html[data-script=ready]:not([data-undressed])").wait_for(state="attached")
        await self.front()

    async def front(self) -> None:
        """Make it the tab that is seen: one behind is not drawn, and a click goes where its frame was before."""
        await self.page.bring_to_front()
        for one in (self.page, self.inner()):
            await one.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def __getitem__(self, test_id: str) -> Locator:
        return self.frame.locator(f'[data-test-id="{test_id}"]')

    @property
    def modal(self) -> Locator:
        return self.page.locator(MODAL)

    def inner(self) -> Frame:
        """The checkout's frame, to run something in it."""
        (found,) = (one for one in self.page.frames if one.url.startswith(f"{self.stage.url}/checkout?"))
        return found

    async def pay_by_upi(self, vpa: str = "success@paytm") -> None:
        await self["vpa-input"].fill(vpa)
        await self["pay-button"].click()

    async def pay_by_card(self, number: str = "4111 1111 1111 1111") -> None:
        await self["method-card"].click()
        await self["card-number-input"].fill(number)
        await self["expiry-input"].fill("12 / 40")
        await self["cvv-input"].fill("123")
        await self["cardholder-name-input"].fill("Asha Rao")
        await self["pay-button"].click()

    async def told(self) -> list[Any]:
        """What the callbacks were told, in order."""
        found: list[Any] = await self.page.evaluate("told")
        return found

    async def pressed(self, key: str) -> None:
        """Press a key that takes the frame away in which it is pressed: the driver may then wait for ever."""
        pressing = asyncio.create_task(self.page.keyboard.down(key))
        await expect(self.modal).to_have_count(0)
        await asyncio.wait([pressing], timeout=1)
        pressing.cancel()

    async def paid(self, order_id: str, *before: Any) -> str:
        """Wait for the end: one payment has succeeded, and all say the same of it, once.

        Page, callback, database and the webhook that the merchant has verified. Returns the payment's id.

        Args:
            order_id: what was paid.
            before: what the callbacks were told before.
        """
        await expect(self["success-state"]).to_be_visible()
        (payment,) = (one for one in self.stage.payments(order_id) if one["status"] == "success")
        await expect(self["payment-id"]).to_have_text(payment["id"])
        said = {"paymentId": payment["id"], "orderId": payment["order_id"], "status": payment["status"]}
        await self.page.wait_for_function("(count) => told.length >= count", arg=len(before) + 1)
        assert await self.told() == [*before, ["success", said]]
        await heard_of(self.stage, payment)
        return str(payment["id"])

    async def done(self) -> None:
        """Leave by the button of the end; nothing stays."""
        await self["done-button"].click()
        await expect(self.modal).to_have_count(0)
        assert (await self.told())[-1] == ["close"]


async def heard_of(stage: Stage, payment: dict[str, Any]) -> None:
    """The merchant's server was told of a success, genuinely, and of nothing else."""

    async def come() -> bool:
        return bool(stage.receiver.told("payment.success", payment["id"]))

    await eventually(come, what="the webhook of a success")
    (told,) = stage.receiver.told("payment.success", payment["id"])
    assert {name: told[name] for name in payment} == {**payment, "status": "success"}
    assert stage.receiver.told("payment.failed", payment["id"]) == []


async def settled(stage: Stage, order_id: str) -> dict[str, Any]:
    """Wait until the only payment of an order has succeeded and the merchant knows; with nobody looking."""

    async def over() -> bool:
        return [one["status"] for one in stage.payments(order_id)] == ["success"]

    await eventually(over, what="a payment that settles by itself")
    (payment,) = stage.payments(order_id)
    await heard_of(stage, payment)
    return payment


async def started(stage: Stage, order_id: str, count: int = 1) -> dict[str, Any]:
    """Wait until the database has as many payments of an order; the newest."""

    async def there() -> bool:
        return len(stage.payments(order_id)) == count

    await eventually(there, what=f"{count} payments in the database")
    return stage.payments(order_id)[-1]
