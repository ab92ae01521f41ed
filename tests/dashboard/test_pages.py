"""The pages that there are: the account, the team, the audit log; parts of pages for htmx; files; live streams."""

from __future__ import annotations

import asyncio
import hashlib
import html
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

import dashboard
from dashboard import assets
from dashboard.live import Ask, Live
from dashboard.render import environment
from dashboard.warm import warm
from gateway import audit, demo, merchants, passwords, totp, users
from gateway.audit import Actor
from kit import ids
from kit.db import Connection
from tests.dashboard.conftest import OWNER, VIEWER, Browser, House

GOOD = "four plain words together"
HX = {"hx-request": "true"}


async def test_a_new_password_ends_all_other_sessions_and_renews_this_one(house: House, owner: Browser) -> None:
    other = await house.signed_in(OWNER)
    before = owner.token
    wrong = await owner.post("/dashboard/account/password", password="wrong", new_password=GOOD)
    assert (wrong.status_code, "That is not your password" in wrong.text) == (422, True)
    weak = await owner.post("/dashboard/account/password", password=demo.PASSWORD, new_password="asha rao ledgate")
    assert (weak.status_code, "guessed first" in weak.text) == (422, True)
    await owner.post("/dashboard/account/password", password=demo.PASSWORD, new_password=GOOD)
    assert "Your password is changed" in owner.text
    assert owner.token != before
    assert (await other.get("/dashboard")).url.path == "/login"
    assert (await other.sign_in(OWNER, GOOD)).url.path == "/dashboard"


async def test_the_password_cannot_be_guessed_from_within(
    house: House, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_known: str | None, _password: str) -> bool:
        return False

    monkeypatch.setattr(passwords, "verify", never)
    path = "/dashboard/account/second-factor"
    said = [(await owner.post(path, password=f"{n}")).status_code for n in range(5)]
    assert house.held() == 5.0
    assert [*said, (await owner.post(path, password=demo.PASSWORD)).status_code] == [422] * 5 + [429]


