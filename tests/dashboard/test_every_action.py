"""Every form there is: what it does is noted, who, what and from where, and no secret; of others' things, 404."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from dashboard import pages
from dashboard.pages import webhooks
from gateway import demo, merchants, passwords, totp, users
from kit import ids
from kit.db import Connection
from tests.dashboard.conftest import OPERATOR, OWNER, Browser, House
from tests.dashboard.hooks import another, default_endpoint, deliver
from tests.dashboard.paying import Till

POSTS = {path for one in pages.handlers() for path in one.paths if "POST" in one.http_methods}
CHANGE_NOTHING = {
    "/theme": "a cookie of the browser",
    "/dashboard/webhooks/{delivery_id:str}/verify": "reads",
    "/dashboard/account/second-factor": "counts from the first right code on, which is noted",
}
FIRST = "four plain words together"
SECOND = "five other words in a row"
HEADER = "Bearer our-own-token"


class Clerk:
    """Does one thing after another, and looks into the audit log after each."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.done: set[str] = set()
        self.secrets: set[str] = {demo.PASSWORD, FIRST, SECOND, HEADER}

    async def does(self, who: Browser, actor: str, path: str, /, *actions: str, at: str = "", **form: Any) -> str:
        """Send the form from the page `at`; the answer, and where it leads."""
        await who.get(at or "/dashboard/account")
        before = self._log()
        said = await who.client.post(path, data={"csrf": who.csrf, **form})
        assert said.status_code in {200, 303}, (path, said.status_code)
        self.done |= {one for one in POSTS if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", one), path)}
        new = self._log()[len(before) :]
        assert [row["action"] for row in new] == list(actions), path
        assert {(row["actor"], row["address"]) for row in new} == {(actor, "127.0.0.1")}, path
        assert all(row["object"] for row in new), path
        return html.unescape(said.text) + said.headers.get("location", "")

    def tell(self, text: str, pattern: str) -> str:
        """A secret that a page shows once."""
        found = re.search(pattern, text)
        assert found, pattern
        self.secrets.add(found[1])
        return found[1]

    def _log(self) -> list[dict[str, Any]]:
        return self.house.conn.execute("SELECT * FROM audit_log ORDER BY id").fetchall()


async def test_every_action_is_noted_and_no_secret_is(
    house: House, owner: Browser, till: Till, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "verify", _yes)
    monkeypatch.setattr(passwords, "make", _hash)
    monkeypatch.setattr(webhooks, "PATIENCE", 0.0)  # nobody delivers here
    clerk = Clerk(house)
    with capture_logs() as logs:
        await _money(clerk, owner, till)
        await _webhooks(clerk, owner)
        await _keys(clerk, owner)
        await _people(clerk, owner, db)
        await _account(clerk, owner)
        await _entrance(clerk, db)
        await _operators(clerk)
    assert POSTS - clerk.done == set(CHANGE_NOTHING)
    kept = json.dumps(clerk._log(), default=str) + json.dumps(logs, default=str)
    assert [one for one in logs if one["event"] == "request.served"], "lines are seen"
    for secret in clerk.secrets:
        assert secret not in kept
        assert json.dumps(secret)[1:-1] not in kept


async def _money(clerk: Clerk, owner: Browser, till: Till) -> None:
    paid = await till.pay()
    where = f"/dashboard/payments/{paid}"
    sure = {"step": "do", "key": "dashboard-1", "amount": "100"}
    await clerk.does(owner, OWNER, f"{where}/refund", "refund.created", **sure)
    await clerk.does(owner, OWNER, f"{where}/capture", "payment.captured", **sure | {"key": "dashboard-2"})


async def _webhooks(clerk: Clerk, owner: Browser) -> None:
    here = "/dashboard/webhooks"
    said = await clerk.does(
        owner, OWNER, f"{here}/endpoints", "endpoint.created",
        url="http://127.0.0.1:1999/x", events="*", headers=f"Authorization: {HEADER}", key="k",
    )  # fmt: skip
    endpoint = re.search(r"whep_\w+", said)
    assert endpoint
    one = f"{here}/endpoints/{endpoint[0]}"
    await clerk.does(owner, OWNER, one, "endpoint.changed", url="http://127.0.0.1:1999/y", events="*")
    for path, pattern in (("/secret", "endpoint.secret_shown"), ("/secret/regenerate", "endpoint.secret_regenerated")):
        clerk.tell(await clerk.does(owner, OWNER, one + path, pattern), r'data-copy="(whsec_[^"]+)"')
    await clerk.does(owner, OWNER, f"{one}/test", "endpoint.tested", event="webhook.test")
    await clerk.does(owner, OWNER, f"{one}/disable", "endpoint.disabled")
    await clerk.does(owner, OWNER, f"{one}/enable", "endpoint.enabled")
    await clerk.does(owner, OWNER, f"{one}/delete", "endpoint.deleted")
    await clerk.does(owner, OWNER, f"{here}/config", "endpoint.changed", webhook_url="http://127.0.0.1:1999/hook")
    sent = deliver(clerk.house.conn, default_endpoint(clerk.house.conn), 2)
    await clerk.does(owner, OWNER, f"{here}/{sent[0]}/retry", "delivery.retried", next=here)
    await clerk.does(owner, OWNER, f"{here}/retry", "delivery.retried", id=sent[1])
    began = {"since": "2026-01-01", "until": "", "key": "k"}
    said = await clerk.does(owner, OWNER, f"{here}/recoveries", "recovery.started", **began)
    job = re.search(r"rcv_\w+", said)
    assert job
    for verb, action in (("pause", "paused"), ("resume", "resumed"), ("cancel", "cancelled")):
        await clerk.does(owner, OWNER, f"{here}/recoveries/{job[0]}/{verb}", f"recovery.{action}")


async def _keys(clerk: Clerk, owner: Browser) -> None:
    here = "/dashboard/keys"
    said = await clerk.does(owner, OWNER, here, "api_key.created", name="Till", scopes="read", once="1")
    clerk.tell(said, r'data-copy="([\w-]{43})"')
    key = re.search(r"key_0\w+", said)
    assert key
    await clerk.does(owner, OWNER, f"{here}/{key[0]}/revoke", "api_key.revoked")
    await clerk.does(owner, OWNER, f"{here}/origins", "checkout.origins_changed", origins="https://shop.example")


async def _people(clerk: Clerk, owner: Browser, db: Connection) -> None:
    here = "/dashboard/team"
    said = await clerk.does(owner, OWNER, here, "user.invited", email="new@ledgate.test", role="viewer")
    clerk.tell(said, r"token=([\w-]+)")
    new = await users.find(db, "new@ledgate.test")
    assert new
    await clerk.does(owner, OWNER, f"{here}/{new.id}/role", "user.role_changed", role="developer")
    token = clerk.tell(await clerk.does(owner, OWNER, f"{here}/{new.id}/link", "user.invited"), r"token=([\w-]+)")
    at, form = f"/login/link?token={token}", {"token": token, "password": FIRST}
    guest = clerk.house.browser()
    await clerk.does(guest, new.email, "/login/link", "session.began", at=at, **form)
    await clerk.does(owner, OWNER, f"{here}/{new.id}/remove", "user.removed")
    shop = await merchants.add_merchant(db, "Another Shop")
    user = await users.find(db, OWNER)
    assert user
    await users.grant(db, shop, user.id, "owner")
    await clerk.does(owner, OWNER, "/dashboard/merchant", "session.turned", merchant_id=shop)
    await clerk.does(owner, OWNER, "/dashboard/merchant", "session.turned", merchant_id=demo.MERCHANT_ID)


async def _account(clerk: Clerk, owner: Browser) -> None:
    here = "/dashboard/account"
    await clerk.does(owner, OWNER, f"{here}/name", "user.renamed", name="Asha R.")
    await clerk.house.signed_in(OWNER)
    await owner.get(here)
    other = re.search(rf"{here}/sessions/(ses_\w+)/end", owner.page.text)
    assert other
    await clerk.does(owner, OWNER, f"{here}/sessions/{other[1]}/end", "session.ended")
    await clerk.does(owner, OWNER, f"{here}/sessions/end", "session.others_ended")
    await clerk.does(owner, OWNER, f"{here}/password", "user.password_changed", password=FIRST, new_password=SECOND)
    await owner.get(here)
    await owner.post(f"{here}/second-factor", password=SECOND)
    shown = clerk.tell(owner.page.text, r'"totp-secret">([A-Z2-7 ]{39})<')
    secret = base64.b32decode(shown.replace(" ", ""))
    code = totp.code(secret, int(time.time()) // totp.STEP)
    said = await clerk.does(owner, OWNER, f"{here}/second-factor/prove", "user.second_factor_added", code=code)
    clerk.secrets |= set(re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", said))
    said = await clerk.does(
        owner, OWNER, f"{here}/second-factor/recovery-codes", "user.recovery_codes_made", password=SECOND
    )
    codes = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", said)
    clerk.secrets |= set(codes)
    half = clerk.house.browser()
    await half.get("/login")
    await half.post("/login", email=OWNER, password=SECOND)
    await clerk.does(half, OWNER, "/login/code", "session.began", at="/login/code", code=codes[0])
    gone = "user.second_factor_removed"
    await clerk.does(owner, OWNER, f"{here}/second-factor/remove", gone, password=SECOND, code=codes[1])
    await clerk.does(owner, OWNER, "/logout", "session.ended")


async def _entrance(clerk: Clerk, db: Connection) -> None:
    guest = clerk.house.browser()
    await clerk.does(guest, OWNER, "/login", "session.began", at="/login", email=OWNER, password=SECOND)
    corner = await merchants.add_merchant(db, "Corner Shop")
    key, secret = await merchants.add_key(db, corner)
    clerk.secrets.add(secret)
    first = clerk.house.browser()
    came = {"key_id": key, "secret": secret}
    await clerk.does(first, f"API key {key}", "/login/key", "sign_in.by_key", at="/login/key", **came)
    made = {"name": "Meera", "email": "m@shop.test", "password": FIRST}
    await clerk.does(first, "m@shop.test", "/login/setup", "user.created", "session.began", at="/login/setup", **made)


async def _operators(clerk: Clerk) -> None:
    operator = await clerk.house.signed_in(OPERATOR)
    here = "/dashboard/operator"
    await clerk.does(operator, OPERATOR, f"{here}/merchants/{demo.MERCHANT_ID}/look", "session.turned")
    await clerk.does(operator, OPERATOR, f"{here}/leave", "session.left")


async def test_another_merchant_s_ids_are_404_on_every_route(house: House, owner: Browser, db: Connection) -> None:
    """In paths, by GET and POST, pages and streams; nothing is changed, nothing noted."""
    theirs = await _theirs(house, db)
    await owner.get("/dashboard/account")
    before = _state(house)
    asked = 0
    for one in pages.handlers():
        for path in one.paths:
            for name, wanted in theirs.items():
                if f"{{{name}:str}}" not in path or "/operator" in path:
                    continue
                asked += 1
                where = path.replace(f"{{{name}:str}}", wanted)
                if "GET" in one.http_methods:
                    said = await owner.client.get(where)
                else:
                    form = {"csrf": owner.csrf} | FORMS.get(path, {})
                    said = await owner.client.post(where, data=form)
                assert said.status_code == 404, (one.http_methods, path)
    assert asked > 25
    assert _state(house) == before
    assert house.audit() == []


async def test_another_merchant_s_ids_are_nothing_in_queries(house: House, owner: Browser, db: Connection) -> None:
    """As filters, cursors, searches, in what a page watches: as if there were no such thing."""
    theirs = await _theirs(house, db)
    for path in (
        "/dashboard/webhooks?endpoint={endpoint_id}",
        "/dashboard/webhooks?payment={payment_id}",
        "/dashboard/webhooks?after={delivery_id}",
        "/dashboard/webhooks?test={delivery_id}",
        "/dashboard/events?about={payment_id}",
        "/dashboard/events?before={event_id}",
        "/dashboard/payments?q={payment_id}",
        "/dashboard/payments?order=order_theirs",
        "/dashboard/payments?q=theirs%40okaxis",
        "/dashboard/payments?after={payment_id}",
        "/dashboard/payments/news?waiting={payment_id}&newest={payment_id}",
        "/dashboard/webhooks/recoveries?before={recovery_id}",
        "/dashboard/docs?key={key_id}",
        "/dashboard/audit?user={user_id}",
    ):
        said = await owner.get(path.format(**theirs))
        assert said.status_code in {200, 400, 404}, path
        assert "Another Shop" not in owner.text
        assert "theirs.example" not in owner.text
        assert not [one for one in theirs.values() if f'/{one}"' in said.text], path


FORMS: dict[str, dict[str, str]] = {
    "/dashboard/webhooks/endpoints/{endpoint_id:str}": {"url": "https://x.example/", "events": "*"},
    "/dashboard/team/{user_id:str}/role": {"role": "viewer"},
    "/dashboard/payments/{payment_id:str}/refund": {"amount": "1", "step": "do", "key": "dashboard-x"},
    "/dashboard/payments/{payment_id:str}/capture": {"amount": "1", "step": "do", "key": "dashboard-x"},
}


async def _theirs(house: House, db: Connection) -> dict[str, str]:
    """One of everything that another merchant may have, by the names that paths give them."""
    made = await another(db, house.config, house.conn)
    row = house.conn.execute("SELECT merchant_id FROM endpoints WHERE id = %s", [made.endpoint]).fetchone()
    assert row
    shop = row["merchant_id"]
    key, _ = await merchants.add_key(db, shop)
    user = await users.add(db, email="s@other.test", name="Stranger")
    await users.grant(db, shop, user, "owner")
    await house.signed_in("s@other.test")
    session = house.conn.execute("SELECT id FROM sessions WHERE user_id = %s", [user]).fetchone()
    assert session
    paid = ids.new("pay")
    house.conn.execute(
        "INSERT INTO orders (bucket, merchant_id, id, amount, currency, created_at, updated_at)"
        " VALUES (%(b)s, %(m)s, 'order_theirs', 100, 'INR', now(), now())",
        {"b": merchants.bucket_of(shop), "m": shop},
    )
    house.conn.execute(
        "INSERT INTO payments (bucket, merchant_id, id, order_id, amount, currency, method, vpa, status, created_at,"
        " updated_at) VALUES (%s, %s, %s, 'order_theirs', 100, 'INR', 'upi', 'theirs@okaxis', 'success', now(), now())",
        [merchants.bucket_of(shop), shop, paid],
    )
    return {
        "endpoint_id": made.endpoint, "delivery_id": made.delivery, "recovery_id": made.recovery, "key_id": key,
        "event_id": f"evt_{made.delivery[4:]}", "user_id": user, "session_id": session["id"], "payment_id": paid,
    }  # fmt: skip


def _state(house: House) -> dict[str, Any]:
    tables = ("endpoints", "outbox", "recoveries", "api_keys", "memberships", "payments", "refunds", "password_links")
    return {one: house.conn.execute(f"SELECT * FROM {one} ORDER BY 1, 2, 3").fetchall() for one in tables}


async def _yes(_known: str | None, _password: str) -> bool:
    return True


async def _hash(_password: str) -> str:
    return demo._PASSWORD_HASH
