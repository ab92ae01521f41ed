"""What receivers are told to verify with verifies: the public libraries of both languages, over real deliveries."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp.test_utils
import msgspec
import psycopg
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from svix.webhooks import Webhook as SvixWebhook

from gateway import demo
from gateway.config import Config
from outbox.endpoints import new_secret
from tests.dispatcher.test_delivery import dispatching
from tests.gateway.conftest import UPI, Api, side_by_side
from tests.support.clock import Clock
from tests.support.npm import Installed, installed
from tests.support.processes import ROOT
from tests.support.tools import run_node
from tests.support.waiting import eventually

__all__ = ["installed"]
Conn = psycopg.Connection[dict[str, Any]]

VERIFY = """
const crypto = require("crypto");
const libraries = { standardwebhooks: require("standardwebhooks").Webhook, svix: require("svix").Webhook };
const outcome = (verify) => { try { verify(); return "ok"; } catch (error) { return error.message; } };
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(given.map(({ secret, options, headers, body }) => {
  const said = {};
  for (const [name, Webhook] of Object.entries(libraries))
    said[name] = outcome(() => new Webhook(secret, options ?? undefined).verify(body, headers));
  const hex = crypto.createHmac("sha256", secret).update(JSON.stringify(JSON.parse(body))).digest("hex");
  said.plain = hex === headers["x-webhook-signature"] ? "ok" : "other";
  return said;
})));
"""
ALL_OK = {"python standardwebhooks": "ok", "python svix": "ok", "standardwebhooks": "ok", "svix": "ok"}
NONE = "No matching signature found"
ALL_REFUSE = dict.fromkeys(ALL_OK, NONE)


class Came(NamedTuple):
    """A request as it came."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """Keeps raw headers and bytes, and answers 200."""

    def __init__(self) -> None:
        self.url = ""
        self.came: list[Came] = []

    async def take(self, request: web.Request) -> web.Response:
        self.came.append(
            Came({name.decode().lower(): value.decode() for name, value in request.raw_headers}, await request.read())
        )
        return web.Response()

    async def after(self, start: int, count: int) -> list[Came]:
        """What came after the first `start`, as soon as it is that many."""

        async def there() -> bool:
            return len(self.came) >= start + count

        await eventually(there, within=30, what=f"{start + count} webhooks; there are {len(self.came)}")
        return self.came[start:]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/{rest:.*}", made.take)
    server = aiohttp.test_utils.TestServer(app)
    await server.start_server()
    made.url = str(server.make_url("/hook"))
    yield made
    await server.close()


class Judge:
    """Asks every library about every request."""

    def __init__(self, packages: Path) -> None:
        self._packages = packages

    def __call__(self, came: Sequence[Came], secret: str, *, raw: bool = False) -> list[dict[str, str]]:
        """Library -> `ok` or its error, for each request; `raw`: the secret is given as bytes, not as base64."""
        given = [
            {"secret": secret, "options": {"format": "raw"} if raw else None, "headers": one.headers,
             "body": one.body.decode()} for one in came
        ]  # fmt: skip
        node = msgspec.json.decode(run_node(VERIFY, msgspec.json.encode(given), cwd=self._packages))
        key = secret.encode() if raw else secret
        python = [
            {
                "python standardwebhooks": _outcome(Webhook(key), one),
                "python svix": _outcome(SvixWebhook(key), one),
            }
            for one in came
        ]
        return [mine | theirs for mine, theirs in zip(python, node, strict=True)]


def _outcome(webhook: Webhook | SvixWebhook, one: Came) -> str:
    try:
        webhook.verify(one.body, one.headers)
    except (WebhookVerificationError, ValueError) as error:
        return str(error)
    return "ok"


@pytest.fixture
def judge(installed: Installed) -> Judge:
    return Judge(installed(ROOT / "tests/node"))


def test_all_of_them_sign_the_contract_s_vector_as_we_do(installed: Installed) -> None:
    """`tests/kit/test_signing.py` holds our own signature to it."""
    secret, webhook_id, at = "whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", 1731705121
    body = '{"event_type":"ping","data":{"success":true}}'
    script = """
        const [secret, id, at, body] = JSON.parse(require("fs").readFileSync(0, "utf8"));
        const sign = ({ Webhook }) => new Webhook(secret).sign(id, new Date(at * 1000), body);
        console.log(JSON.stringify([sign(require("standardwebhooks")), sign(require("svix"))]));"""
    given = msgspec.json.encode([secret, webhook_id, at, body])
    said = msgspec.json.decode(run_node(script, given, cwd=installed(ROOT / "tests/node")))
    when = datetime.fromtimestamp(at, UTC)
    said += [library(secret).sign(webhook_id, when, body) for library in (Webhook, SvixWebhook)]
    assert said == ["v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="] * 4


async def _endpoint(api: Api, url: str) -> tuple[str, str]:
    """A new endpoint; its id and its secret."""
    made = (await api.post("/webhook-endpoints", {"url": url, "events": ["*"]})).json()
    return made["id"], made["webhook_secret"]


async def _pay(api: Api) -> None:
    assert (await api.post("/payments", UPI | {"notes": {"2": "\u2028é", "1": "</script>😀"}})).status_code == 201


async def _all_settled(conn: Conn) -> bool:
    return conn.execute("SELECT FROM outbox").rowcount == 0


async def test_public_libraries_verify_through_a_rotation_and_after_it(
    config: Config, demo_merchant: str, conn: Conn, receiver: Receiver, judge: Judge
) -> None:
    """Before it the one secret, while the overlap lasts either, once it is over the new one alone; in all four."""
    clock = Clock(config.database_url)
    conn.execute("DELETE FROM endpoints")
    async with side_by_side(config) as api, dispatching(config):
        endpoint, first = await _endpoint(api, receiver.url)
        await _pay(api)
        before = await receiver.after(0, 3)
        turned = await api.post(f"/webhook-endpoints/{endpoint}/secret/regenerate", {"overlap_seconds": 3600})
        second = turned.json()["webhook_secret"]
        await _pay(api)
        during = await receiver.after(3, 3)
        await eventually(lambda: _all_settled(conn), what="no delivery that would lose its lease")
        clock.move(hours=1, seconds=1)
        await _pay(api)
        after = await receiver.after(6, 3)

    said = await asyncio.to_thread(lambda: {name: judge(receiver.came, name) for name in (first, second, new_secret())})
    by_first, by_second, by_other = said.values()
    ok, plain, old = ALL_OK | {"plain": "ok"}, ALL_REFUSE | {"plain": "other"}, ALL_OK | {"plain": "other"}
    assert by_first == [ok] * 3 + [old] * 3 + [plain] * 3, "the older header has room for one: the new secret's"
    assert by_second == [plain] * 3 + [ok] * 6
    assert by_other == [plain] * 9
    entries = [len(one.headers["webhook-signature"].split(" ")) for one in (*before, *during, *after)]
    assert entries == [1] * 3 + [2] * 3 + [1] * 3
    assert len({one.headers["webhook-id"] for one in receiver.came}) == 9


async def test_the_demo_s_secret_signs_with_its_text_and_libraries_must_be_told_so(
    config: Config, demo_merchant: str, conn: Conn, receiver: Receiver, judge: Judge
) -> None:
    """`whsec_test_abc123` is no base64. Given as it is, Python's libraries leave out what is none and hold another key
    (7 bytes), npm's refuse the secret; given as bytes (Python) or `{ format: "raw" }` (npm), all verify."""
    conn.execute("UPDATE endpoints SET url = %s", [receiver.url])
    async with side_by_side(config) as api, dispatching(config):
        await _pay(api)
        came = await receiver.after(0, 3)

    def ask(*, raw: bool) -> list[dict[str, str]]:
        return judge(came, demo.WEBHOOK_SECRET, raw=raw)

    assert await asyncio.to_thread(ask, raw=True) == [ALL_OK | {"plain": "ok"}] * 3
    refused = "Base64Coder: incorrect characters for decoding"
    assert await asyncio.to_thread(ask, raw=False) == [
        {
            "python standardwebhooks": NONE,
            "python svix": NONE,
            "standardwebhooks": refused,
            "svix": refused,
            "plain": "ok",
        }
    ] * 3  # fmt: skip
    assert len(Webhook(demo.WEBHOOK_SECRET)._whsecret) == 7


