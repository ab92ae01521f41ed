"""The way in: what a password, a code, a key and a link open, and what guessing costs."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from dashboard import addresses, signing_in
from gateway import demo, merchants, totp, users
from gateway.config import load
from gateway.secrets import make_sealer
from kit.config import ConfigError
from kit.db import Connection
from tests.dashboard.conftest import COOKIE, OPERATOR, OWNER, Browser, House

GOOD = "four plain words together"


async def test_a_right_password_opens_the_page_that_was_wanted(house: House, visitor: Browser) -> None:
    said = await visitor.get("/dashboard/team?x=1")
    assert said.url.path == "/login"
    await visitor.post("/login", email=f"  {OWNER.upper()} ", password=demo.PASSWORD, next="/dashboard/team?x=1")
    assert (visitor.page.url.path, visitor.page.status_code) == ("/dashboard/team", 200)
    assert house.audit() == [(OWNER, "session.began")]


async def test_who_works_for_several_begins_with_the_first_and_goes_on_where_they_were(
    house: House, visitor: Browser, db: Connection
) -> None:
    """The quick start's merchant: not one that comes first by name or by id, and has added them since."""
    await demo.seed_shop(house.config.database_url, house.config)
    user = await users.find(db, OWNER)
    assert user
    await users.grant(db, await merchants.add_merchant(db, "Aaa"), user.id, "developer")
    await visitor.sign_in()
    assert "Ledgate Demo owner" in visitor.text
    await visitor.get("/dashboard/account")
    assert "Show Chai Patti" in visitor.page.text
    await visitor.post("/dashboard/merchant", merchant_id=demo.SHOP_ID)
    again = house.browser()
    await again.sign_in()
    assert "Chai Patti owner" in again.text


async def test_a_session_is_not_the_one_from_before(house: House, visitor: Browser) -> None:
    """Fixation: whatever cookie somebody has put into the browser, after the sign-in it opens nothing."""
    visitor.client.cookies.set(COOKIE, "chosen-by-somebody-else", domain="dash.test")
    await visitor.sign_in()
    assert visitor.token not in (None, "chosen-by-somebody-else")
    other = house.browser()
    other.client.cookies.set(COOKIE, "chosen-by-somebody-else", domain="dash.test")
    assert (await other.get("/dashboard")).url.path == "/login"


async def test_signing_in_again_ends_the_session_before(house: House, owner: Browser) -> None:
    before = owner.token
    await owner.get("/login/key")
    await owner.post("/login", email=OPERATOR, password=demo.PASSWORD)
    assert owner.token != before
    other = house.browser()
    other.client.cookies.set(COOKIE, before or "", domain="dash.test")
    assert (await other.get("/dashboard")).url.path == "/login"


async def test_the_database_does_not_know_the_cookie(house: House, owner: Browser) -> None:
    rows = house.conn.execute("SELECT token_hash FROM sessions").fetchall()
    assert [bytes(row["token_hash"]) for row in rows] == [users.hash_token(owner.token or "")]


@pytest.mark.parametrize(
    ("email", "password"), [(OWNER, "wrong wrong wrong"), ("nobody@ledgate.test", demo.PASSWORD), (OWNER, "x" * 300)]
)
async def test_a_wrong_sign_in_does_not_tell_what_was_wrong(visitor: Browser, email: str, password: str) -> None:
    said = await visitor.sign_in(email, password)
    assert said.status_code == 422
    assert signing_in.WRONG in visitor.text
    assert "Dashboard" not in visitor.text


async def test_an_unknown_user_costs_the_same_hash(monkeypatch: pytest.MonkeyPatch, visitor: Browser) -> None:
    """The time of a sign-in is the hash's: it is computed for a user that is not there, too."""
    asked: list[str | None] = []
    verify = signing_in.passwords.verify

    async def watch(known: str | None, password: str) -> bool:
        asked.append(known)
        return await verify(known, password)

    monkeypatch.setattr(signing_in.passwords, "verify", watch)
    await visitor.sign_in("nobody@ledgate.test", "whatever it is")
    assert asked == [None]


