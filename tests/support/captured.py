"""Webhooks as a receiver got them from a real dispatcher, with the secrets that were in force."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from aiohttp import web
from psycopg.rows import dict_row

from gateway import demo, webhooks
from gateway.config import Config, load
from gateway.secrets import make_sealer
from gateway.signatures import Given
from gateway.trials import Known, KnownSecret
from gateway.webhooks import SendTest
from outbox import endpoints
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.support.paying import MERCHANT
from tests.support.server import fresh_database
from tests.support.waiting import eventually

DATA: dict[str, Any] = {
    "shop": "Bücher & Söhne, Zürich 😀",
    "url": "https://shop.example/orders/7",
    "notes": {},
    "total": 129900,
    "list": [1, 2],
    "a": None,
}
"""What no framework leaves as it is: letters, slashes, an empty object, keys out of order."""


class Webhook(NamedTuple):
    """A request as it came."""

    headers: dict[str, str]
    body: bytes

    def given(self, secret: str | None = None, body: bytes | None = None, **headers: str | None) -> Given:
        """What a receiver's check sees of it, with what it made of body and headers; None drops a header."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name not in changed}
        kept |= {name: value for name, value in changed.items() if value is not None}
        return Given(self.body if body is None else body, kept, secret)

    @property
    def sent_at(self) -> int:
        return int(self.headers["webhook-timestamp"])


class Captured(NamedTuple):
    """A merchant's webhooks over a rotation, and everything that the ledger knows."""

    config: Config
    plain: Webhook
    """Signed with `old`, when that was the only one."""
    other_event: Webhook
    rotating: Webhook
    """Signed with `new` and `old`."""
    rotated: Webhook
    """Signed with `new` alone."""
    old: str
    new: str
    endpoint_id: str
    elsewhere: Webhook
    """Of another endpoint, signed with `other`."""
    other: str

    def known(self, *, events: bool = True, rotated: bool = False) -> Known:
        """What the ledger knows before or after the rotation."""
        secrets = [KnownSecret(self.endpoint_id, self.old), KnownSecret("whep_other", self.other, own=False)]
        if rotated:
            until = datetime_of(self.rotated.sent_at)
            secrets = [KnownSecret(self.endpoint_id, self.new), secrets[0]._replace(until=until), secrets[1]]
        found = (self.plain, self.other_event, self.rotating, self.rotated, self.elsewhere)
        return Known(secrets, {one.headers["webhook-id"]: one.body for one in found} if events else {})


def datetime_of(seconds: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


@pytest.fixture(scope="module")
def captured() -> Iterator[Captured]:
    with fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url:
        yield asyncio.run(_capture(load({"DATABASE_URL": url, "TEST_MODE": "true"})))


async def _capture(config: Config) -> Captured:
    await demo.seed(config.database_url, config)
    got: dict[str, Webhook] = {}

    async def accept(request: web.Request) -> web.Response:
        lower = {name.lower(): value for name, value in request.headers.items()}
        got[lower["webhook-id"]] = Webhook(lower, await request.read())
        return web.Response()

    sealer = make_sealer(config)
    whose: dict[str, Any] = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id}
    async with (
        receiving(accept) as url,
        await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as db,
        dispatching(config),
    ):
        await db.execute("DELETE FROM endpoints")
        old = endpoints.new_secret()
        default = await endpoints.save_default(db, sealer, url=url, secret=old, **whose)
        another, other = await endpoints.add(db, sealer, url=url, **whose)

        async def send(endpoint_id: str) -> Webhook:
            sent = await webhooks.send_test(db, MERCHANT, SendTest(data=DATA, endpoint_id=endpoint_id))

            async def came() -> Webhook | None:
                return got.get(sent.event_id)

            return await eventually(came, what="the webhook")

        async def finished() -> bool:
            left = await (await db.execute("SELECT count(*) FROM outbox")).fetchone()
            return left == (0,)

        plain, second, elsewhere = await send(default.id), await send(default.id), await send(another)
        rotation = await endpoints.rotate_secret(db, sealer, None, overlap=86_400, **whose)
        assert rotation is not None
        rotating = await send(default.id)
        await db.execute("UPDATE endpoints SET previous_secret_expires_at = now() WHERE is_default")
        rotated = await send(default.id)
        await eventually(finished, what="all settled")
    new = rotation.webhook_secret
    return Captured(config, plain, second, rotating, rotated, old, new, default.id, elsewhere, other)


def look(config: Config) -> psycopg.Connection[dict[str, Any]]:
    """A connection to the module's database."""
    return psycopg.connect(config.database_url, autocommit=True, row_factory=dict_row)