async def test_a_delivery_signs_on_while_the_sealing_keys_turn(
    config: Config, conn: Conn, receiver: Receiver, judge: Judge
) -> None:
    """`LEDGATE_SECRET_KEYS` gets a new first key: what the old one sealed still signs, and it seals what is new."""
    one, two = (f"{name}:{base64.b64encode(os.urandom(32)).decode()}" for name in ("2025", "2026"))
    old = msgspec.structs.replace(config, secret_keys=one)
    await demo.seed(config.database_url, old)
    conn.execute("DELETE FROM endpoints")
    async with side_by_side(old) as api, dispatching(old):
        kept, secret = await _endpoint(api, receiver.url)
        await _pay(api)
        await receiver.after(0, 3)

    both = msgspec.structs.replace(config, secret_keys=f"{two},{one}")
    async with side_by_side(both) as api, dispatching(both):
        await _pay(api)
        await receiver.after(3, 3)
        added, other = await _endpoint(api, receiver.url)
        await api.post(f"/webhook-endpoints/{kept}/secret/regenerate", {"overlap_seconds": 3600})
        await _pay(api)
        last = await receiver.after(6, 6)

    assert await asyncio.to_thread(judge, receiver.came[:6], secret) == [ALL_OK | {"plain": "ok"}] * 6
    assert sum(said["svix"] == "ok" for said in await asyncio.to_thread(judge, last, secret)) == 3, "the old one too"
    assert sum(said["svix"] == "ok" for said in await asyncio.to_thread(judge, last, other)) == 3
    sealed = {
        row["id"]: (row["sealed_secret"], row["sealed_previous_secret"])
        for row in conn.execute("SELECT id, sealed_secret, sealed_previous_secret FROM endpoints")
    }
    assert [value[1:5] for value in sealed[kept]] == [b"2026", b"2025"]
    assert sealed[added][0][1:5] == b"2026"
