"""Who may ask for what: routes are judged by need, forms by where they come from; and what browsers are told."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

import dashboard
from dashboard import pages
from dashboard.admission import SAFE
from dashboard.operators import operating
from gateway import demo, merchants, users
from kit.db import Connection, fetch
from tests.dashboard.conftest import COOKIE, OPERATOR, OWNER, Browser, House

FOLDER = Path(dashboard.__file__).parent
ROUTES = [
    (
        method,
        re.sub(r"\{[^}]*\}", "some_id", path),
        str(handler.opt.get("need") or ("viewer" if method in SAFE else "developer")),
    )
    for handler in pages.handlers()
    for path in sorted(handler.paths)
    for method in sorted(handler.http_methods)
]
"""Method, path, need."""
FOR_ALL = {"anybody", "user"}


def _named(needs: set[str]) -> list[tuple[str, str]]:
    return [(method, path) for method, path, need in ROUTES if need in needs]


async def test_nobody_gets_in_without_signing_in(visitor: Browser) -> None:
    await visitor.get("/login")
    for method, path in [(method, path) for method, path, need in ROUTES if need != "anybody"]:
        said = await (visitor.get(path) if method == "GET" else visitor.post(path))
        assert said.url.path == "/login", (method, path)


async def test_a_viewer_may_not(viewer: Browser) -> None:
    for method, path in _named({"developer", "owner", "operator"}):
        said = await (viewer.get(path) if method == "GET" else viewer.post(path))
        assert (said.status_code, "You may not do that" in viewer.text) == (403, True), (method, path)


async def test_who_works_for_nobody_sees_nobody_s_pages(house: House, db: Connection) -> None:
    await users.add(db, email="lonely@ledgate.test", name="Lonely")
    lonely = await house.signed_in("lonely@ledgate.test")
    for method, path in _named({"viewer", "developer", "owner"}):
        said = await (lonely.get(path) if method == "GET" else lonely.post(path))
        assert (said.status_code, "Ask an owner" in lonely.text) == (403, True), (method, path)


def test_what_anybody_may_post_is_little() -> None:
    assert {path for method, path, need in ROUTES if need == "anybody" and method == "POST"} == {
        "/login", "/login/code", "/login/key", "/login/setup", "/login/link", "/theme",
    }  # fmt: skip


async def test_no_form_without_its_token(house: House, owner: Browser) -> None:
    """None, another browser's, the one from before the sign-in: the answer is a 403, whatever the path."""
    stranger = house.browser()
    await stranger.get("/login")
    for path in [path for method, path, _ in ROUTES if method == "POST"]:
        for csrf in ("", "nonsense", stranger.csrf, f"{owner.csrf}x"):
            said = await owner.client.post(path, data={"csrf": csrf})
            assert (said.status_code, "This form" in said.text) == (403, True), (path, csrf)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://dash.test"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://dash.test"}, 303),
        ({"origin": "http://dash.test"}, 303),
        ({}, 303),
    ],
)
async def test_no_form_from_another_site(owner: Browser, headers: dict[str, str], status: int) -> None:
    said = await owner.post("/dashboard/account/name", name="Asha", headers=headers, follow=False)
    assert said.status_code == status


async def test_behind_a_proxy_the_origin_is_the_one_of_the_settings(house: House, owner: Browser) -> None:
    import msgspec

    config = msgspec.structs.replace(house.config, dashboard_url="http://outside.test/")
    house.app.state.gateway.config = config
    for origin, status in (("http://dash.test", 403), ("http://outside.test", 303)):
        said = await owner.client.post("/logout", data={"csrf": owner.csrf}, headers={"origin": origin})
        assert said.status_code == status


async def test_htmx_sends_the_token_in_a_header(owner: Browser) -> None:
    said = await owner.client.post(
        "/dashboard/account/name", data={"name": "Asha"}, headers={"x-csrf-token": owner.csrf, "hx-request": "true"}
    )
    assert said.status_code == 303


async def test_an_ended_session_sends_htmx_to_the_sign_in(visitor: Browser) -> None:
    headers = {"hx-request": "true", "hx-current-url": "http://dash.test/dashboard/team?x=1"}
    said = await visitor.client.get("/dashboard/audit", headers=headers)
    assert (said.status_code, said.headers["hx-redirect"]) == (401, "/login?next=/dashboard/team%3Fx%3D1")


async def test_a_role_that_was_taken_away_is_gone_at_the_next_click(owner: Browser, db: Connection) -> None:
    viewer = await users.find(db, demo.USERS[1].email)
    user = await users.find(db, OWNER)
    assert viewer
    assert user
    async with db.transaction():
        await users.grant(db, demo.MERCHANT_ID, viewer.id, "owner")
        await users.grant(db, demo.MERCHANT_ID, user.id, "viewer")
    assert (await owner.get("/dashboard/team")).status_code == 403


