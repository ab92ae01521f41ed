"""What of ours is down, in the middle of a payment: the shopper is told calmly, goes on by himself, and pays once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.checkout_e2e.buyer import Buyer, started
from tests.checkout_e2e.stage import Stage
from tests.faults.shop import LONG

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.faults]
ROUNDS = 5 if LONG else 1


@pytest_asyncio.fixture(loop_scope="session")
async def whole(stage: Stage) -> AsyncIterator[Stage]:
    """Whatever a test has stopped is started again."""
    yield stage
    if not stage.server.running:
        await asyncio.to_thread(stage.server.restart)
    if not stage.stack.api.running:
        await asyncio.to_thread(stage.stack.start_api)
    if not stage.checkout.running:
        stage.checkout.start()
    if not stage.dispatcher.running:
        stage.dispatcher.start()
    await asyncio.to_thread(stage.await_checkout)


async def test_without_the_api_the_checkout_works(whole: Stage, buyer: Buyer) -> None:
    """It is a process of its own, and needs the database alone: opening, failing, paying; webhooks come as well."""
    order = whole.order()
    whole.stack.api.kill()
    await buyer.buy(order)
    await buyer.pay_by_upi("failure@psp")
    await expect(buyer["error-state"]).to_be_visible()
    await buyer["retry-button"].click()
    await buyer.pay_by_card()
    await buyer.paid(order, *(await buyer.told()))
    await buyer.done()


@pytest.mark.parametrize("when", ["before the payment is sent", "while it is in flight"])
async def test_a_checkout_that_is_killed_and_comes_back(
    whole: Stage, buyer: Buyer, when: Literal["before the payment is sent", "while it is in flight"]
) -> None:
    for _ in range(ROUNDS):
        order = whole.order()
        await buyer.visit()
        await buyer.buy(order)
        if when == "before the payment is sent":
            whole.checkout.kill()
            await buyer.pay_by_upi()
            await expect(buyer["processing-state"]).to_contain_text("Waiting for the connection")
            assert whole.payments(order) == []
        else:
            with whole.held():
                await buyer.pay_by_upi()
                await started(whole, order)
                whole.checkout.kill()
                await expect(buyer["processing-state"]).to_contain_text("Waiting for the connection")
        whole.checkout.start()
        await buyer.paid(order)
        assert len(whole.payments(order)) == 1


async def test_opened_while_the_checkout_is_down(whole: Stage, buyer: Buyer) -> None:
    """The script is still in the browser's cache: the dialog says that the form did not load; trying again pays."""
    order = whole.order()
    await buyer.page.clock.install()
    await buyer.visit()
    whole.checkout.kill()
    await buyer.page.evaluate("(id) => { buy(id) }", order)
    await buyer.page.clock.run_for(15_500)
    await expect(buyer.page.get_by_role("alert")).to_contain_text("The payment form did not load")
    (told,) = await buyer.told()
    assert told[1]["code"] == "CHECKOUT_UNAVAILABLE"
    whole.checkout.start()
    await asyncio.to_thread(whole.await_checkout)
    await buyer.page.clock.resume()
    await buyer.page.get_by_role("button", name="Try again").click()
    await buyer.ready()
    await buyer.pay_by_upi()
    await buyer.paid(order, told)


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_the_database_is_restarted(whole: Stage, buyer: Buyer, how: Literal["fast", "immediate"]) -> None:
    """Shut down while one payment is in flight, and while the shopper presses the button for another."""
    for _ in range(ROUNDS):
        first, second = whole.order(), whole.order()
        await buyer.visit()
        await buyer.buy(first)
        with whole.held():
            await buyer.pay_by_upi()
            await started(whole, first)
            await asyncio.to_thread(whole.server.stop, how)
        await asyncio.to_thread(whole.server.restart)
        await buyer.paid(first)
        await buyer.done()

        await buyer.visit()
        await buyer.buy(second)
        await asyncio.to_thread(whole.server.stop, how)
        await buyer.pay_by_upi()
        await expect(buyer["processing-state"]).to_contain_text("Waiting for the connection")
        await expect(buyer["processing-state"]).to_contain_text("nothing is charged twice")
        await asyncio.to_thread(whole.server.restart)
        await buyer.paid(second)
        assert len(whole.payments(first)) == len(whole.payments(second)) == 1


async def test_without_a_dispatcher_the_shopper_is_told_calmly(whole: Stage, buyer: Buyer) -> None:
    """After a while, what is, and that there is nothing to do: no error, no second payment. One that comes back settles
    it, and the page shows so by itself."""
    order = whole.order()
    await buyer.page.clock.install()
    await buyer.visit()
    whole.dispatcher.kill()
    await buyer.buy(order)
    await buyer.pay_by_upi()
    await expect(buyer["processing-state"]).to_contain_text("Confirming your payment")
    await buyer.page.clock.run_for(13_000)
    await expect(buyer["processing-state"]).to_contain_text("Still processing")
    await expect(buyer["processing-state"]).to_contain_text("You do not need to do anything")
    await buyer.page.clock.run_for(120_000)
    await expect(buyer["processing-state"]).to_contain_text("Still processing")
    await expect(buyer["error-state"]).to_be_hidden()
    assert await buyer.told() == []
    await buyer.page.clock.resume()
    whole.dispatcher.start()
    await buyer.paid(order)
    assert len(whole.payments(order)) == 1
