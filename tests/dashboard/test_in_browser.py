"""In Chromium: sign in, look around, sign out; with a script and without one; to be read by everybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from gateway import demo
from tests.dashboard.browsing import PHONE, WIDE, Served, Tab, browsing, serving, user
from tests.support.npm import Installed, installed

__all__ = ["installed"]

SHOTS = os.environ.get("DASHBOARD_SHOTS")
"""A folder for a picture of each page."""
PLACES = ("", "/team", "/audit", "/account", "/nowhere")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("dashboard")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def axe(installed: Installed) -> str:
    return (installed(Path(__file__).parent / "node") / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
def test_in_and_out(served: Served, browser: Browser, *, script: bool) -> None:
    """From the page that one wanted over the sign-in back to it, by the navigation elsewhere, and out."""
    with user(browser, java_script_enabled=script) as context:
        tab = Tab(served, context.new_page())
        tab.go("/dashboard/team")
        expect(tab.page).to_have_title("Sign in · Ledgate")
        tab.page.fill("#email", demo.USERS[0].email)
        tab.page.fill("#password", "not the password")
        tab["sign-in-button"].click()
        expect(tab.page.get_by_role("alert")).to_contain_text("wrong")
        tab.page.fill("#password", demo.PASSWORD)
        tab["sign-in-button"].click()
        expect(tab.page).to_have_url(f"{served.url}/dashboard/team")
        expect(tab["member"]).to_have_count(2)
        tab.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Audit log").click()
        expect(tab["audit-entry"].first).to_contain_text("session.began")
        tab.page.go_back()
        expect(tab["member"]).to_have_count(2)
        tab["sign-out"].first.click()
        expect(tab.page.locator("[data-toast]")).to_contain_text("signed out")
        tab.go("/dashboard")
        expect(tab.page).to_have_title("Sign in · Ledgate")
        assert tab.wrong == []


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(PHONE, "light"), (WIDE, "dark")],
    ids=lambda one: str(one["width"] if isinstance(one, dict) else one),
)
def test_axe_finds_nothing_on_any_page(
    served: Served, browser: Browser, axe: str, size: dict[str, int], scheme: str
) -> None:
    with user(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = Tab(served, context.new_page())

        def look(name: str) -> None:
            if SHOTS:
                tab.page.screenshot(path=f"{SHOTS}/{size['width']}-{scheme}-{name}.png", full_page=True)
            tab.page.evaluate(axe)  # past the policy, which forbids any script but the page's
            found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            told = [(one["id"], one["impact"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
            assert told == [], (name, told)
            wide: int = tab.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"], name

        for name in ("", "/key", "/link?token=x"):
            tab.go(f"/login{name}")
            look(f"login{name.partition('?')[0].replace('/', '-')}")
        tab.sign_in()
        for place in PLACES:
            tab.go(f"/dashboard{place}")
            look(place.strip("/") or "overview")
        assert tab.wrong == []


def test_the_theme_is_remembered_and_drawn_at_once(served: Served, browser: Browser) -> None:
    """The answer itself has the theme: no page is light for a moment and then dark."""
    with user(browser, color_scheme="light") as context:
        tab = Tab(served, context.new_page())
        tab.go("/login")
        with tab.page.expect_response("**/theme"):
            tab.page.get_by_role("button", name="Dark").click()
        expect(tab.page.locator("html")).to_have_attribute("data-theme", "dark")
        assert 'data-theme="dark"' in context.request.get(f"{served.url}/login").text()
        tab.go("/login")
        expect(tab.page.locator("body")).to_have_css("background-color", "rgb(13, 17, 25)")
        assert tab.wrong == []
