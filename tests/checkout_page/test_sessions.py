"""A page's token opens one order to one key for half an hour, and nothing else."""

from __future__ import annotations

import base64
import re
import time
from typing import Any

import msgspec
import psycopg
import pytest
from litestar import Request

from gateway import demo
from gateway.checkout import sessions
from gateway.checkout.app import make_app
from gateway.checkout.visitors import address
from gateway.config import Config
from gateway.errors import ForbiddenError
from gateway.merchants import add_key, add_merchant, revoke_key
from gateway.secrets import make_sealer
from kit import egress
from kit.seal import Sealer
from tests.checkout_page.conftest import COLLECT, Conn, Shop
from tests.gateway.conftest import side_by_side


def _old(config: Config, token: str, *, seconds: int, began: int = 0) -> str:
    """The token of the same session as it was some seconds ago, rightly signed."""
    sealer = make_sealer(config)
    session = sessions.read(sealer, token)
    real = time.time
    try:
        time.time = lambda: real() - seconds
        return sessions.issue(sealer, msgspec.structs.replace(session, began=session.began - began))
    finally:
        time.time = real


async def test_a_token_opens_its_own_order_and_no_other(shop: Shop) -> None:
    """What the page pays is in the token and not in the call: no body or address can name another."""
    shop.order("order_a", 100)
    shop.order("order_b", 200)
    page = await shop.open("order_a")

    refused = await page.try_to_pay({**COLLECT, "order_id": "order_b"})
    assert (refused.status_code, refused.json()["error"]["reason"]) == (400, "field_unknown")
    refused = await page.try_to_pay({**COLLECT, "amount": 1})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "amount")
    await page.pay()

    (payment,) = shop.payments()
    assert (payment["order_id"], payment["amount"]) == ("order_a", 100)


@pytest.mark.parametrize(
    "forgery", ["", "x", "x.y", "bGxs.test:00", "order", "signature", "cut", "long", "letters", "ciphers"]
)
async def test_a_forged_token_opens_nothing(shop: Shop, forgery: str) -> None:
    shop.order("order_a")
    shop.order("order_b")
    page = await shop.open("order_a")
    encoded, _, signature = page.token.partition(".")
    text = base64.urlsafe_b64decode(encoded + "==")
    other = base64.urlsafe_b64encode(text.replace(b"order_a", b"order_b")).decode().rstrip("=")
    changed = {
        "order": f"{other}.{signature}",
        "signature": f"{encoded}.{signature[:-1]}z",
        "cut": encoded,
        "long": "a" * 3000,
        "letters": f"{encoded}.{signature[:-1]}\u00e9",
        "ciphers": f"\u00e9.{signature}",
    }
    page.token = changed.get(forgery, forgery)

    for said in (await page.call("GET", "state"), await page.try_to_pay(), await page.call("POST", "session"),
                 await page.call("GET", "events")):  # fmt: skip
        assert (said.status_code, said.json()["error"]["reason"]) == (403, "session_invalid")
    assert shop.payments() == []


async def test_a_token_is_bound_to_the_sealing_keys(config: Config, shop: Shop) -> None:
    """One that another installation signed, or a fingerprint that was made for something else, is none of ours."""
    shop.order("order_a")
    page = await shop.open("order_a")
    session = sessions.read(make_sealer(config), page.token)
    page.token = sessions.issue(Sealer({"test": bytes(32)}), session)
    assert (await page.call("GET", "state")).status_code == 403

    text = msgspec.json.encode(session)
    page.token = base64.urlsafe_b64encode(text).decode().rstrip("=") + "." + make_sealer(config).fingerprint(text)
    assert (await page.call("GET", "state")).status_code == 403


def test_a_token_outlives_the_change_of_the_sealing_key_and_not_the_end_of_it() -> None:
    """A new key in front of the old one cuts nobody off; without the old one its tokens are nobody's."""
    old, new = bytes(32), bytes(31) + b"1"
    session = sessions.begin(key_id="key_a", merchant_id="mer_a", order_id="order_a", language="en")
    token = sessions.issue(Sealer({"old": old}), session)
    both = Sealer({"new": new, "old": old})
    assert sessions.read(both, token).id == session.id
    renewed = sessions.issue(both, sessions.read(both, token))
    assert sessions.read(Sealer({"new": new}), renewed).began == session.began
    for others in ({"new": new}, {"old": new}):
        with pytest.raises(ForbiddenError):
            sessions.read(Sealer(others), token)


async def test_a_token_runs_out_and_can_be_renewed_for_some_hours(config: Config, shop: Shop) -> None:
    shop.order("order_a")
    page = await shop.open("order_a")
    fresh = page.token

    page.token = _old(config, fresh, seconds=sessions.LIFE + 1)
    said = await page.call("GET", "state")
    assert (said.status_code, said.json()["error"]["reason"]) == (403, "session_expired")
    renewed = await page.call("POST", "session")
    assert renewed.status_code == 200
    assert (await page.state())["state"] == "ready"

    page.token = _old(config, fresh, seconds=sessions.LIFE + 1, began=sessions.LONGEST)
    said = await page.call("POST", "session")
    assert (said.status_code, said.json()["error"]["reason"]) == (403, "session_expired")


