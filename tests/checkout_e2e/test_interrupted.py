"""Reloads, lost and slow networks, in the middle of a payment: it is found again, and it is one."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, expect

from tests.checkout_e2e.buyer import Buyer, started
from tests.checkout_e2e.stage import Stage
from tests.support.slow import SLOW_3G, slow_down

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_shop_s_page_is_loaded_anew(stage: Stage, buyer: Buyer) -> None:
    """And the checkout opened again, as the shopper would: the same payment stands there, and no form."""
    order = stage.order()
    await buyer.buy(order)
    with stage.held():
        await buyer.pay_by_upi()
        payment = await started(stage, order)
        await buyer.visit()
        await buyer.buy(order)
        await expect(buyer["processing-state"]).to_be_visible()
        await expect(buyer["checkout-form"]).to_be_hidden()
    assert await buyer.paid(order) == payment["id"]
    await buyer.visit()
    await buyer.buy(order)
    assert await buyer.paid(order) == payment["id"], "who comes back later sees that it is paid"
    assert len(stage.payments(order)) == 1


@pytest.mark.parametrize("answered", [True, False])
async def test_the_frame_is_loaded_anew(stage: Stage, buyer: Buyer, *, answered: bool) -> None:
    """By the shopper's menu, or by the browser that ran out of memory; also before the page knew that it has paid."""
    order = stage.order()
    await buyer.buy(order)
    with stage.held():
        if answered:
            await buyer.pay_by_upi()
            await expect(buyer["processing-state"]).to_be_visible()
        else:
            await buyer.page.route("**/checkout/pay", lambda route: route.fetch())
            await buyer.pay_by_upi()
        payment = await started(stage, order)
        await buyer.inner().evaluate("() => { setTimeout(() => location.reload()) }")
        await expect(buyer["processing-state"]).to_contain_text("Confirming your payment")
    assert await buyer.paid(order) == payment["id"]
    assert len(stage.payments(order)) == 1
    await buyer.page.unroute_all(behavior="ignoreErrors")


async def test_offline_in_the_middle(stage: Stage, buyer: Buyer, context: BrowserContext) -> None:
    """It is settled meanwhile, and the page finds out as soon as the network is back."""
    order = stage.order()
    await buyer.buy(order)
    with stage.held():
        await buyer.pay_by_upi()
        await started(stage, order)
        await context.set_offline(True)
        await expect(buyer["processing-state"]).to_contain_text("Waiting for the connection")
    await context.set_offline(False)
    await buyer.paid(order)


async def test_offline_before_it_is_sent(stage: Stage, buyer: Buyer, context: BrowserContext) -> None:
    """The press is not lost, and nothing is paid twice."""
    order = stage.order()
    await buyer.buy(order)
    await context.set_offline(True)
    await buyer.pay_by_upi()
    await expect(buyer["processing-state"]).to_contain_text("Waiting for the connection")
    assert stage.payments(order) == []
    await context.set_offline(False)
    await buyer.paid(order)
    assert len(stage.payments(order)) == 1


async def test_a_slow_network_gets_a_form_that_pays(stage: Stage, buyer: Buyer) -> None:
    order = stage.order()
    await slow_down(buyer.page)
    await buyer.page.reload()
    await buyer.buy(order)
    came = "performance.getEntries().filter(one => one.responseEnd).map(one => one.responseEnd - one.startTime)"
    assert min(await buyer.inner().evaluate(came)) >= SLOW_3G["latency"], "the frame's network is slow too"
    await expect(buyer["pay-button"]).to_be_enabled()
    await buyer.pay_by_upi()
    await buyer.paid(order)