async def test_a_second_factor_is_set_up_proven_and_taken_away(house: House, owner: Browser) -> None:
    """Its secret is shown on one page, sealed in the database; codes are shown once; each step renews the session."""
    other = await house.signed_in(OWNER)
    await owner.post("/dashboard/account/second-factor", password=demo.PASSWORD)
    assert owner.page.url.path == "/dashboard/account/second-factor"
    shown = re.search(r'data-test-id="totp-secret">([A-Z2-7 ]+)<', owner.page.text)
    assert shown
    import base64

    secret = base64.b32decode(shown[1].replace(" ", ""))
    assert (await owner.post("/dashboard/account/second-factor/prove", code="123")).status_code == 422
    before = owner.token
    code = totp.code(secret, int(time.time()) // totp.STEP)
    await owner.post("/dashboard/account/second-factor/prove", code=code)
    codes = re.findall(r"<code>([a-z2-7-]{19})</code>", owner.page.text)
    assert len(set(codes)) == 10
    assert owner.token != before
    assert (await other.get("/dashboard")).url.path == "/login", "what began with the password alone has ended"
    row = house.conn.execute("SELECT sealed_totp FROM users WHERE email = %s", [OWNER]).fetchone()
    assert row
    assert secret not in row["sealed_totp"]

    await owner.get("/dashboard/account")
    assert "10 recovery codes left" in owner.text
    assert secret.hex() not in owner.page.text
    assert codes[0] not in owner.page.text
    used = await owner.post("/dashboard/account/second-factor/remove", password=demo.PASSWORD, code=code)
    assert (used.status_code, "used before" in used.text) == (422, True)
    await owner.post("/dashboard/account/second-factor/remove", password=demo.PASSWORD, code=codes[1])
    assert "The second factor is off" in owner.text
    actions = [action for _, action in house.audit()]
    assert actions == ["user.second_factor_added", "user.second_factor_removed"]


async def test_one_signs_out_elsewhere(house: House, owner: Browser) -> None:
    others = [await house.signed_in(OWNER) for _ in range(2)]
    await owner.get("/dashboard/account")
    ids = re.findall(r"/dashboard/account/sessions/(ses_\w+)/end", owner.page.text)
    assert len(ids) == 2
    await owner.post(f"/dashboard/account/sessions/{ids[0]}/end")
    await owner.post("/dashboard/account/sessions/end")
    assert "Signed out of 1 other browser" in owner.text
    for other in others:
        assert (await other.get("/dashboard")).url.path == "/login"
    assert (await owner.get("/dashboard")).status_code == 200


async def test_an_owner_invites_changes_and_removes(house: House, owner: Browser) -> None:
    await owner.get("/dashboard/team")
    await owner.post("/dashboard/team", email="Dev@Ledgate.test", name="Dev Patel", role="developer")
    link = html.unescape(re.findall(r'data-copy="(http[^"]+)"', owner.page.text)[0])
    assert link.startswith("http://dash.test/login/link?token=")
    newcomer = house.browser()
    await newcomer.get(link)
    await newcomer.post("/login/link", token=link.partition("token=")[2], password=GOOD)
    assert (await newcomer.get("/dashboard")).status_code == 200
    assert (await newcomer.get("/dashboard/team")).status_code == 403

    await owner.get("/dashboard/team")
    assert link.partition("token=")[2] not in owner.page.text, "it is shown once"
    user_id = re.findall(r'data-user-id="(usr_\w+)"', owner.page.text)[1]
    again = await owner.post("/dashboard/team", email="dev@ledgate.test", role="viewer")
    assert (again.status_code, "work for this merchant already" in again.text) == (422, True)
    await owner.post(f"/dashboard/team/{user_id}/role", role="owner")
    assert (await newcomer.get("/dashboard/team")).status_code == 200
    await owner.post(f"/dashboard/team/{user_id}/remove")
    assert (await newcomer.get("/dashboard")).status_code == 403
    assert [action for _, action in house.audit()] == [
        "user.invited", "session.began", "user.role_changed", "user.removed",
    ]  # fmt: skip


async def test_the_last_owner_stays(owner: Browser, db: Connection) -> None:
    user = await users.find(db, OWNER)
    assert user
    await owner.get("/dashboard/team")
    for path, form in (
        (f"/dashboard/team/{user.id}/remove", {}),
        (f"/dashboard/team/{user.id}/role", {"role": "viewer"}),
    ):
        await owner.post(path, **form)
        assert "keeps at least one owner" in owner.text
    assert (await owner.get("/dashboard/team")).status_code == 200


async def test_two_owners_who_remove_each_other_at_once_leave_one(house: House, db: Connection) -> None:
    viewer = await users.find(db, VIEWER)
    assert viewer
    async with db.transaction():
        await users.grant(db, demo.MERCHANT_ID, viewer.id, "owner")
    one, two = await house.signed_in(OWNER), await house.signed_in(VIEWER)
    mine = await users.find(db, OWNER)
    assert mine
    await asyncio.gather(one.post(f"/dashboard/team/{viewer.id}/remove"), two.post(f"/dashboard/team/{mine.id}/remove"))
    rows = house.conn.execute("SELECT user_id FROM memberships WHERE role = 'owner'").fetchall()
    assert len(rows) == 1


async def test_a_user_who_was_invited_elsewhere_is_not_anothers(owner: Browser, db: Connection) -> None:
    """Whoever has somebody's first link is that user: a second merchant must not get one."""
    other = await merchants.add_merchant(db, "Another Shop")
    user_id = await users.add(db, email="both@ledgate.test", name="Both")
    await users.grant(db, other, user_id, "owner")
    await owner.get("/dashboard/team")
    said = await owner.post("/dashboard/team", email="both@ledgate.test", role="viewer")
    assert (said.status_code, "have not joined yet" in said.text) == (422, True)
    await users.set_password(db, user_id, "$argon2id$x")
    await owner.post("/dashboard/team", email="both@ledgate.test", role="viewer")
    assert "was added as viewer" in owner.text
    assert "/login/link" not in owner.page.text


async def test_a_user_of_two_merchants_turns_from_one_to_the_other(
    house: House, owner: Browser, db: Connection
) -> None:
    other = await merchants.add_merchant(db, "Another Shop")
    user = await users.find(db, OWNER)
    assert user
    await users.grant(db, other, user.id, "viewer")
    before = owner.token
    await owner.get("/dashboard/account")
    await owner.post("/dashboard/merchant", merchant_id=other)
    assert "You are at Another Shop now" in owner.text
    assert owner.token != before
    assert (await owner.get("/dashboard/team")).status_code == 403


async def test_the_audit_log_is_read_a_page_at_a_time_and_narrowed(
    house: House, owner: Browser, db: Connection
) -> None:
    scope = {"merchant_id": demo.MERCHANT_ID, "bucket": merchants.bucket_of(demo.MERCHANT_ID)}
    for n in range(60):
        await audit.note(db, scope, Actor(None, f"robot {n}"), "refund.created", f"rfnd_{n}", amount=n)
    await audit.note(db, scope, Actor(None, "robot"), "endpoint.changed", "whep_1")
    await audit.note(db, {"merchant_id": "mer_other", "bucket": 1}, Actor(None, "them"), "refund.created", "rfnd_x")
    await owner.get("/dashboard/audit?about=refund")
    assert owner.page.text.count('data-test-id="audit-entry"') == 50
    assert "robot 59" in owner.text
    older = html.unescape(re.findall(r'href="(/dashboard/audit\?[^"]+)" rel="next"', owner.page.text)[0])
    await owner.get(older)
    assert owner.page.text.count('data-test-id="audit-entry"') == 10
    await owner.get("/dashboard/audit?about=endpoint")
    assert owner.page.text.count('data-test-id="audit-entry"') == 1
    assert "them" not in owner.text
    for wrong in ("about=x", "after=1", "after=aud_'"):
        assert (await owner.get(f"/dashboard/audit?{wrong}")).status_code == 400


async def test_the_audit_log_leads_to_what_is_still_there(house: House, owner: Browser, db: Connection) -> None:
    """Of an endpoint that was deleted since, or a delivery that is no longer kept, the id stands there alone."""
    house.app.state.gateway.config = msgspec.structs.replace(house.config, event_retention=30)
    now = time.time()
    (row,) = house.conn.execute("SELECT id FROM endpoints").fetchall()
    there = [row["id"], ids.made("dlv", int((now - 29 * 86_400) * 1e6), 1), "rcv_01m822c074e4crvxt7d34f4c3b", "pay_1"]
    gone = ["whep_01m822c074e4crvxt7d34f4c3b", ids.made("dlv", int((now - 31 * 86_400) * 1e6), 1)]
    scope = {"merchant_id": demo.MERCHANT_ID, "bucket": merchants.bucket_of(demo.MERCHANT_ID)}
    for one in (*there, *gone):
        await audit.note(db, scope, Actor(None, "robot"), "endpoint.changed", one)
    await owner.get("/dashboard/audit")
    table = owner.page.text.partition("<tbody>")[2]
    links = re.findall(r'<td data-label="On"><a href="([^"]+)"', table)
    assert [any(link.endswith(one) for link in links) for one in (*there, *gone)] == [True] * 4 + [False] * 2
    assert all(one in table for one in gone)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_the_dashboard_cannot_change_the_audit_log(house: House, statement: str) -> None:
    import psycopg

    async with house.app.state.gateway.database.connection() as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await conn.execute(statement)


async def test_the_dashboard_makes_no_operators(house: House) -> None:
    import psycopg

    async with house.app.state.gateway.database.connection() as conn:
        for statement in ("UPDATE users SET operator = true", "UPDATE users SET disabled_at = NULL"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await conn.execute(statement)


async def test_the_api_sees_no_users(house: House) -> None:
    for table in ("users", "sessions", "memberships", "recovery_codes", "password_links", "sign_in_tries", "audit_log"):
        row = house.conn.execute(
            "SELECT has_any_column_privilege('ledgate_api', %s, 'SELECT') AS may", [table]
        ).fetchone()
        assert row == {"may": False}, table


async def test_htmx_gets_the_part_that_it_swaps(owner: Browser) -> None:
    part = await owner.get("/dashboard/audit", **HX, **{"hx-target": "entries"})
    assert part.text.lstrip().startswith('<section class="panel" id="entries"')
    main = await owner.get("/dashboard/audit", **HX, **{"hx-target": "nothing-of-ours"})
    assert main.text.lstrip().startswith('<div class="page">')
    restored = await owner.get("/dashboard/audit", **HX, **{"hx-history-restore-request": "true"})
    assert restored.text.startswith("<!doctype html>")
    for said in (part, main, restored):
        assert "HX-Request" in said.headers["vary"]


async def test_a_page_is_drawn_when_it_is_whole(owner: Browser, visitor: Browser) -> None:
    """Chromium draws what it has of a page now and then; of half a table, each column would move afterwards."""
    for browser, path in ((owner, "/dashboard/payments"), (owner, "/dashboard/nothing"), (visitor, "/login")):
        text = (await browser.get(path)).text
        awaited = re.findall(r'<link rel="expect" href="#(\w+)" blocking="render">', text)
        assert awaited == ["toasts"]
        before, after = text.split('<div id="toasts"')
        assert "</main>" in before
        assert re.findall(r"<(/?\w+)", after.partition("</div>")[2]) == ["/body", "/html"]


async def test_a_message_is_said_once_and_is_ours(house: House, owner: Browser) -> None:
    await owner.post("/dashboard/account/name", name="Asha R.", follow=False)
    part = await owner.get("/dashboard/account", **HX)
    assert 'hx-swap-oob="beforeend"' in part.text
    assert "Your name is saved" in part.text
    assert "Your name is saved" not in (await owner.get("/dashboard/account")).text
    owner.client.cookies.set("ledgate_flash", "W1siZ29vZCIsIlBheSBoZXJlIl1d.test:00", domain="dash.test")
    assert "Pay here" not in (await owner.get("/dashboard/account")).text


def test_vendored_files_are_what_the_readme_says() -> None:
    folder = Path(dashboard.__file__).parent / "static" / "vendor"
    told = dict(re.findall(r"^\| (\S+) \| ([0-9a-f]{64}) ", (folder / "README.md").read_text(), re.MULTILINE))
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.suffix in {".js", ".woff2", ".css"}
    }
    assert found == told


def test_both_dark_themes_are_one() -> None:
    text = assets.static()[1]["tokens.css"].content.decode()
    first = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\}', text, re.DOTALL)
    second = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', text, re.DOTALL)
    assert first
    assert second
    assert first[1].split() == second[1].split()


