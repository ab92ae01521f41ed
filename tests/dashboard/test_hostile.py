"""What strangers send and what they are told: no 500, nothing of theirs as markup, and the same headers everywhere."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from dashboard import json_text, pages, policy, signing_in
from dashboard.sessions import find
from gateway import audit, totp, users
from gateway.api.rates import RateLimiter
from gateway.audit import Actor
from kit.db import Connection
from tests.dashboard.conftest import COOKIE, OPERATOR, OWNER, Browser, House
from tests.dashboard.hooks import NASTY as WORDS
from tests.dashboard.hooks import add_endpoint, attempt, deliver
from tests.dashboard.paying import Till
from tests.dashboard.test_signing_in import _second_factor
from tests.support.paying import MERCHANT

NASTY = ("%00", "%FF%ED%A0%80", "%22%27%3E%3Csvg%20onload=x%3E" + "x" * 1000, "..%2F%25_%5C%0d%0aX-Evil:1")
"""As they stand in an address: NUL, what is no UTF-8, a long tag, a way up with wildcards and line ends."""
QUERY = (
    "after", "before", "q", "status", "event", "endpoint", "payment", "code", "when", "from", "to", "period",
    "currency", "method", "order", "instrument", "least", "most", "since", "until", "type", "about", "user", "key",
    "next", "token", "test", "as_of", "newest", "waiting", "rate",
)  # fmt: skip
"""Every parameter that some page has."""
ROUTES = [
    (method, path) for one in pages.handlers() for path in sorted(one.paths) for method in sorted(one.http_methods)
]


def _harmless(said: Any, about: object) -> None:
    assert said.status_code < 500, (about, said.status_code)
    assert "<svg onload" not in said.text, about
    assert "x-evil" not in said.headers, about


async def test_no_path_is_an_error_of_ours(house: House, owner: Browser) -> None:
    """Every id in every path, as an owner and, where only operators come, as one of them."""
    house.app.state.visits = RateLimiter(rate=0, burst=1)
    operator = await house.signed_in(OPERATOR)
    for method, path in ROUTES:
        if "{" not in path:
            continue
        for one in NASTY:
            browser = operator if "/operator" in path else owner
            where = re.sub(r"\{[^}]*\}", one, path)
            if method == "GET":
                said = await browser.client.get(where)
            else:
                said = await browser.client.post(where, data={"csrf": browser.csrf, "role": "viewer"})
            _harmless(said, (method, path, one[:20]))
            if one == "%00":
                assert said.status_code == 404, (method, path)


async def test_no_query_is_an_error_of_ours(house: House, owner: Browser) -> None:
    house.app.state.visits = RateLimiter(rate=0, burst=1)
    operator = await house.signed_in(OPERATOR)
    for _, path in [route for route in ROUTES if route[0] == "GET" and "{" not in route[1]]:
        browser = operator if "/operator" in path else owner
        if path.endswith("/live"):
            continue
        for one in NASTY[:3]:
            # A cursor that is none ends it before anything else is looked at: once alone.
            for names in (QUERY[2:], ("after",)) if one == NASTY[1] else (QUERY[2:],):
                said = await browser.client.get(f"{path}?" + "&".join(f"{name}={one}" for name in names))
                _harmless(said, (path, one[:20], names[0]))
                assert one != "%00" or said.status_code in {400, 303}, path


FORMS = (
    ("multipart/form-data", b"x"),
    ("multipart/form-data; boundary=x",
     b'--x\r\nContent-Disposition: form-data; name="name"; filename="f"\r\n\r\n\0\r\n--x--'),
    ("application/x-www-form-urlencoded", b"name=%FF%ED%A0%80&name=%00&email=%00&id=%00&scopes=%00"),
    ("application/x-www-form-urlencoded", b"name=a&" + b"x=1&" * 5000),
    ("application/json", b'{"name": "x"}'),
    ("", b"\xff\0"),
)  # fmt: skip


async def test_no_form_is_an_error_of_ours(house: House, owner: Browser) -> None:
    """Parts of files, broken ones, thousands of fields, another content: on every route that takes one."""
    house.app.state.visits = RateLimiter(rate=0, burst=1)
    operator = await house.signed_in(OPERATOR)
    for path in [re.sub(r"\{[^}]*\}", "x", path) for method, path in ROUTES if method == "POST"]:
        if path in {"/logout", "/dashboard/operator/leave"}:
            continue
        browser = operator if "/operator" in path else owner
        for kind, content in FORMS if path == "/dashboard/keys" else FORMS[1:3]:
            headers = {"content-type": kind, "x-csrf-token": browser.csrf}
            _harmless(await browser.client.post(path, content=content, headers=headers), (path, kind))


async def test_no_header_is_an_error_of_ours(house: House, owner: Browser) -> None:
    """`http://[` is no address: reading it raises."""
    visitor = house.browser()
    for name in ("origin", "hx-current-url", "hx-target", "user-agent", "sec-fetch-site", "referer"):
        for text in ("http://[", "\x7f<svg onload=x>"):
            about = (name, text)
            path, form = "/dashboard/account/name", {"csrf": owner.csrf}
            said = await owner.client.post(path, data=form, headers={"hx-request": "true", name: text})
            _harmless(said, about)
            assert name != "origin" or said.status_code == 403
            _harmless(await visitor.client.get("/dashboard", headers={"hx-request": "true", name: text}), about)


async def test_no_cookie_is_an_error_of_ours(house: House, visitor: Browser) -> None:
    for text in ("a.\xff", "e30.key:\xe9", "W10.x", "." * 50, '"', "%00", "x" * 4000):
        for name in (COOKIE, "ledgate_flash", "ledgate_theme", "ledgate_zone"):
            headers = {"cookie": f"{name}={text}".encode("latin-1")}
            _harmless(await visitor.client.get("/login", headers=headers), (name, text))  # type: ignore[arg-type]


async def test_browsers_are_told_the_same_with_every_answer(house: House, owner: Browser) -> None:
    """Redirects, files, refusals of the framework and from around it, a part for htmx, a stream."""
    house.app.state.gateway.leaving = lambda: True
    client = owner.client
    file = re.search(r'/static/[^"]+app\.js', (await owner.get("/dashboard/account")).text)
    assert file
    for said in (
        await client.get("/"),
        await client.get(file[0]),
        await client.get("/nothing/here"),
        await client.delete("/dashboard"),
        await client.get("/dashboard/webhooks/x", headers={"hx-request": "true"}),
        await client.get("/dashboard/live"),
        await client.get("/login", headers={"x-much": "x" * 40_000}),
    ):
        for name in policy.HEADERS:
            assert name in said.headers, (said.url, name)
        assert "strict-transport-security" not in said.headers, "by plain http nobody believes it"


async def test_by_https_browsers_never_come_by_http_again() -> None:
    sent: list[Any] = []

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"public")]})

    async def send(message: Any) -> None:
        sent.append(message)

    await policy.telling(answer, secure=True)({"type": "http"}, None, send)  # type: ignore[arg-type,typeddict-item]
    headers = dict(sent[0]["headers"])
    assert headers[b"strict-transport-security"] == b"max-age=31536000"
    assert headers[b"cache-control"] == b"public", "what an answer says itself counts"


async def test_the_theme_leads_back_to_a_page_that_there_is(owner: Browser) -> None:
    """Chosen without a script on a page that answers a form."""
    for path, back in (
        ("/dashboard/webhooks/config", "/dashboard/webhooks"),
        ("/dashboard/webhooks/endpoints", "/dashboard/webhooks"),
        ("/dashboard/webhooks/recoveries", "/dashboard/webhooks/recoveries"),
        ("/dashboard/payments/pay_x/refund", "/dashboard/payments/pay_x/refund"),
        ("/dashboard/webhooks/dlv_x/verify", "/dashboard/webhooks/dlv_x"),
        ("/dashboard/team", "/dashboard/team"),
        ("/dashboard/merchant", "/dashboard"),
        ("/login", "/login"),
        ("/login/link", "/login/link"),
    ):
        await owner.post(path, webhook_url="nonsense")
        found = re.search(r'name="next" value="([^"]*)"', owner.page.text)
        assert found, path
        assert found[1] == back
        said = await owner.post("/theme", theme="dark", next=found[1], follow=False)
        assert said.headers["location"] == back
        await owner.get("/dashboard/account")


def test_an_answer_that_is_nothing_but_depth_is_no_page_of_white_space() -> None:
    """A receiver answers 16 KiB; laid out by its depth alone, that were 14 MB for each of its attempts."""
    deep = "[" * 900 + "1," * 7000 + "1" + "]" * 900
    shown = json_text.tokens(deep)
    assert len(shown) > 10_000, "it is laid out"
    assert sum(len(one.text) for one in shown) < 60 * len(deep)
    assert "".join(one.text for one in shown if one.kind != "space") == deep


async def test_a_password_that_is_changed_during_a_sign_in_opens_nothing(
    house: House, visitor: Browser, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knows the old one and signs in all the time would have a session that survives the change."""
    user = await users.find(db, OWNER)
    assert user
    verify = signing_in.passwords.verify

    async def meanwhile(known: str | None, password: str) -> bool:
        right = await verify(known, password)
        async with db.transaction():
            await users.set_password(db, user.id, "$argon2id$another")
        return right

    monkeypatch.setattr(signing_in.passwords, "verify", meanwhile)
    assert (await visitor.sign_in()).status_code == 422
    assert house.conn.execute("SELECT * FROM sessions").fetchall() == []


