"""What a browser keeps of a visit, and what it must not: of which merchant it was, of which try, and of no card."""

from __future__ import annotations

import psycopg
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Route, expect

from gateway.merchants import add_key, add_merchant
from tests.checkout_page.browsing import REUSABLE, Hosted, Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEPT = """() => JSON.stringify([{...sessionStorage}, {...localStorage}, history.state, location.href, document.cookie,
  window.name, performance.getEntries().map((one) => one.name)])"""


@pytest_asyncio.fixture(loop_scope="session")
async def tab(hosted: Hosted, context: BrowserContext) -> Tab:
    return Tab(hosted, await context.new_page())


async def test_orders_of_two_merchants_under_one_name_are_not_mixed_up(hosted: Hosted, tab: Tab) -> None:
    """A reference is the merchant's to choose: who waits at one shop's "order 7" and opens another's is not told that
    he has paid it, and what he pays there is that shop's."""
    order = hosted.order(100)
    async with await psycopg.AsyncConnection.connect(hosted.database_url, autocommit=True) as db:
        other = await add_merchant(db, "Other Shop")
        key, _ = await add_key(db, other)
        await db.execute(
            "INSERT INTO orders (bucket, merchant_id, id, amount, currency, reusable, created_at, updated_at)"
            " SELECT bucket, id, %s, 200, 'INR', false, statement_timestamp(), statement_timestamp()"
            " FROM merchants WHERE id = %s",
            [order, other],
        )
    await tab.open(order)
    await tab.pay_by_upi()
    await hosted.pending(order)
    await expect(tab["processing-state"]).to_be_visible()

    await tab.open(order, key=key)
    await expect(tab["pay-button"]).to_have_text("Pay ₹2.00")
    await expect(tab["checkout-form"]).to_be_visible()
    await tab.pay_by_upi()
    await hosted.pending(order, 2)
    assert {(one["merchant_id"] == other, one["amount"]) for one in hosted.payments(order)} == {
        (False, 100),
        (True, 200),
    }


async def test_a_try_that_cannot_be_asked_for_after_a_reload_is_still_the_same_try(hosted: Hosted, tab: Tab) -> None:
    """The form comes back where the network fails for a moment; whoever presses again finds what he began."""
    before = len(hosted.payments(REUSABLE))
    await tab.open(REUSABLE)
    await tab.pay_by_upi()
    payment = await hosted.pending(REUSABLE, before + 1)
    await expect(tab["processing-state"]).to_be_visible()

    async def fail(route: Route) -> None:
        await route.abort("connectionreset")

    await tab.page.route("**/checkout/session", fail)
    await tab.open(REUSABLE)
    await tab.page.unroute("**/checkout/session")
    await tab.pay_by_upi()
    await expect(tab["processing-state"]).to_be_visible()
    await hosted.settle()
    await expect(tab["payment-id"]).to_have_text(payment)
    assert len(hosted.payments(REUSABLE)) == before + 1


async def test_the_browser_keeps_nothing_of_a_card(hosted: Hosted, tab: Tab) -> None:
    """While it is typed, while it is paid, when it has been; and the form is empty then, also for who comes back."""
    order = hosted.order()
    await tab.open(order)
    await tab.fill_card()
    kept = [await tab.page.evaluate(KEPT)]
    await tab["pay-button"].click()
    await expect(tab["processing-state"]).to_be_visible()
    kept.append(await tab.page.evaluate(KEPT))
    await hosted.pending(order)
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
    kept.append(await tab.page.evaluate(KEPT))
    for text in kept:
        assert "4111" not in text
        assert "Asha" not in text
    for field in ("card-number-input", "expiry-input", "cvv-input", "cardholder-name-input"):
        assert await tab[field].input_value() == ""


async def test_a_try_whose_answer_was_lost_and_that_was_then_refused_is_still_the_same_try(
    hosted: Hosted, tab: Tab
) -> None:
    """It arrived, its answer did not, and when it was sent again there were too many: after reloads as well."""
    before = len(hosted.payments(REUSABLE))
    await tab.open(REUSABLE)
    sent: list[Route] = []

    async def lose(route: Route) -> None:
        sent.append(route)
        if len(sent) == 1:
            await route.fetch()
            await route.abort("connectionreset")
        else:
            error = {"code": "RATE_LIMITED", "description": "too many", "reason": "rate_limited"}
            await route.fulfill(status=429, json={"error": error})

    await tab.page.route("**/checkout/pay", lose)
    await tab.pay_by_upi()
    await expect(tab.page.locator("#form-error")).to_contain_text("Too many tries")
    await tab.page.unroute("**/checkout/pay")
    for _ in range(2):
        await tab.open(REUSABLE)
        await expect(tab["checkout-form"]).to_be_visible()
    await tab.pay_by_upi()
    await expect(tab["processing-state"]).to_be_visible()
    assert len(hosted.payments(REUSABLE)) == before + 1
    await hosted.settle()
    await expect(tab["success-state"]).to_be_visible()
