"""Nobody finds out at a checkout which of his stolen cards are good; in test mode there are none."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from gateway.checkout.app import make_app
from gateway.config import Config
from tests.checkout_page.conftest import BY_CARD, Conn, Page, Shop
from tests.gateway.conftest import side_by_side

WRONG = {"method": "upi", "vpa": "x"}
COLUMNS = (
    "bucket, merchant_id, order_id, amount, currency, method, card_brand, card_last4, status, error_code, created_at,"
    " updated_at"
)
FAILED = (
    "UPDATE payments SET status = 'failed', error_code = 'card_declined', sealed_instrument = NULL"
    " WHERE status = 'pending'"
)
DECLINED = {"method": "card", "card": {**BY_CARD["card"], "number": "4000000000009995"}}


@pytest.fixture(name="earnest")
def _earnest(config: Config) -> Config:
    """Outside of test mode, behind a proxy that every visitor comes through."""
    key = "a:" + base64.b64encode(bytes(32)).decode()
    return msgspec.structs.replace(config, test_mode=False, secret_keys=key, trusted_proxies="0.0.0.0/0")


@pytest.fixture(name="shop")
async def _shop(earnest: Config, demo_merchant: str, conn: Conn) -> AsyncIterator[Shop]:
    async with side_by_side(earnest, make_app) as made:
        yield Shop(made.client, conn)


async def _try(page: Page, body: object = WRONG, *, attempt: int = 1, whence: str = "198.51.100.1") -> httpx.Response:
    headers = {"Idempotency-Key": str(attempt), "X-Forwarded-For": whence}
    return await page.call("POST", "pay", json=body, headers=headers)


async def test_an_address_has_so_many_tries_at_an_order(shop: Shop) -> None:
    page = await shop.open("order_test_123")
    codes = [(await _try(page, attempt=n)).status_code for n in range(25)]
    assert codes[:20] == [400] * 20
    assert 429 in codes
    assert (await _try(page, whence="198.51.100.2")).status_code == 400


async def test_an_address_has_so_many_tries_however_many_orders_it_has(shop: Shop) -> None:
    pages = [await shop.open(shop.order(f"order_{n}")) for n in range(8)]
    codes = [(await _try(page, attempt=n)).status_code for page in pages for n in range(15)]
    assert codes[:100] == [400] * 100
    assert 429 in codes


@pytest.mark.parametrize(("reusable", "most"), [(False, 20), (True, 100)])
async def test_an_order_has_so_many_declined_cards_from_wherever(
    shop: Shop, conn: Conn, *, reusable: bool, most: int
) -> None:
    """Counted in the database: for all addresses and processes, also after a restart. Other ways to pay stay open, and
    so does the card, once those are an hour ago or less than half of what is tried."""
    order = shop.order("order_a", reusable=reusable)
    page = await shop.open(order)
    assert (await _try(page, DECLINED)).status_code == 200
    conn.execute(FAILED)
    conn.execute(
        f"INSERT INTO payments (id, {COLUMNS}) SELECT id || n, {COLUMNS} FROM payments, generate_series(1, %s) AS n",
        [most - 2],
    )
    assert (await _try(page, DECLINED, attempt=2, whence="203.0.113.1")).status_code == 200
    conn.execute(FAILED)

    said = await _try(await shop.open(order), BY_CARD, whence="203.0.113.2")
    assert (said.status_code, said.json()["error"]["reason"]) == (429, "rate_limited")
    assert int(said.headers["retry-after"]) >= 60
    assert (await _try(await shop.open(order), WRONG)).status_code == 400
    assert len(shop.payments()) == most

    conn.execute("UPDATE payments SET created_at = created_at - interval '1 hour'")
    assert (await _try(await shop.open(order), BY_CARD, whence="203.0.113.3")).status_code == 200