async def test_a_code_is_no_good_once_the_password_was_changed(house: House, visitor: Browser, db: Connection) -> None:
    """Even where the half of the sign-in was found a moment before."""
    _, codes = await _second_factor(house, db, OWNER)
    await visitor.sign_in()
    session = await find(db, house.config, visitor.token or "")
    assert session
    assert session.stage == "second"
    async with db.transaction():
        await users.set_password(db, session.user_id or "", "$argon2id$another")
    browser = signing_in.Browser("127.0.0.1", "a test")
    with pytest.raises(signing_in.RefusedError, match="run out"):
        await signing_in.by_second_factor(house.app.state.gateway, browser, session, codes[0])


async def test_an_address_that_is_blocked_keeps_nobody_else_waiting(house: House, visitor: Browser) -> None:
    """Its tries count against itself alone: or one that is blocked already could still lock accounts out."""
    house.conn.execute(
        "INSERT INTO sign_in_tries (subject, failures, tried_at, blocked_until)"
        " VALUES ('net:127.0.0.1/32', 25, statement_timestamp(), statement_timestamp() + interval '1 hour')"
    )
    assert (await visitor.sign_in(OWNER, "guess")).status_code == 429
    assert [row["subject"] for row in house.conn.execute("SELECT subject FROM sign_in_tries")] == ["net:127.0.0.1/32"]


