"""In Chromium: sign in, look around, sign out; with a script and without one; to be read by everybody."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from gateway import demo, totp
from tests.dashboard.browsing import Served, Tab, serving
from tests.support.browser import PHONE, WIDE, shopper
from tests.support.npm import Installed, installed

__all__ = ["installed"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOTS = os.environ.get("DASHBOARD_SHOTS")
"""A folder for a picture of each page, in four sizes and themes more."""
PLACES = ("", "/team", "/audit", "/account", "/nowhere")
TABLET, DESK = {"width": 768, "height": 1024}, {"width": 1440, "height": 900}
LOOKS = [(PHONE, "light"), (WIDE, "dark")]
LOOKS += [(PHONE, "dark"), (TABLET, "light"), (TABLET, "dark"), (DESK, "light"), (DESK, "dark")] if SHOTS else []
AXE = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false });
  return violations.map(({ id, impact, nodes }) => [id, impact, ...nodes.map((node) => node.html)]);
}"""
BROUGHT_BACK = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("dashboard")) as made:
        yield made


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
async def test_in_and_out(served: Served, browser: Browser, *, script: bool) -> None:
    """From the page that one wanted over the sign-in back to it, by the navigation elsewhere, and out."""
    async with shopper(browser, java_script_enabled=script) as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.go("/dashboard/team")
        await expect(page).to_have_title("Sign in · Ledgate")
        await page.fill("#email", demo.USERS[0].email)
        await page.fill("#password", "not the password")
        await tab["sign-in-button"].click()
        await expect(page.get_by_role("alert")).to_contain_text("wrong")
        await page.fill("#password", demo.PASSWORD)
        await tab["sign-in-button"].click()
        await expect(page).to_have_url(f"{served.url}/dashboard/team")
        await expect(tab["member"]).to_have_count(2)
        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Audit log").click()
        await expect(tab["audit-entry"].first).to_contain_text("Signed in")
        await page.go_back()
        await expect(tab["member"]).to_have_count(2)
        await tab["sign-out"].first.click()
        await expect(page.locator("[data-toast]")).to_contain_text("signed out")
        await tab.go("/dashboard")
        await expect(page).to_have_title("Sign in · Ledgate")


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda one: str(one["width"] if isinstance(one, dict) else one))
async def test_axe_finds_nothing_on_any_page(
    served: Served, browser: Browser, axe: str, size: dict[str, int], scheme: str
) -> None:
    async with shopper(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(served, await context.new_page())
        page = tab.page

        async def look(name: str) -> None:
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-{name}.png")
            await page.evaluate(axe)  # past the policy, which forbids any script but the page's
            assert await page.evaluate(AXE) == [], name
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), name

        for name in ("", "/key", "/link?token=x"):
            await tab.go(f"/login{name}")
            await look(f"login{name.partition('?')[0].replace('/', '-')}")
        await tab.enter()
        for place in PLACES:
            await tab.go(f"/dashboard{place}")
            await look(place.strip("/") or "overview")
        if size == WIDE:
            return  # what is left looks the same but for its size
        await _set_up_a_second_factor(tab, look)
        await _invite(tab, look, f"{size['width']}-{scheme}@ledgate.test")