@pytest.mark.parametrize("email", [OWNER, "nobody@ledgate.test"])
async def test_guesses_must_wait_longer_and_longer(
    house: House, visitor: Browser, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not there is such a user; the right password waits too. Time is the database's."""
    monkeypatch.setattr(signing_in.passwords, "verify", _never)
    said = [(await visitor.sign_in(email, f"guess {n}")).status_code for n in range(5)]
    assert house.held() == 5.0
    assert [*said, (await visitor.sign_in(email, demo.PASSWORD)).status_code] == [422] * 5 + [429]
    assert "Too many tries" in visitor.text
    assert 0 < int(visitor.page.headers["retry-after"]) <= 3605
    _forward(house, 3605)
    assert (await visitor.sign_in(email, "guess 7")).status_code == 422
    assert house.held() == 10.0
    assert (await visitor.sign_in(email, "guess 8")).status_code == 429


async def test_nobody_is_kept_out_of_a_browser_that_they_have_signed_in_with(
    house: House, visitor: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever guesses at their address elsewhere. It counts for itself, and for nobody else."""
    await visitor.sign_in()
    await visitor.post("/logout")
    monkeypatch.setattr(signing_in.passwords, "verify", _never)
    other = house.browser()
    said = [(await other.sign_in(OWNER, f"guess {n}")).status_code for n in range(6)]
    assert said == [422] * 5 + [429]
    assert house.held() == 5.0
    assert (await visitor.sign_in(OWNER, "mistyped")).status_code == 422, "judged, not kept waiting"
    assert (await visitor.sign_in(OPERATOR, "not theirs")).status_code == 422
    subjects = [row["subject"].partition(":")[0] for row in house.conn.execute("SELECT subject FROM sign_in_tries")]
    assert sorted(subjects) == ["known", "net", "user", "user"]
    other.client.cookies.set("ledgate_known", "made-up.dev:00", domain="dash.test")
    assert (await other.sign_in(OWNER)).status_code == 429
    said = [(await visitor.sign_in(OWNER, f"guess {n}")).status_code for n in range(5)]
    assert said == [422] * 4 + [429], "it is no way round"


async def test_a_right_password_forgets_the_wrong_ones(house: House, visitor: Browser) -> None:
    await visitor.sign_in(OWNER, "wrong wrong wrong")
    await visitor.sign_in(OWNER)
    assert visitor.page.url.path == "/dashboard"
    rows = house.conn.execute("SELECT subject, failures FROM sign_in_tries").fetchall()
    assert rows == [{"subject": "net:127.0.0.1/32", "failures": 1}]


async def test_an_address_that_guesses_at_many_accounts_waits(
    house: House, visitor: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_in.passwords, "verify", _never)
    said = [(await visitor.sign_in(f"user{n}@ledgate.test", "x")).status_code for n in range(20)]
    assert house.held() == 5.0
    assert [*said, (await visitor.sign_in("user20@ledgate.test", "x")).status_code] == [422] * 20 + [429]


async def test_many_guesses_at_once_are_many_guesses(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(signing_in.passwords, "verify", _never)
    browsers = [house.browser() for _ in range(12)]
    for one in browsers:
        await one.get("/login")
    said = await asyncio.gather(*(one.post("/login", email=OWNER, password="x") for one in browsers))
    assert sum(one.status_code == 422 for one in said) == 5


async def test_a_disabled_user_is_out_at_once(house: House, owner: Browser, db: Connection) -> None:
    user = await users.find(db, OWNER)
    assert user
    await users.set_disabled(db, user.id, disabled=True)
    assert (await owner.get("/dashboard")).url.path == "/login"
    assert (await owner.sign_in()).status_code == 422
    await users.set_disabled(db, user.id, disabled=False)
    assert (await owner.get("/dashboard")).url.path == "/login"


@pytest.mark.parametrize(("hours", "ends"), [(11.9, False), (12.1, True)])
async def test_a_session_that_nothing_comes_with_ends(
    house: House, owner: Browser, hours: float, *, ends: bool
) -> None:
    _forward(house, hours * 3600)
    assert ((await owner.get("/dashboard")).url.path == "/login") is ends


async def test_a_page_that_stands_open_keeps_no_session_alive(house: House, owner: Browser) -> None:
    """What it asks for by itself, by its stream or by the script, is nobody's sitting there."""
    house.app.state.gateway.leaving = lambda: True
    _forward(house, 11.9 * 3600)
    assert (await owner.client.get("/dashboard/live")).status_code == 200
    shown = await owner.client.get("/dashboard/payments", headers={"hx-request": "true", "x-live": "1"})
    assert shown.status_code == 200
    _forward(house, 0.2 * 3600)
    assert (await owner.get("/dashboard")).url.path == "/login"


async def test_a_session_ends_whatever_happens(house: House, owner: Browser) -> None:
    for _ in range(14):
        _forward(house, 11 * 3600)
        assert (await owner.get("/dashboard/account")).url.path == "/dashboard/account"
    _forward(house, 15 * 3600)
    assert (await owner.get("/dashboard/account")).url.path == "/login"


async def test_signing_out_ends_it_on_the_server(house: House, owner: Browser) -> None:
    token = owner.token or ""
    await owner.post("/logout")
    assert "signed out" in owner.text
    owner.client.cookies.set(COOKIE, token, domain="dash.test")
    assert (await owner.get("/dashboard")).url.path == "/login"
    assert house.audit() == [(OWNER, "session.ended")]


async def test_a_second_factor_is_asked_for(house: House, visitor: Browser, db: Connection) -> None:
    """The password alone opens nothing; a code works once; a recovery code works once."""
    secret, codes = await _second_factor(house, db, OWNER)
    await visitor.sign_in()
    assert visitor.page.url.path == "/login/code"
    assert (await visitor.get("/dashboard")).url.path == "/login"
    half = visitor.token

    code = totp.code(secret, int(time.time()) // totp.STEP)
    await visitor.get("/login/code")
    assert (await visitor.post("/login/code", code="000000")).status_code == 422
    await visitor.post("/login/code", code=f"{code[:3]} {code[3:]}")
    assert visitor.page.url.path == "/dashboard"
    assert visitor.token != half

    again = house.browser()
    await again.sign_in()
    assert (await again.post("/login/code", code=code)).status_code == 422, "used before"
    await again.post("/login/code", code=codes[0].upper())
    assert again.page.url.path == "/dashboard"
    third = house.browser()
    await third.sign_in()
    assert (await third.post("/login/code", code=codes[0])).status_code == 422


async def test_codes_cannot_be_guessed_for_long(house: House, visitor: Browser, db: Connection) -> None:
    await _second_factor(house, db, OWNER)
    await visitor.sign_in()
    said = [(await visitor.post("/login/code", code=f"{n:06}")).status_code for n in range(5)]
    assert house.held() == 5.0
    assert [*said, (await visitor.post("/login/code", code="000007")).status_code] == [422] * 5 + [429]


async def test_a_key_makes_the_first_owner_and_nobody_after(house: House, visitor: Browser, db: Connection) -> None:
    merchant = await merchants.add_merchant(db, "Corner Shop")
    key, secret = await merchants.add_key(db, merchant)
    await visitor.get("/login/key")
    assert (await visitor.post("/login/key", key_id=key, secret="wrong")).status_code == 422
    await visitor.post("/login/key", key_id=key, secret=secret)
    assert visitor.page.url.path == "/login/setup"
    assert (await visitor.get("/dashboard")).url.path == "/login", "a key is no user"
    await visitor.get("/login/setup")
    assert (await visitor.post("/login/setup", name="Meera", email="m@shop.test", password="short")).status_code == 422
    await visitor.post("/login/setup", name="Meera", email="m@shop.test", password=GOOD)
    assert visitor.page.url.path == "/dashboard"
    assert "You are the owner of Corner Shop" in visitor.text
    assert [entry[1] for entry in house.audit()] == ["sign_in.by_key", "user.created", "session.began"]

    other = house.browser()
    await other.get("/login/key")
    assert (await other.post("/login/key", key_id=key, secret=secret)).status_code == 422
    assert "has an owner already" in other.text


async def test_a_key_without_the_scope_opens_nothing(visitor: Browser, db: Connection) -> None:
    merchant = await merchants.add_merchant(db, "Corner Shop")
    key, secret = await merchants.add_key(db, merchant, scopes=["read", "write"])
    await visitor.get("/login/key")
    assert (await visitor.post("/login/key", key_id=key, secret=secret)).status_code == 422
    assert "lacks the scope" in visitor.text


async def test_a_link_sets_a_password_once(house: House, visitor: Browser, db: Connection) -> None:
    user_id = await users.add(db, email="new@ledgate.test", name="Nila")
    await users.grant(db, demo.MERCHANT_ID, user_id, "viewer")
    token = await users.add_link(db, user_id)
    await visitor.get(f"/login/link?token={token}")
    assert (await visitor.post("/login/link", token=token, password="short")).status_code == 422
    await visitor.post("/login/link", token=token, password=GOOD)
    assert visitor.page.url.path == "/dashboard"
    other = house.browser()
    assert (await other.get(f"/login/link?token={token}")).status_code == 404
    await other.get("/login")
    assert (await other.post("/login/link", token=token, password=GOOD)).status_code == 404


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.test/",
        "//evil.test/dashboard",
        "/\\evil.test",
        "/dashboard\\..\\..\\evil",
        "/dashboard/../../evil",
        "/dashboard//evil.test",
        "/dashboardevil",
        "javascript:alert(1)",
        "/dashboard\r\nSet-Cookie: x=1",
        "/dashboard\t",
        " /dashboard",
        "/login",
        "/dashboard/é",
        "/dashboard/" + "x" * 2000,
        "",
    ],
)
def test_nobody_is_led_elsewhere(wanted: str) -> None:
    assert addresses.safe(wanted) == addresses.HOME


@pytest.mark.parametrize("wanted", ["/dashboard", "/dashboard/payments?status=failed&after=pay_1", "/dashboard/team#x"])
def test_pages_of_ours_are_gone_on_to(wanted: str) -> None:
    assert addresses.safe(wanted) == wanted


async def test_the_sign_in_leads_nowhere_else(visitor: Browser) -> None:
    await visitor.get("/login?next=https://evil.test/")
    assert 'value="https://evil.test/"' in visitor.page.text  # only shown; what counts is judged when it is used
    said = await visitor.post("/login", email=OWNER, password=demo.PASSWORD, next="https://evil.test/", follow=False)
    assert said.headers["location"] == "/dashboard"
    assert (await visitor.get("/login?next=//evil.test", follow=False)).headers["location"] == "/dashboard"


async def test_demo_users_are_shown_in_test_mode_alone(house: House, visitor: Browser) -> None:
    import msgspec

    await visitor.get("/login")
    assert demo.PASSWORD in visitor.page.text
    house.app.state.gateway.config = msgspec.structs.replace(house.config, test_mode=False)
    await visitor.get("/login")
    assert demo.PASSWORD not in visitor.page.text
    assert "ledgate.test" not in visitor.page.text


@pytest.mark.parametrize(
    "url", ["dash.example", "ftp://dash.example", "https://", "https://dash.example/x", "https:/x"]
)
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    """Taken as it stands, it would decide over `Secure` cookies and over which site's forms are ours."""
    with pytest.raises(ConfigError, match="LEDGATE_DASHBOARD_URL"):
        load({"LEDGATE_DASHBOARD_URL": url})
    assert load({"LEDGATE_DASHBOARD_URL": "https://dash.example/"}).dashboard_origin == "https://dash.example"


async def test_in_earnest_the_cookie_is_bound_to_https_and_host(house: House) -> None:
    import msgspec

    house.app.state.gateway.config = msgspec.structs.replace(house.config, test_mode=False)
    said = await house.browser().get("/login")
    assert re.match(
        r"__Host-ledgate_session=[\w-]{43}; HttpOnly; Max-Age=604800; Path=/; SameSite=lax; Secure",
        said.headers["set-cookie"],
    )


async def _never(_known: Any, _password: str) -> bool:
    return False


def _forward(house: House, seconds: float) -> None:
    """Let that time pass for what the dashboard keeps: move it into the past."""
    house.conn.execute(
        "UPDATE sessions SET began_at = began_at - make_interval(secs => %(s)s), seen_at = seen_at -"
        " make_interval(secs => %(s)s), expires_at = expires_at - make_interval(secs => %(s)s)",
        {"s": seconds},
    )
    house.conn.execute("UPDATE users SET sessions_from = sessions_from - make_interval(secs => %(s)s)", {"s": seconds})
    house.conn.execute(
        "UPDATE sign_in_tries SET tried_at = tried_at - make_interval(secs => %(s)s),"
        " blocked_until = blocked_until - make_interval(secs => %(s)s)",
        {"s": seconds},
    )


async def _second_factor(house: House, db: Connection, email: str) -> tuple[bytes, list[str]]:
    user = await users.find(db, email)
    assert user
    secret = totp.new_secret()
    sealed = make_sealer(house.config).seal(secret, context=f"totp:{user.id}")
    await users.set_totp(db, user.id, sealed, step=0)
    return secret, await users.new_recovery_codes(db, user.id)
