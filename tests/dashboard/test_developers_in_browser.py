"""In Chromium: keys, docs and the operators' view, with a script and without one; the SDK's snippets open a form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from gateway import demo
from gateway.checkout import assets
from kit import ids
from tests.dashboard.browsing import Served, Tab, serving
from tests.dashboard.test_in_browser import AXE, LOOKS, SHOTS
from tests.support.browser import shopper
from tests.support.npm import Installed, installed

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPERATOR = demo.USERS[2].email


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("dashboard"), LEDGATE_CHECKOUT_URL="http://localhost:3001") as made:
        yield made


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


def _beat(served: Served, dispatcher: str) -> None:
    served.conn.execute(
        "INSERT INTO dispatchers (id, host, pid, version, delivered, processed, in_flight, started_at, seen_at)"
        " VALUES (%s, 'worker-1', 7, '0.1.0', 0, 0, 0, now(), now() + interval '1 minute')",
        [dispatcher],
    )


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
async def test_a_key_is_made_shown_once_and_revoked(served: Served, browser: Browser, *, script: bool) -> None:
    name = f"Shop {'with' if script else 'without'}"
    async with shopper(browser, java_script_enabled=script) as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter()
        await tab.go("/dashboard/keys")
        await tab["key-name-input"].fill(name)
        await tab["create-key-button"].click()
        secret = (await tab["new-key-secret"].locator("code").inner_text()).strip()
        assert re.fullmatch(r"[\w-]{43}", secret)
        await expect(page.get_by_role("heading", name=f"Copy the secret of “{name}” now")).to_be_in_viewport()
        await page.reload()
        await expect(tab["api-key"]).to_have_count(2)
        await expect(tab["new-key"]).to_have_count(0)
        assert secret not in await page.content()

        row = tab["api-key"].filter(has_text=name)
        await row.get_by_text("Revoke", exact=True).click()
        await row.get_by_role("button", name="Revoke it for good").click()
        await expect(page.locator("[data-toast]").last).to_contain_text(f"{name} is revoked")
        await expect(tab["api-key"]).to_have_count(1)
        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Docs").click()
        await expect(tab["api-docs"]).to_be_visible()
        await page.go_back()
        await page.locator("details", has_text="revoked").last.locator("summary").click()
        await expect(tab["revoked-key"].filter(has_text=name)).to_be_visible()

        await tab["origins-input"].fill("https://shop.example/cart")
        await tab["save-origins-button"].click()
        await expect(page.locator("#origins-about")).to_contain_text("must be scheme, host and port")
        await tab["origins-input"].fill("https://shop.example\n")
        await tab["save-origins-button"].click()
        await expect(page.locator("[data-toast]").last).to_contain_text("Saved")
        await expect(tab["origins-input"]).to_have_value("https://shop.example")


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
async def test_code_is_shown_in_the_language_that_is_chosen(served: Served, browser: Browser, *, script: bool) -> None:
    """By keyboard too; with a script the other snippets follow, and a button copies what is shown."""
    async with shopper(browser, java_script_enabled=script) as context:
        tab = Tab(served, await context.new_page())
        await tab.enter()
        await tab.go("/dashboard/docs")
        order, payment = tab["code-snippet-create-order"], tab["code-snippet-test-payment"]
        await expect(order.locator("pre:visible")).to_have_count(1)
        await expect(order.locator("pre:visible")).to_contain_text(f"X-Api-Key: {demo.KEY_ID}")
        await order.get_by_text("Python", exact=True).click()
        await expect(order.locator("pre:visible")).to_contain_text("import httpx")
        await tab.page.keyboard.press("ArrowRight")
        await expect(order.locator("pre:visible")).to_contain_text("await fetch(")
        await expect(payment.locator("pre:visible")).to_contain_text("await fetch(" if script else "curl -X POST")
        copying = order.get_by_role("button", name="Copy: Make an order, Node")
        if not script:
            await expect(copying).to_be_hidden()
            return
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        await copying.click()
        await expect(tab.page.locator("[data-toast]")).to_contain_text("Copied")
        shown = await order.locator("pre:visible").inner_text()
        assert await tab.page.evaluate("navigator.clipboard.readText()") == shown


async def test_the_checkout_opens_from_each_snippet_as_it_is_shown(served: Served, browser: Browser) -> None:
    """Pasted into a page of its own; Chromium checks the hash of the pinned one."""

    async def checkout(route: Route) -> None:
        name = route.request.url.removeprefix("http://localhost:3001/").partition("?")[0]
        if name == "checkout":
            await route.fulfill(body="<p>A frame</p>", content_type="text/html")
        else:
            asset = assets.sdk()[name]
            headers = {"Access-Control-Allow-Origin": "*", "Content-Type": asset.kind}
            await route.fulfill(body=asset.content, headers=headers)

    async with shopper(browser) as context:
        tab = Tab(served, await context.new_page())
        await tab.enter()
        await tab.go("/dashboard/docs")
        panes = tab["code-snippet-sdk"].locator(".pane")
        found = {
            str(await one.get_attribute("data-lang")): await one.locator("code").text_content()
            for one in await panes.all()
        }
        assert list(found) == ["pinned", "newest", "module"]
        await context.route("http://localhost:3001/**", checkout)

        async def page(route: Route) -> None:
            text = found[route.request.url.rpartition("/")[2]]
            await route.fulfill(body=f"<!doctype html><title>Shop</title>{text}", content_type="text/html")

        await context.route("http://localhost:3002/**", page)
        for language in found:
            shop = await context.new_page()
            await shop.goto(f"http://localhost:3002/{language}")
            await shop.get_by_role("button", name="Pay").click()
            frame = shop.locator('[data-test-id="payment-modal"] iframe')
            source = str(await frame.get_attribute("src"))
            assert f"order_id={demo.ORDER_IDS[0]}" in source, language
            assert f"key={demo.KEY_ID}" in source, language
            await shop.close()


async def test_an_operator_sees_what_changes_and_looks_at_a_merchant(served: Served, browser: Browser) -> None:
    """Without loading anew: no dispatcher works, then one does."""
    served.conn.execute("DELETE FROM dispatchers")
    async with shopper(browser) as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.enter(OPERATOR)
        await tab.go("/dashboard")
        await expect(page).to_have_url(f"{served.url}/dashboard/operator")
        await expect(tab["findings"]).to_contain_text("No dispatcher works")
        _beat(served, "dsp_live")
        await expect(tab["dispatcher"]).to_contain_text("worker-1")
        await expect(tab["all-well"]).to_be_visible()

        await page.get_by_role("link", name="Merchants", exact=True).click()
        await page.get_by_label("Name or id").press_sequentially("nobody")
        await expect(page.locator("#merchants")).to_contain_text("No merchant is called like that")
        await page.get_by_label("Name or id").fill("demo")
        await expect(tab["merchant"]).to_have_count(1)
        await tab["look-button"].click()
        await expect(page.locator("[data-toast]")).to_contain_text("You see Ledgate Demo as a viewer does.")
        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Operations").click()
        await page.get_by_role("link", name="Merchants", exact=True).click()
        await page.get_by_role("button", name="Leave").click()
        await expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="API keys")).to_have_count(0)


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda one: str(one["width"] if isinstance(one, dict) else one))
async def test_axe_finds_nothing(served: Served, browser: Browser, axe: str, size: dict[str, int], scheme: str) -> None:
    served.conn.execute("DELETE FROM dispatchers")
    _beat(served, "dsp_axe")
    served.conn.execute(
        "INSERT INTO merchants (id, bucket, name, created_at) VALUES (%s, 1, 'Kaveri Textiles and Sons', now())",
        [ids.new("mer")],
    )
    async with shopper(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(served, await context.new_page())
        page = tab.page

        async def look(name: str) -> None:
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-{name}.png", full_page=True)
            await page.evaluate(axe)  # past the policy, which forbids any script but the page's
            assert await page.evaluate(AXE) == [], name
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), name

        await tab.enter()
        await tab.go("/dashboard/keys")
        await tab["key-name-input"].fill("A key to look at")
        await tab["create-key-button"].click()
        await expect(tab["new-key"]).to_be_visible()
        await tab["api-key"].last.get_by_text("Revoke", exact=True).click()
        await look("keys")
        await tab.go("/dashboard/docs")
        await page.locator("#receivers summary").click()
        await look("docs")
        await context.clear_cookies()
        await tab.enter(OPERATOR)
        await tab.go("/dashboard/operator")
        await look("operator")
        for place in ("merchants", "database"):
            await tab.go(f"/dashboard/operator/{place}")
            await look(f"operator-{place}")
