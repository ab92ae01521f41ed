"""API keys on their page: made with what one may give, shown once, known by their use, revoked; and the origins."""

from __future__ import annotations

import asyncio
import html
import re

import msgspec
import pytest

from gateway import demo, merchants, users
from gateway.merchants import hash_secret
from kit.db import Connection
from tests.dashboard.conftest import OWNER, Browser, House

HERE = "/dashboard/keys"
HX = {"hx-request": "true"}


def _secret(page: str) -> str | None:
    found = re.search(r'data-test-id="new-key-secret"><span class="copy"><code>([\w-]{43})</code>', page)
    return found[1] if found else None


def _once(browser: Browser) -> str:
    return re.findall(r'name="once" value="([^"]+)"', browser.page.text)[0]


async def _make(browser: Browser, **form: object) -> str:
    """A key made on the page; its secret."""
    await browser.get(HERE)
    filled = {"name": "Shop server", "scopes": ["read", "write"], "once": _once(browser)} | form
    await browser.post(HERE, **filled)
    secret = _secret(browser.page.text)
    assert secret, browser.text
    return secret


async def test_a_key_s_secret_is_shown_once_and_kept_nowhere(
    house: House, owner: Browser, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not on the next page, not in the database, not in the audit log, not in a log line."""
    secret = await _make(owner)
    assert owner.page.headers["cache-control"] == "no-store"
    (row,) = house.conn.execute("SELECT * FROM api_keys WHERE id <> %s", [demo.KEY_ID]).fetchall()
    assert row["secret_hash"] == hash_secret(secret)
    assert (row["name"], row["scopes"], row["created_by"]) == ("Shop server", ["read", "write"], OWNER)
    merchant = await house.app.state.gateway.credentials.check(row["id"], secret)
    assert (merchant.merchant_id, merchant.scopes) == (demo.MERCHANT_ID, {"read", "write"})

    for path in (HERE, "/dashboard/audit"):
        assert secret not in (await owner.get(path)).text
    for table in ("audit_log", "idempotency_keys", "api_keys", "sessions"):
        found = house.conn.execute(
            f"SELECT count(*) AS n FROM {table} t WHERE t::text LIKE '%%' || %s || '%%'", [secret]
        )
        assert found.fetchone() == {"n": 0}, table
    (noted,) = house.conn.execute("SELECT action, object, detail FROM audit_log").fetchall()
    assert (noted["action"], noted["object"]) == ("api_key.created", row["id"])
    assert msgspec.json.decode(noted["detail"]) == {"name": "Shop server", "scopes": "read write"}
    assert secret not in "".join(capfd.readouterr())


async def test_a_form_that_comes_twice_makes_one_key(house: House, owner: Browser) -> None:
    """Sent anew by a reload, or twice by an impatient finger: one key, whose secret is shown by one answer."""
    await owner.get(HERE)
    form = {"csrf": owner.csrf, "name": "Twice", "scopes": ["read"], "once": _once(owner)}
    said = await asyncio.gather(*(owner.client.post(HERE, data=form, follow_redirects=False) for _ in range(4)))
    assert sorted(one.status_code for one in said) == [200, 303, 303, 303]
    assert sum(_secret(one.text) is not None for one in said) == 1
    await owner.get(HERE)
    assert "made already" in owner.text
    assert owner.page.text.count('data-test-id="api-key"') == 2
    other = await owner.client.post(HERE, data=form | {"name": "Other"}, follow_redirects=True)
    assert (_secret(other.text), "sent before" in other.text) == (None, True)
    assert [action for _, action in house.audit()] == ["api_key.created"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "  ", "scopes": "read"}, "Say what it is for"),
        ({"name": "x", "scopes": []}, "Choose what it may do"),
        ({"name": "x", "scopes": "everything"}, "Choose one of these"),
        ({"name": "x" * 101, "scopes": "read"}, "At most 100 characters"),
    ],
)
async def test_what_cannot_be_a_key_is_told_beside_its_field(
    house: House, owner: Browser, form: dict[str, object], said: str
) -> None:
    await owner.get(HERE)
    assert (await owner.post(HERE, **form)).status_code == 422
    assert said in owner.text
    assert house.conn.execute("SELECT count(*) AS n FROM api_keys").fetchone() == {"n": 1}


async def test_there_is_a_most(house: House, owner: Browser, db: Connection) -> None:
    for _ in range(49):
        await merchants.add_key(db, demo.MERCHANT_ID)
    await owner.get(HERE)
    said = await owner.post(HERE, name="One more", scopes="read")
    assert (said.status_code, "at most 50 active API keys" in said.text) == (422, True)


async def test_a_revoked_key_opens_nothing_and_is_kept_in_the_list(house: House, owner: Browser) -> None:
    secret = await _make(owner, name="Old")
    key_id = re.findall(r'data-key-id="(key_\w+)"', owner.page.text)[0]
    credentials = house.app.state.gateway.credentials
    await credentials.check(key_id, secret)
    await credentials.tell()
    await owner.get(HERE)
    assert "It was used just now." in owner.text
    assert "It was not used yet." in owner.text
    for _ in range(2):
        await owner.post(f"{HERE}/{key_id}/revoke")
        assert "Old is revoked" in owner.text
    with pytest.raises(merchants.UnauthorizedError):
        await credentials.check(key_id, secret)
    assert 'data-test-id="revoked-key"' in owner.page.text
    assert "It is your only key." in owner.text
    assert [action for _, action in house.audit()] == ["api_key.created", "api_key.revoked"]


async def test_another_merchant_s_keys_are_not_there(house: House, owner: Browser, db: Connection) -> None:
    other = await merchants.add_merchant(db, "Another Shop")
    key_id, secret = await merchants.add_key(db, other, name="Theirs")
    await owner.get(HERE)
    assert key_id not in owner.page.text
    for wrong in (key_id, "key_none", "x" * 65, "%00", "a-b"):
        await owner.get(HERE)
        assert (await owner.post(f"{HERE}/{wrong}/revoke")).status_code == 404, wrong
    assert (await house.app.state.gateway.credentials.check(key_id, secret)).merchant_id == other
    assert house.audit() == []


async def test_a_viewer_sees_keys_and_no_button(viewer: Browser) -> None:
    await viewer.get(HERE)
    assert demo.KEY_ID in viewer.page.text
    main = viewer.page.text.partition("<main")[2].partition("</main")[0]
    assert "<form" not in main
    assert "Revoke" not in main


async def test_names_are_text(owner: Browser) -> None:
    nasty = "<img src=x onerror=alert(1)>\"'{{7*7}}"
    await _make(owner, name=nasty)
    for page in (owner.page.text, (await owner.get(HERE)).text, (await owner.get("/dashboard/audit")).text):
        assert "<img" not in page
        assert nasty in html.unescape(page)


async def test_htmx_gets_the_keys_alone(owner: Browser) -> None:
    await owner.get(HERE)
    headers = HX | {"hx-target": "keys", "x-csrf-token": owner.csrf}
    said = await owner.client.post(HERE, data={"name": "x", "scopes": "read", "once": "y"}, headers=headers)
    assert said.text.lstrip().startswith('<div id="keys"')
    assert _secret(said.text)


async def test_origins_are_kept_as_browsers_write_them(house: House, owner: Browser) -> None:
    await owner.get(HERE)
    await owner.post(
        f"{HERE}/origins", origins="HTTPS://Shop.Example:443/\n\n http://localhost:3002, https://shop.example"
    )
    assert "Saved." in owner.text
    assert "https://shop.example\nhttp://localhost:3002</textarea>" in owner.page.text
    row = house.conn.execute("SELECT checkout_origins FROM merchants WHERE id = %s", [demo.MERCHANT_ID]).fetchone()
    assert row == {"checkout_origins": ["https://shop.example", "http://localhost:3002"]}
    await owner.post(f"{HERE}/origins", origins="https://shop.example http://localhost:3002")
    assert house.audit() == [(OWNER, "checkout.origins_changed")], "nothing changed the second time"
    await owner.post(f"{HERE}/origins")
    assert "None yet" in owner.text


@pytest.mark.parametrize(
    "line", ["shop.example", "https://shop.example/cart", "https://*.example", "javascript:alert(1)", "<b>", "'self'"]
)
async def test_what_is_no_origin_stays_in_the_field_to_be_mended(house: House, owner: Browser, line: str) -> None:
    await owner.get(HERE)
    said = await owner.post(f"{HERE}/origins", origins=f"https://a.example\n{line}")
    assert said.status_code == 422
    assert f"“{line}” must be scheme, host and port" in owner.text
    assert f"https://a.example\n{line}</textarea>" in html.unescape(said.text)
    row = house.conn.execute("SELECT checkout_origins FROM merchants WHERE id = %s", [demo.MERCHANT_ID]).fetchone()
    assert row == {"checkout_origins": []}
    assert house.audit() == []


async def test_a_developer_makes_keys(house: House, db: Connection) -> None:
    user_id = await users.add(db, email="dev@ledgate.test", name="Dev")
    await users.grant(db, demo.MERCHANT_ID, user_id, "developer")
    await _make(await house.signed_in("dev@ledgate.test"))
    assert house.audit() == [("dev@ledgate.test", "api_key.created")]
