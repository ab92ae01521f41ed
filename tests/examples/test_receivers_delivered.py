"""Both receivers of the kit behind a real dispatcher: what they hold in the end is what the API shows."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import psycopg

from gateway import demo
from gateway.config import Config
from gateway.secrets import make_sealer
from kit.db import Connection
from outbox import endpoints
from schema.invariants import broken
from tests.dispatcher.test_delivery import dispatching
from tests.gateway.conftest import UPI, Api, api
from tests.support.npm import Installed, installed
from tests.support.paying import MERCHANT
from tests.support.receivers import LANGUAGES, Receiver, shop_database
from tests.support.waiting import eventually

__all__ = ["api", "installed"]
Conn = psycopg.Connection[dict[str, Any]]
SECRETS = (demo.WEBHOOK_SECRET, endpoints.new_secret())
"""The demo's, which is no base64, and one that Ledgate made: each receiver has one of the two kinds."""


async def test_what_they_hold_is_what_the_api_shows(
    api: Api, config: Config, db: Connection, conn: Conn, installed: Installed, tmp_path: Path
) -> None:
    """Orders paid, tried in vain, captured and refunded, while both are killed and started again; then all deliveries
    once more by hand: the same state, and each success shipped once."""
    conn.execute("DELETE FROM endpoints")
    with contextlib.ExitStack() as stack:
        shops = [stack.enter_context(shop_database()) for _ in LANGUAGES]
        both = [
            Receiver(language, installed, shop.url, tmp_path, secret)
            for language, shop, secret in zip(LANGUAGES, shops, SECRETS, strict=True)
        ]
        for one in both:
            stack.callback(one.kill)
            one.start()
            await _add_endpoint(db, config, one)
        async with dispatching(config):
            made = await asyncio.gather(*(_buy(api, n) for n in range(12)))
            for one in both:
                one.kill()
            after = await asyncio.gather(*(_refund(api, payment) for payment in made[::2]))
            for one in both:
                one.start()
            await eventually(lambda: _quiet(conn), within=60, what="an empty outbox")
            again = [row["id"] for row in conn.execute("SELECT id FROM deliveries")]
            for delivery in again[::3]:
                assert (await api.post(f"/webhooks/{delivery}/retry", {})).status_code == 200
            await eventually(lambda: _quiet(conn), within=60, what="an empty outbox")

        assert conn.execute("SELECT DISTINCT status FROM deliveries").fetchall() == [{"status": "success"}]
        told = conn.execute("SELECT FROM events").rowcount
        shown = {payment: (await api.get(f"/payments/{payment}")).json() for payment in made}
        refunds = {refund: (await api.get(f"/refunds/{refund}")).json() for refund in after}
        ids = [row["id"] for row in conn.execute("SELECT id FROM orders WHERE status = 'paid'")]
        paid = {order: (await api.get(f"/orders/{order}")).json() for order in ids}
        for shop in shops:
            shop.await_done(told)
            held = shop.objects("payment")
            # A refund changes its payment and tells of the refund: of those that have one, the last told state is held.
            assert {name: one for name, one in held.items() if name not in made[::2]} == {
                name: one for name, one in shown.items() if name not in made[::2]
            }
            assert held == {row["subject_id"]: row["payment"] for row in conn.execute(_NEWEST)}
            assert shop.objects("refund") == refunds
            assert shop.objects("order") == paid
            assert shop.shipped() == sorted(name for name, one in shown.items() if one["status"] == "success")
    assert len(paid) == 9
    assert len(refunds) == 6
    assert broken(conn) == {}


_NEWEST = """
    SELECT DISTINCT ON (subject_id) subject_id, body::json #> '{data,payment}' AS payment
    FROM events WHERE type LIKE 'payment.%'
    ORDER BY subject_id, (body::json #>> '{data,payment,version}')::bigint DESC"""


async def _add_endpoint(db: Connection, config: Config, receiver: Receiver) -> None:
    """With retries at once and then every second, so that a restart is waited for."""
    await endpoints.add(
        db,
        make_sealer(config),
        bucket=MERCHANT.bucket,
        merchant_id=MERCHANT.merchant_id,
        url=receiver.url,
        secret=receiver.secret,
        retry_schedule=[0, 0, *[1] * 15],
    )


async def _buy(api: Api, n: int) -> str:
    """A payment of an order of its own: every fourth fails, every other one is captured."""
    vpa = "failure@psp" if n % 4 == 3 else "success@psp"
    request = UPI | {"order_id": f"cart-{n}", "amount": 5_000 + n, "currency": "INR", "vpa": vpa}
    payment: str = (await api.post("/payments", request)).json()["id"]

    async def ended() -> bool:
        return (await api.get(f"/payments/{payment}")).json()["status"] != "pending"

    await eventually(ended, what="an end")
    if n % 2 == 0:
        assert (await api.post(f"/payments/{payment}/capture", {})).status_code == 200
    return payment


async def _refund(api: Api, payment: str) -> str:
    """Part of it."""
    said = await api.post(f"/payments/{payment}/refunds", {"amount": 7})
    return str(said.json()["id"])


async def _quiet(conn: Conn) -> bool:
    return conn.execute("SELECT FROM outbox").rowcount == 0