async def test_a_session_is_bound_to_the_user_s_own_merchants(house: House, owner: Browser, db: Connection) -> None:
    """Another merchant's id, in whichever place a browser can put one, is a 404."""
    other = await merchants.add_merchant(db, "Another Shop")
    stranger = await users.add(db, email="s@other.test", name="Stranger")
    await users.grant(db, other, stranger, "owner")
    assert (await owner.post("/dashboard/merchant", merchant_id=other)).status_code == 404
    for path in (
        f"/dashboard/team/{stranger}/role",
        f"/dashboard/team/{stranger}/remove",
        f"/dashboard/team/{stranger}/link",
    ):
        await owner.get("/dashboard/team")
        assert (await owner.post(path, role="viewer")).status_code == 404, path
    theirs = await house.signed_in("s@other.test")
    row = house.conn.execute("SELECT id FROM sessions WHERE user_id = %s", [stranger]).fetchone()
    assert row
    await owner.get("/dashboard/account")
    assert (await owner.post(f"/dashboard/account/sessions/{row['id']}/end")).status_code == 404
    assert (await theirs.get("/dashboard/team")).status_code == 200
    assert OWNER not in theirs.page.text


async def test_an_operator_looks_at_a_merchant_as_a_viewer_does(house: House) -> None:
    browser = await house.signed_in(OPERATOR)
    assert (await browser.get("/dashboard")).url.path == "/dashboard/operator"
    house.conn.execute("UPDATE sessions SET merchant_id = %s", [demo.MERCHANT_ID])
    assert (await browser.get("/dashboard")).status_code == 200
    assert (await browser.get("/dashboard/team")).status_code == 403


async def test_operators_pages_read_all_and_write_nothing(house: House, db: Connection) -> None:
    """And see nothing that is sealed; the pages of merchants are not widened by it."""
    await merchants.add_merchant(db, "Another Shop")
    database = house.app.state.gateway.database
    async with operating(database) as conn:
        assert await fetch(conn, "SELECT count(*)::int AS n FROM merchants", {}) == [{"n": 2}]
        assert await fetch(conn, "SELECT url FROM endpoints", {})
    for statement in (
        "UPDATE payments SET amount = 1",
        "INSERT INTO audit_log SELECT * FROM audit_log",
        "DELETE FROM sessions",
        "SELECT sealed_secret FROM endpoints",
        "SELECT password_hash FROM users",
        "SELECT token_hash FROM sessions",
        "SELECT secret_hash FROM api_keys",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with operating(database) as conn:
                await conn.execute(statement)
    async with database.connection() as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="names no tenant"):
            await conn.execute("SELECT count(*) FROM merchants")


@pytest.mark.parametrize("path", ["/login", "/dashboard", "/dashboard/account", "/dashboard/nothing"])
async def test_what_browsers_are_told(owner: Browser, path: str) -> None:
    said = await owner.get(path, follow=False)
    if said.status_code == 303:
        said = await owner.get("/dashboard")
    policy = said.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert said.headers["cache-control"] == "no-store"
    assert said.headers["x-content-type-options"] == "nosniff"
    assert said.headers["cross-origin-opener-policy"] == "same-origin"
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", said.text)
    assert not re.search(r"<script(?![^>]* src=)", said.text)


def test_templates_take_nothing_for_safe() -> None:
    for file in sorted(FOLDER.rglob("*.html")):
        text = file.read_text()
        assert not re.search(r"\|\s*safe|autoescape|Markup", text), file.name
        assert not re.search(r"\sstyle=|<style|\son(click|load|submit|change)=|hx-on", text), file.name


def test_every_post_form_in_a_template_has_its_token() -> None:
    for file in sorted(FOLDER.rglob("*.html")):
        for form in re.findall(r'<form method="post".*?</form>', file.read_text(), re.DOTALL):
            assert 'name="csrf"' in form, (file.name, form)


async def test_an_unknown_cookie_gets_no_session(visitor: Browser) -> None:
    for token in ("x", "x" * 5000, "é", "a b", "'; DROP TABLE users"):
        visitor.client.cookies.clear()
        said = await visitor.client.get("/dashboard", headers=[(b"cookie", f"{COOKIE}={token}".encode())])
        assert said.status_code == 303


async def test_a_name_is_shown_as_text_wherever_it_stands(owner: Browser) -> None:
    nasty = "<img src=x onerror=alert(1)>\"'{{7*7}}"
    await owner.post("/dashboard/account/name", name=nasty)
    for path in ("/dashboard/account", "/dashboard/team", "/dashboard/audit"):
        said = await owner.get(path)
        assert "<img" not in said.text
        assert "{{7*7}}" in said.text


async def test_errors_are_pages_or_a_line(owner: Browser) -> None:
    said = await owner.get("/dashboard/nothing")
    assert (said.status_code, "There is nothing here" in said.text) == (404, True)
    assert "number" in owner.text.lower()
    part = await owner.get("/dashboard/audit?after=x", **{"hx-request": "true"})
    assert (part.status_code, part.text) == (400, "The address of this page is not right.")


async def test_what_no_page_was_asked_for_is_refused_as_pages_are(owner: Browser) -> None:
    """A method that a path does not take, as when the address of a form's answer is opened; too large headers."""
    said = await owner.get("/dashboard/keys/key_1/revoke")
    assert (said.status_code, said.headers["allow"]) == (405, "OPTIONS, POST")
    assert said.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is no page here" in owner.text
    assert 'href="/dashboard"' in said.text
    assert "default-src" in said.headers["content-security-policy"]
    said = await owner.client.put("/dashboard", headers={"hx-request": "true"})
    assert (said.status_code, said.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert said.text == "This path does not take PUT."
    said = await owner.get("/dashboard", **{"x-long": "x" * 40_000})
    assert (said.status_code, "That is too much" in owner.text) == (431, True)
