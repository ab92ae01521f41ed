"""What the attempts' log keeps of a request and its answer, and what it must not."""

from __future__ import annotations

import msgspec
import psycopg
import pytest
from aiohttp import web

from dispatcher.redaction import REDACTED, shown
from gateway import webhooks
from gateway.config import Config
from gateway.secrets import make_sealer
from kit.db import Connection
from outbox import endpoints
from tests.dispatcher.test_delivery import Conn, dispatching, receiving
from tests.support.paying import MERCHANT, pay
from tests.support.waiting import eventually

SECRETS = {
    "Set-Cookie": "session=TOPSECRET1",
    "WWW-Authenticate": "Bearer TOPSECRET2",
    "X-Auth-Token": "TOPSECRET3",
    "X-Api-Key": "TOPSECRET4",
    "X-CSRF-Token": "TOPSECRET5",
    "Authorization": "Basic TOPSECRET6",
}
PLAIN = {"Server": "shop/1", "X-Request-Id": "r-7", "Retry-After": "3"}


async def test_every_attempt_is_kept_with_times_headers_and_body_and_without_credentials(
    config: Config, db: Connection, conn: Conn
) -> None:
    """The endpoint's own headers, and what the receiver sets: names stay, values go; nothing of them is at rest."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["X-Shop-Token"] == "TOPSECRET0"
        return web.Response(status=500, text="x" * 20_000, headers=SECRETS | PLAIN)

    sealer = make_sealer(config)
    whose = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id}
    async with receiving(answer) as url:
        conn.execute("DELETE FROM endpoints")
        headers = {"X-Shop-Token": "TOPSECRET0"}
        await endpoints.add(db, sealer, url=url, headers=headers, retry_schedule=[0, 0], **whose)  # type: ignore[arg-type]
        await pay(db, config)
        async with dispatching(config):

            async def over() -> bool:
                return conn.execute("SELECT count(*) AS n FROM outbox").fetchone() == {"n": 0}

            await eventually(over, what="an empty outbox")

    (first, *_) = conn.execute("SELECT id FROM deliveries ORDER BY id").fetchall()
    found = await webhooks.get(db, MERCHANT, first["id"])
    assert (found.status, found.attempts, [one.number for one in found.history]) == ("failed", 2, [2, 1])
    for attempt in found.history:
        assert (attempt.response_code, attempt.error, attempt.response_body_truncated) == (500, None, True)
        assert attempt.response_body == "x" * 16_384
        assert attempt.request_headers["X-Shop-Token"] == REDACTED
        assert attempt.request_headers["webhook-id"] == found.event_id
        assert attempt.response_headers is not None
        answered = {name.lower(): value for name, value in attempt.response_headers.items()}
        assert {name: answered[name.lower()] for name in PLAIN} == PLAIN
        assert {answered[name.lower()] for name in SECRETS} == {REDACTED}
    for table in ("delivery_attempts", "deliveries", "endpoints"):
        rows = conn.execute(psycopg.sql.SQL("SELECT t::text AS row FROM {} t").format(psycopg.sql.Identifier(table)))
        assert not [row for row in rows if "TOPSECRET" in str(row["row"])]
    assert "TOPSECRET" not in msgspec.json.encode(found).decode()


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("set-cookie", True), ("SET-COOKIE2", True), ("Cookie", True), ("Proxy-Authenticate", True),
     ("Authentication-Info", True), ("X-Amz-Security-Token", True), ("ApiKey", True), ("X-Session-Id", True),
     ("Date", False), ("Content-Type", False), ("X-Author", False), ("Keep-Alive", False), ("ETag", False)],
)  # fmt: skip
def test_which_headers_are_credentials(name: str, *, hidden: bool) -> None:
    assert (shown(name, "value") == REDACTED) is hidden