async def test_no_call_prolongs_a_session_beyond_its_hours(config: Config, shop: Shop) -> None:
    """Each answer brings a new token, but none that outlives the session: asking again and again is no way around."""
    page = await shop.open(shop.order("order_a"))
    fresh = page.token
    page.token = _old(config, fresh, seconds=0, began=sessions.LONGEST - 60)
    await page.state()
    session = sessions.read(make_sealer(config), page.token)
    assert session.expires == session.began + sessions.LONGEST
    page.token = _old(config, fresh, seconds=60, began=sessions.LONGEST)
    assert (await page.call("GET", "state")).json()["error"]["reason"] == "session_expired"


async def test_a_page_whose_key_was_revoked_can_do_nothing(config: Config, demo_merchant: str, conn: Conn) -> None:
    async with side_by_side(msgspec.structs.replace(config, credential_ttl=0), make_app) as made:
        shop = Shop(made.client, conn)
        shop.order("order_a")
        page = await shop.open("order_a")
        async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as db:
            await revoke_key(db, demo.MERCHANT_ID, demo.KEY_ID)

        said = await page.try_to_pay()
        assert (said.status_code, said.json()["error"]["reason"]) == (403, "session_invalid")
        assert (await shop.ask("order_a")).status_code == 404


async def test_wrong_keys_and_orders_are_one_and_the_same_page(config: Config, shop: Shop) -> None:
    """Who guesses learns nothing: unknown key, unknown order, another merchant's order, a key that may not pay."""
    shop.order("order_a")
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as db:
        stranger = await add_merchant(db, "Stranger")
        strange_key, _ = await add_key(db, stranger)
        reader, _ = await add_key(db, demo.MERCHANT_ID, scopes=["read"])

    answers = [
        await shop.ask(*asked)
        for asked in (
            ("order_a", "key_none"), ("order_none",), ("order_a", strange_key), ("order_a", reader), ("order_a", ""),
            ("", ), ("order a",), ("order_a\0",), ("order_a", "k" * 10_000), ("order_a", "key\0"),
        )
    ]  # fmt: skip
    assert {said.status_code for said in answers} == {404}
    assert len({re.sub(r'nonce="[^"]+"', "", said.text) for said in answers}) == 1
    assert "There is nothing to pay here" in answers[0].text


async def test_the_key_alone_reads_nothing_else_of_the_merchant(shop: Shop, api: Any) -> None:
    """The page shows amount, currency and the merchant's name: no notes, no receipt; and the API wants the secret."""
    said = await api.post("/orders", {"amount": 5000, "currency": "INR", "receipt": "r-77", "notes": {"who": "Zaphod"}})
    page = await shop.open(said.json()["id"])
    assert "r-77" not in page.html
    assert "Zaphod" not in page.html
    for path in ("/api/v1/orders", "/api/v1/payments"):
        assert (await api.client.get(path, headers={"X-Api-Key": demo.KEY_ID})).status_code == 401


async def test_another_site_s_page_may_not_call(shop: Shop) -> None:
    shop.order("order_a")
    page = await shop.open("order_a")
    for site in ("cross-site", "same-site", "none"):
        said = await page.call("POST", "pay", json=COLLECT, headers={"Idempotency-Key": "1", "Sec-Fetch-Site": site})
        assert (said.status_code, said.json()["error"]["reason"]) == (403, "origin_wrong")
    assert shop.payments() == []


async def test_guessing_is_slowed_down_by_address(config: Config, demo_merchant: str, conn: Conn) -> None:
    async with side_by_side(config, make_app) as made:
        shop = Shop(made.client, conn)
        shop.order("order_a")
        codes = [(await shop.ask("order_a", f"key_{n}")).status_code for n in range(130)]
        assert codes[:100] == [404] * 100
        assert 429 in codes
        assert (await shop.ask("order_a")).status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a stranger's word
        ("10.1.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),  # what the visitor wrote, and what our proxy saw
        ("10.1.0.1", "198.51.100.1, 10.2.0.7", "198.51.100.1"),  # through two of ours
        ("10.1.0.1", "", "10.1.0.1"),
        ("10.1.0.1", "nonsense", "10.1.0.1"),
        ("10.1.0.1", "192.0.2.66 | 198.51.100.1", "198.51.100.1"),  # a proxy that adds a header of its own
        ("10.1.0.1", "192.0.2.66, 10.9.9.9 | 198.51.100.1, 10.2.0.7", "198.51.100.1"),
        ("10.1.0.1", "198.51.100.1:4711", "198.51.100.1"),  # the port is another one each time
        ("10.1.0.1", "[2001:db8:1:2::7]:4711", "2001:db8:1:2::/64"),
        ("10.1.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "198.51.100.1", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "", "198.51.100.1"),
        ("::ffff:10.1.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.0.1", ", ,", "10.1.0.1"),
        ("testclient", "198.51.100.1", "testclient"),
    ],
)
def test_visitors_are_counted_by_the_last_address_before_our_proxies(peer: str, forwarded: str, counted: str) -> None:
    """An address is a household's: whoever has a network of 2^64 of them is counted once."""
    headers = [(b"x-forwarded-for", line.strip().encode()) for line in forwarded.split("|")]
    scope: Any = {"type": "http", "client": (peer, 1), "headers": headers}
    assert address(Request(scope), egress.networks("10.0.0.0/8")) == counted