async def test_the_second_factor_is_not_guessed_away_from_within(
    house: House, owner: Browser, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody with the password and a session that was left open: to take it off, codes are counted as at the door."""
    secret, _ = await _second_factor(house, db, OWNER)
    owner = await house.signed_in(OWNER)
    monkeypatch.setattr(signing_in.passwords, "verify", _yes)
    path = "/dashboard/account/second-factor/remove"
    said = [(await owner.post(path, password="x", code=f"{n:06}")).status_code for n in range(5)]
    assert house.held() == 5.0
    right = totp.code(secret, int(signing_in.time.time()) // totp.STEP)
    assert [*said, (await owner.post(path, password="x", code=right)).status_code] == [422] * 5 + [429]
    assert "Too many tries" in owner.text


async def _yes(_known: str | None, _password: str) -> bool:
    return True


async def test_what_strangers_write_is_text_on_every_page(house: House, till: Till, db: Connection) -> None:
    """Shoppers, receivers, merchants, users, processors: in every text that a page may show, at once."""
    paid, failed = await till.pay(notes={WORDS[:40]: WORDS}), await till.pay(settled=False)
    back = await till.refund(paid, 100, WORDS)
    (endpoint,) = [await add_endpoint(db, house.config, description=WORDS)]
    (sent,) = deliver(house.conn, endpoint, code=500)
    attempt(house.conn, sent, body=WORDS, error=WORDS, headers={WORDS: WORDS}, sent={"X-Ours": WORDS})
    await audit.note(db, MERCHANT.scope, Actor("usr_1", WORDS, WORDS), "refund.created", WORDS, **{WORDS: WORDS})
    for statement in (
        "UPDATE merchants SET name = %(it)s",
        "UPDATE users SET name = %(it)s",
        "UPDATE api_keys SET name = %(it)s, created_by = %(it)s",
        "UPDATE orders SET receipt = left(%(it)s, 40)",
        "UPDATE endpoints SET url = 'https://x.example/' || %(it)s",
        "UPDATE payments SET error_code = 'X', error_description = %(it)s, status = 'failed' WHERE id = %(failed)s",
    ):
        house.conn.execute(statement, {"it": WORDS, "failed": failed})
    owner = await house.signed_in(OWNER)
    operator = await house.signed_in(OPERATOR)
    house.conn.execute("UPDATE sessions SET user_agent = %s, address = %s", [WORDS, WORDS])
    here = "/dashboard/webhooks"
    plain = [path for method, path in ROUTES if method == "GET" and "{" not in path and "live" not in path]
    for browser, path in (
        *((owner, path) for path in plain if "/operator" not in path),
        *((operator, path) for path in plain if "/operator" in path),
        (owner, f"/dashboard/payments/{paid}"), (owner, f"/dashboard/payments/{failed}"),
        (owner, f"/dashboard/payments?q={back}"), (owner, f"/dashboard/payments/{paid}/refund"),
        (owner, f"{here}/{sent}"), (owner, f"{here}/endpoints/{endpoint}"), (owner, f"{here}?test={sent}"),
        (owner, f"/dashboard/events/evt_{sent[4:]}"),
    ):  # fmt: skip
        said = await browser.get(path)
        assert said.status_code in ({404} if path == "/login/link" else {200}), path
        assert "<script>alert" not in said.text, path
        assert "<img src=x" not in said.text, path
        assert "onerror=alert(2)>49" not in said.text, path
    assert html.unescape((await owner.get(f"{here}/{sent}")).text).count(WORDS) > 3, "it is there, as text"