async def test_files_are_kept_for_ever_under_their_hash(visitor: Browser) -> None:
    await visitor.get("/login")
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.page.text):
        said = await visitor.client.get(path)
        assert (said.status_code, "immutable" in said.headers["cache-control"]) == (200, True), path
        again = await visitor.client.get(path, headers={"if-none-match": said.headers["etag"]})
        assert again.status_code == 304
    assert (await visitor.client.get("/static/old/app.js")).headers["cache-control"] == "no-store"
    for path in ("/static/x/../app.py", "/static/x/vendor/README.md", "/static/x/nothing.js", "/static/x//etc/passwd"):
        assert (await visitor.client.get(path)).status_code == 404, path


def _listener(live: Live, ask: Ask) -> AsyncIterator[bytes]:
    async def stands() -> bool:
        return True

    until = time.monotonic() + 20
    return live._events("payments:mer_demo", ask, until, lambda: False, stands, told=None, user_id="usr_1")


async def test_all_who_look_at_one_thing_share_one_question() -> None:
    """A change wakes every listener; the last one that goes ends the asking; there is a bound."""
    marks = iter(["a", "a", "b"])
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        return next(marks, "b")

    live = Live(most=2, interval=0.01)
    streams = [_listener(live, ask) for _ in range(2)]
    assert [await anext(stream) for stream in streams] == [b"retry: 1000\n\n"] * 2
    assert live.streams == 2
    said = await asyncio.gather(*(anext(stream) for stream in streams))
    assert said == [b"event: new\nid: b\ndata: \n\n"] * 2
    assert asked == 3
    for stream in streams:
        await stream.aclose()
    assert live.streams == 0
    assert live._topics == {}


def test_no_page_waits_for_its_template_once_a_worker_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are compiled before, and the files packed."""
    warm()
    made = environment()
    monkeypatch.setattr(made, "compile", lambda *_, **__: pytest.fail("compiled for a request"))
    for path in (Path(dashboard.__file__).parent / "templates").glob("*.html"):
        made.get_template(path.name)
