"""Webhooks in Chromium, with a real dispatcher and a real receiver: every button does its job, without a script too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.dashboard.browsing import Served, Tab
from tests.dashboard.hooks import attempt, default_endpoint, deliver
from tests.dashboard.test_in_browser import AXE, LOOKS, SHOTS
from tests.support.browser import PHONE, shopper
from tests.support.npm import Installed, installed
from tests.support.paying import MERCHANT
from tests.support.ports import steady_port
from tests.support.processes import Stack
from tests.support.server import fresh_database
from tests.support.waiting import until

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = "/dashboard/webhooks"
NEXT_WORD = "(path) => new Promise((done) => new EventSource(path).addEventListener('new', () => done(null)))"
SEEN_AS = """(state) => {
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard with an endpoint that answers and one that was turned off."""
    with fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url:
        port = steady_port()
        stack = Stack(url, tmp_path_factory.mktemp("webhooks"), LEDGATE_DASHBOARD_PORT=str(port))
        dispatcher = stack.process("dispatcher")
        try:
            made = Served(stack, port, url)
            _dead_endpoint(made)
            dispatcher.start()
            stack.receiver.start()
            made.start()
            until(lambda: dispatcher.said("dispatcher.started"), what="a dispatcher")
            with contextlib.closing(made.conn):
                yield made
        finally:
            stack.close()


def _dead_endpoint(served: Served) -> None:
    served.conn.execute(
        "INSERT INTO endpoints (bucket, merchant_id, id, url, event_types, sealed_secret, description, enabled,"
        " disabled_reason, disabled_at, created_at, updated_at) SELECT bucket, merchant_id,"
        " 'whep_01m4g90g3sfwfbkk5x8gy1zjqf', url || '?to=crm', '{refund.*}', sealed_secret, 'The old CRM', false,"
        " 'every attempt failed for 5 days (last: HTTP 503)', now() - interval '2 days', now(), now() FROM endpoints"
        " WHERE merchant_id = %s",
        [MERCHANT.merchant_id],
    )


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


@contextlib.asynccontextmanager
async def _signed_in(served: Served, browser: Browser, **options: Any) -> Any:
    async with shopper(browser, **options) as context:
        tab = Tab(served, await context.new_page())
        await tab.enter()
        yield tab


async def _toast(page: Page, text: str) -> None:
    await expect(page.locator("[data-toast]").filter(has_text=text).first).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
async def test_every_button_does_its_job(served: Served, browser: Browser, *, script: bool) -> None:
    failed = deliver(served.conn, default_endpoint(served.conn), 3, event="order.paid")
    async with _signed_in(served, browser, java_script_enabled=script) as tab:
        page = tab.page
        await tab.go(HERE)
        await expect(tab["webhook-secret"]).to_contain_text("•")
        await tab["show-secret-button"].click()
        await expect(tab["webhook-secret"]).to_contain_text("whsec_test_abc123")
        await tab["hide-secret-button"].click()
        await expect(tab["webhook-secret"]).to_contain_text("•")
        await tab["test-webhook-button"].click()
        await expect(tab["test-result"]).to_contain_text("200 Received")
        await expect(tab["test-result"]).to_contain_text('{"status":"received"}')
        await tab["webhook-url-input"].fill("http://10.0.0.1/")
        await tab["save-webhook-button"].click()
        await expect(page.locator("#url-about")).to_contain_text("is refused")

        await tab.go(f"{HERE}?status=failed&event=order.paid")
        await expect(tab["webhook-log-item"]).to_have_count(3)
        for n in range(2):
            await page.get_by_role("checkbox", name="Tick order.paid").nth(n).check()
        await tab["retry-selected-button"].click()
        await _toast(page, "2 deliveries are being sent again")
        if not script:
            return  # the other pages' forms are sent without one in test_delivery_page.py and test_recovery_page.py
        await tab.go(f"{HERE}/{failed[0]}")
        await tab["retry-webhook-button"].click()
        await _toast(page, "sent again")
        await expect(tab["webhook-status"]).to_contain_text("success")
        await expect(tab["attempt"].first).to_contain_text("200")
        await page.get_by_label("Secret, as the receiver has it").fill("whsec_wrong")
        await tab["verify-button"].click()
        await expect(tab["verify-result"]).to_contain_text("none of yours")

        await tab.go(f"{HERE}/recoveries/new")
        await page.get_by_label("What", exact=True).select_option("What arrived, once more")
        await tab["count-recovery-button"].click()
        await expect(tab["recovery-count"]).to_contain_text("would be sent again")
        await tab["start-recovery-button"].click()
        await expect(tab["recovery-progress"]).to_be_visible()
        await expect(tab["recovery-status"]).to_have_text("done")


async def test_rows_come_by_themselves_but_not_under_the_hand(served: Served, browser: Browser) -> None:
    """A new delivery shows without a click; while boxes are ticked nothing moves, and then it does again."""
    async with _signed_in(served, browser) as tab:
        page = tab.page
        async with page.expect_response(f"**{HERE}/live*"):
            await tab.go(f"{HERE}?event=payment.captured")
        await expect(page.get_by_text("No delivery fits")).to_be_visible()
        deliver(served.conn, default_endpoint(served.conn), event="payment.captured")
        await expect(tab["webhook-log-item"]).to_have_count(1)
        box = page.get_by_role("checkbox", name=re.compile("Tick payment.captured"))
        await box.check()
        await expect(tab["retry-selected-button"]).to_contain_text("(1)")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "captured" in request.url else None)
        word = asyncio.create_task(page.evaluate(NEXT_WORD, f"{HERE}/live"))
        async with page.expect_response(f"**{HERE}/live*"):
            pass
        deliver(served.conn, default_endpoint(served.conn), event="payment.captured")
        await word
        await expect(box).to_be_checked()
        assert asked == []
        await box.uncheck()
        await expect(tab["webhook-log-item"]).to_have_count(2)  # without another word
        deliver(served.conn, default_endpoint(served.conn), event="payment.captured")
        await expect(tab["webhook-log-item"]).to_have_count(3)


async def test_a_hidden_tab_holds_no_connection_and_misses_nothing(served: Served, browser: Browser) -> None:
    """A browser has six connections to us; what came while nobody looked is there when somebody does."""
    async with _signed_in(served, browser) as tab:
        page = tab.page
        async with page.expect_response(f"**{HERE}/live*"):
            await tab.go(f"{HERE}?event=refund.failed")
        await expect(page.get_by_text("No delivery fits")).to_be_visible()
        async with page.expect_event("requestfailed", lambda request: f"{HERE}/live" in request.url):
            await page.evaluate(SEEN_AS, "hidden")
        await page.evaluate(NEXT_WORD, f"{HERE}/live?seen=nothing")  # from here on every word is a new one
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "refund.failed" in request.url else None)
        word = asyncio.create_task(page.evaluate(NEXT_WORD, f"{HERE}/live"))
        async with page.expect_response(f"**{HERE}/live"):
            pass
        deliver(served.conn, default_endpoint(served.conn), event="refund.failed")
        await word
        assert asked == []
        await page.evaluate(SEEN_AS, "visible")
        await expect(tab["webhook-log-item"]).to_have_count(1)


async def test_filters_stand_in_the_address_and_back_undoes_them(served: Served, browser: Browser) -> None:
    deliver(served.conn, default_endpoint(served.conn), event="refund.created", status="success")
    async with _signed_in(served, browser) as tab:
        page = tab.page
        await tab.go(HERE)
        await page.evaluate("document.title = 'the same document'")
        await page.get_by_label("Event", exact=True).select_option("refund.created")
        await page.wait_for_url(f"**{HERE}?event=refund.created")
        await expect(tab["webhook-event"]).to_have_text(["refund.created"])
        assert await page.title() == "the same document"
        await page.get_by_label("Status").select_option("failed")
        await expect(page.get_by_text("No delivery fits")).to_be_visible()
        await page.go_back()
        await expect(tab["webhook-event"]).to_have_text(["refund.created"])
        await expect(page.get_by_label("Status")).to_have_value("")


async def test_the_button_of_an_endpoint_in_trouble_mends_it(served: Served, browser: Browser) -> None:
    async with _signed_in(served, browser) as tab:
        await tab.go(HERE)
        await expect(tab["endpoint-trouble"]).to_contain_text("Ledgate turned it off 2 d")
        await tab["endpoint-trouble"].get_by_role("button", name="Turn on and send what it missed").click()
        await tab.page.wait_for_url(f"**{HERE}/recoveries/rcv_*")
        await tab.go(HERE)
        await expect(tab["endpoint-trouble"]).to_have_count(0)
    served.conn.execute("DELETE FROM endpoints WHERE description = 'The old CRM'")
    _dead_endpoint(served)


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda one: str(one["width"] if isinstance(one, dict) else one))
async def test_axe_finds_nothing(served: Served, browser: Browser, axe: str, size: dict[str, int], scheme: str) -> None:
    endpoint = default_endpoint(served.conn)
    (one,) = deliver(served.conn, endpoint)
    attempt(served.conn, one, 1, code=None, error="no connection: connection refused")
    attempt(served.conn, one, 2, code=503, body='{"error": "not now"}')
    alike = (
        ("endpoint-new", f"{HERE}/endpoints/new"), ("recoveries", f"{HERE}/recoveries"),
    )  # fmt: skip
    look_at = [("endpoint", f"{HERE}/endpoints/{endpoint}")] if SHOTS or size == PHONE else []
    look_at += [("recovery-new", f"{HERE}/recoveries/new?since=2026-01-01T00:00"), *(alike if SHOTS else ())]
    async with _signed_in(served, browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as tab:

        async def look(name: str) -> None:
            if SHOTS:
                await tab.page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-{name}.png", full_page=True)
            await tab.page.evaluate(axe)
            assert await tab.page.evaluate(AXE) == [], name
            assert not await tab.page.evaluate("document.documentElement.scrollWidth > innerWidth"), name

        for name, path in look_at:
            await tab.go(path)
            await look(name)
        await tab.go(f"{HERE}/{one}")
        await tab["verify-button"].click()
        await expect(tab["verify-result"]).to_be_visible()
        await look("delivery")
        await tab.go(HERE)
        await tab["regenerate-secret-button"].click()
        await look("webhooks")