async def _set_up_a_second_factor(tab: Tab, look: Callable[[str], Awaitable[None]]) -> None:
    """By hand, as a user does: scan, type the code, keep the codes; and take it away with one of them."""
    page = tab.page
    await tab.go("/dashboard/account")
    await page.locator("#password-second").fill(demo.PASSWORD)
    await page.get_by_role("button", name="Set it up").click()
    secret = (await tab["totp-secret"].inner_text()).replace(" ", "")
    await look("second-factor")
    await page.locator("#code").fill(totp.code(base64.b32decode(secret), int(time.time()) // totp.STEP))
    await page.get_by_role("button", name="Turn it on").click()
    codes = await tab["recovery-codes"].locator("li").all_inner_texts()
    await look("recovery-codes")
    await page.get_by_role("link", name="I have them").click()
    await page.locator("summary", has_text="Turn it off").click()
    await look("second-factor-on")
    await page.locator("#password-off").fill(demo.PASSWORD)
    await page.locator("#code").fill(codes[0])
    await page.get_by_role("button", name="Turn it off").click()
    await expect(page.locator("[data-toast]")).to_contain_text("The second factor is off")
    await look("toast")


async def _invite(tab: Tab, look: Callable[[str], Awaitable[None]], email: str) -> None:
    page = tab.page
    await tab.go("/dashboard/team")
    await page.locator("#email").fill(email)
    await page.get_by_role("button", name="Add to the team").click()
    await expect(page.get_by_text("Hand this link over")).to_be_visible()
    await look("invited")
    newcomer = tab["member"].filter(has_text=email)
    await newcomer.locator("summary", has_text="Remove").click()
    await look("confirm")
    await newcomer.locator("details.confirm[open] button").click()
    await expect(page.locator("[data-toast]")).to_contain_text("They were removed")


async def test_a_part_is_swapped_and_the_history_is_whole_pages(served: Served, browser: Browser) -> None:
    """htmx changes the list and the address; back, forward and reload show what the address says."""
    async with shopper(browser) as context:
        tab = Tab(served, await context.new_page())
        page = tab.page
        await tab.sign_in()
        await tab.go("/dashboard/audit")
        await page.evaluate("document.title = 'the same document'")
        await page.get_by_label("About").select_option("Sign-ins")
        await page.wait_for_url("**/dashboard/audit?about=session**")
        assert await page.title() == "the same document"
        await expect(tab["audit-entry"].first).to_be_visible()
        await page.get_by_label("About").select_option("Refunds")
        await expect(page.get_by_text("Nothing yet")).to_be_visible()
        await page.go_back()
        await expect(tab["audit-entry"].first).to_be_visible()
        await expect(page.get_by_label("About")).to_have_value("session")
        await page.go_forward()
        await expect(page.get_by_text("Nothing yet")).to_be_visible()
        await page.reload()
        await expect(page).to_have_title("Audit log · Ledgate")
        kept = await page.evaluate("Object.keys(localStorage).concat(Object.keys(sessionStorage))")
        assert set(kept) <= {"htmx-current-path-for-history"}, "no page of ours in the browser's storage"


async def test_a_session_that_has_ended_sends_every_part_to_the_sign_in(served: Served, browser: Browser) -> None:
    async with shopper(browser) as context:
        tab = Tab(served, await context.new_page())
        await tab.enter()
        await tab.go("/dashboard/audit")
        served.conn.execute("DELETE FROM sessions")
        await tab.page.get_by_label("About").select_option("Users")
        await expect(tab.page).to_have_title("Sign in · Ledgate")
        await tab.page.fill("#email", demo.USERS[0].email)
        await tab.page.fill("#password", demo.PASSWORD)
        await tab["sign-in-button"].click()
        await expect(tab.page).to_have_title("Audit log · Ledgate")


async def test_a_page_that_a_browser_kept_is_not_read_on_after_the_sign_out(served: Served, browser: Browser) -> None:
    """WebKit over HTTP brings back pages as they were left, whatever they say of caches."""
    async with shopper(browser) as context:
        tab = Tab(served, await context.new_page())
        await tab.enter()
        await tab.go("/dashboard/audit")
        async with tab.page.expect_response("**/dashboard/audit"):
            await tab.page.evaluate(BROUGHT_BACK)
        await expect(tab.page).to_have_title("Audit log · Ledgate")
        served.conn.execute("DELETE FROM sessions")
        await tab.page.evaluate(BROUGHT_BACK)
        await expect(tab.page).to_have_title("Sign in · Ledgate")


async def test_no_password_no_cookie_and_no_link_stands_in_the_log(served: Served, browser: Browser) -> None:
    async with shopper(browser) as context:
        tab = Tab(served, await context.new_page())
        await tab.sign_in()
        await tab.go("/login/link?token=a-secret-link")
        secrets = [cookie["value"] for cookie in await context.cookies()]
    log = served.process.log.read_text()
    assert log.count('"path":"/login"') > 1
    for secret in (demo.PASSWORD, demo.USERS[0].email, "a-secret-link", *secrets):
        assert secret not in log, secret


async def test_the_theme_is_remembered_and_drawn_at_once(served: Served, browser: Browser) -> None:
    """The answer itself has the theme: no page is light for a moment and then dark."""
    async with shopper(browser, color_scheme="light") as context:
        tab = Tab(served, await context.new_page())
        await tab.go("/login")
        async with tab.page.expect_response("**/theme"):
            await tab.page.get_by_role("button", name="Dark").click()
        await expect(tab.page.locator("html")).to_have_attribute("data-theme", "dark")
        assert 'data-theme="dark"' in await (await context.request.get(f"{served.url}/login")).text()
        await tab.go("/login")
        await expect(tab.page.locator("body")).to_have_css("background-color", "rgb(13, 17, 25)")
