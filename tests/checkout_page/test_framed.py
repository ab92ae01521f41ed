"""The checkout in a shop's frame: where the shop may show it, what it says to the shop, and what it does not hear."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import FrameLocator, Locator, Page, expect

from tests.checkout_page.browsing import Hosted, Tab
from tests.support.browser import wrong
from tests.support.origins import Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOP = """<!doctype html><title>Shop</title><script>
window.heard = [];
addEventListener("message", (event) => heard.push({origin: event.origin, ...event.data}));
</script><iframe id="frame" width="440" height="700" referrerpolicy="%s" src="%s"></iframe>"""


@pytest.fixture(scope="module", name="shop")
def _shop() -> Iterator[Shop]:
    """A merchant's origin, which is another site."""
    with Shop("localhost") as served:
        yield served


class Framed:
    """A shopper at the shop."""

    def __init__(self, hosted: Hosted, page: Page, shop: Shop) -> None:
        self.hosted = hosted
        self.page = page
        self.shop = shop
        self.tab = Tab(hosted, page)
        self.frame: FrameLocator = page.frame_locator("#frame")

    async def open(self, order: str, *, referrer: str = "origin", **more: str) -> None:
        address = self.hosted.address(order, embedded="true", **more).replace("&", "&amp;")
        await self.tab.go(self.shop.put(SHOP % (referrer, address)))

    async def heard(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.page.evaluate("heard")
        return [one for one in found if one["type"] == kind]

    async def await_heard(self, kind: str) -> dict[str, Any]:
        await self.page.wait_for_function("kind => heard.some(one => one.type === kind)", arg=kind)
        return (await self.heard(kind))[-1]

    async def say(self, message: object, origin: str) -> None:
        await self.page.evaluate("([m, o]) => frames[0].postMessage(m, o)", [message, origin])

    def __getitem__(self, test_id: str) -> Locator:
        return self.frame.locator(f'[data-test-id="{test_id}"]')


@pytest_asyncio.fixture(loop_scope="session")
async def framed(hosted: Hosted, page: Page, shop: Shop) -> AsyncIterator[Framed]:
    yield Framed(hosted, page, shop)
    hosted.frame_on()


@pytest.mark.parametrize("referrer", ["origin", "no-referrer"])
async def test_a_payment_in_a_frame_is_told_to_the_shop_at_its_origin(framed: Framed, referrer: str) -> None:
    """The shop is one of several origins, which is also found where the browser does not say who is around."""
    hosted = framed.hosted
    hosted.frame_on("https://other.example", framed.shop.url)
    order = hosted.order()
    await framed.open(order, referrer=referrer)
    assert (await framed.await_heard("checkout_ready"))["origin"] == hosted.url
    assert (await framed.await_heard("checkout_resize"))["data"]["height"] > 300
    await framed["vpa-input"].fill("success@paytm")
    await framed["pay-button"].click()
    payment = await hosted.pending(order)
    await hosted.settle()
    told = await framed.await_heard("payment_success")
    assert told["data"] == {"paymentId": payment, "orderId": order, "status": "success"}
    await framed["done-button"].click()
    await framed.await_heard("close_modal")
    assert len(await framed.heard("payment_success")) == 1


async def test_a_failure_is_told_and_escape_closes(framed: Framed) -> None:
    order = framed.hosted.order()
    await framed.open(order)
    await framed.await_heard("checkout_ready")
    await framed["vpa-input"].fill("failure@psp")
    await framed["pay-button"].click()
    payment = await framed.hosted.pending(order)
    await framed.hosted.settle()
    told = (await framed.await_heard("payment_failed"))["data"]
    assert (told["code"], told["paymentId"]) == ("payment_declined", payment)
    assert "declined" in told["description"]
    await framed["retry-button"].press("Escape")
    await framed.await_heard("close_modal")


async def test_the_shop_s_wishes_are_heard_from_the_shop_alone(framed: Framed) -> None:
    """From its window and its origin. The amount is not among them: the order has one."""
    hosted = framed.hosted
    order = hosted.order()
    await framed.open(order, color="#0a7c59")
    await framed.await_heard("checkout_ready")
    wishes = {
        "name": "Chai & Co", "description": "Chai", "amount": 1,
        "prefill": {"name": "Asha Rao", "email": "asha@example.com", "contact": "+919000000000", "vpa": "asha@okbank"},
    }  # fmt: skip
    await framed.say({"type": "checkout_options", "data": wishes}, hosted.url)
    # A frame beside ours on the same page is not the shop's window, though of the shop's origin.
    await framed.page.evaluate(
        """([wishes, origin]) => {
        const other = document.body.appendChild(document.createElement("iframe")).contentWindow;
        other.eval(`parent.frames[0].postMessage(${JSON.stringify(wishes)}, "${origin}")`); }""",
        [{"type": "checkout_options", "data": {**wishes, "name": "Forged"}}, hosted.url],
    )
    for nonsense in (None, 1, "checkout_options", {"type": "payment_success"}, {"type": "checkout_options"}):
        await framed.say(nonsense, hosted.url)
    await framed.say({"type": "checkout_options", "data": {"description": "Two <b>masala</b> chai"}}, hosted.url)

    await expect(framed.frame.locator("#description")).to_have_text("Two <b>masala</b> chai")
    await expect(framed.frame.locator("#name")).to_have_text("Chai & Co")
    await expect(framed.frame.locator("#merchant")).to_have_text("Ledgate Demo")
    await expect(framed.frame.locator("#contact")).to_have_text("asha@example.com")
    await expect(framed["cardholder-name-input"]).to_have_value("Asha Rao")
    await expect(framed["vpa-input"]).to_have_value("asha@okbank")
    await expect(framed["pay-button"]).to_have_text("Pay ₹1,299.00")
    await expect(framed["pay-button"]).to_have_css("background-color", "rgb(10, 124, 89)")
    await framed["pay-button"].click()
    await framed.hosted.pending(order)
    assert framed.hosted.payments(order)[0]["amount"] == 129_900


async def test_the_browser_refuses_a_frame_on_an_origin_that_was_not_named(framed: Framed) -> None:
    """Nobody can lay the checkout under a page of theirs and have its button clicked."""
    for origin in ("https://shop.example", "http://localhost:1", "http://127.0.0.1"):
        framed.hosted.frame_on(origin)
        await framed.open(framed.hosted.order())
        await framed.page.wait_for_load_state()
        await expect(framed["checkout-form"]).to_have_count(0)
        said = wrong(framed.page)
        assert any(re.search(r"frame-ancestors|refused to connect|Framing", text) for text in said), said
        said.clear()
        assert await framed.page.evaluate("heard") == []


async def test_an_order_that_is_not_there_is_told_to_the_shop_at_once(framed: Framed) -> None:
    """Whoever frames it, since a wrong key has no merchant whose origins could be asked; there is nothing to press."""
    for origins in ([], ["https://shop.example"]):
        framed.hosted.frame_on(*origins)
        await framed.open("order_none")
        await expect(framed["refused-state"]).to_contain_text("There is nothing to pay here")
        await expect(framed["reload-link"]).to_be_hidden()
        await framed.await_heard("checkout_ready")
        assert (await framed.await_heard("payment_failed"))["data"]["code"] == "NOT_FOUND"


async def test_by_itself_the_page_works_whatever_the_origins(framed: Framed) -> None:
    framed.hosted.frame_on("https://shop.example")
    await framed.tab.open(framed.hosted.order())
    await expect(framed.tab["pay-button"]).to_be_enabled()
    await expect(framed.tab["cancel-button"]).to_be_hidden()


SDK_SHOP = """<!doctype html><title>Shop</title><script src="%s/checkout.js"></script><button id="buy">Buy</button>
<script>
window.told = [];
const tell = (kind) => (what) => told.push([kind, what]);
document.getElementById("buy").onclick = () => new PaymentGateway({ key: "key_test_abc123", orderId: "%s",
  name: "Chai & Co", theme: { color: "#0a7c59" }, prefill: { vpa: "success@paytm" },
  onSuccess: tell("success"), onFailure: tell("failure"), onClose: tell("close") }).open();
</script>"""


async def test_with_the_sdk_a_shopper_pays_without_leaving_the_shop(framed: Framed) -> None:
    hosted, page = framed.hosted, framed.page
    order = hosted.order()
    await page.emulate_media(reduced_motion="reduce")  # else the dialog may still be growing under a pointer
    await framed.tab.go(framed.shop.put(SDK_SHOP % (hosted.url, order)))
    await page.locator("#buy").click()
    await expect(framed.tab["payment-modal"]).to_be_attached()
    frame = page.frame_locator('[data-test-id="payment-iframe"]')
    await expect(frame.locator("#vpa")).to_have_value("success@paytm")
    await frame.locator('[data-test-id="pay-button"]').click()
    payment = await hosted.pending(order)
    await hosted.settle()
    await expect(frame.locator('[data-test-id="payment-id"]')).to_have_text(payment)
    await page.wait_for_function("told.length > 0")
    assert await page.evaluate("told") == [["success", {"paymentId": payment, "orderId": order, "status": "success"}]]
    await frame.locator('[data-test-id="done-button"]').press("Enter")
    await expect(framed.tab["payment-modal"]).to_have_count(0)
    assert await page.evaluate("told.at(-1)[0]") == "close"
