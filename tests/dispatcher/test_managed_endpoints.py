"""What merchants manage over the API reaches the receiver: rotated secrets, custom headers, test events, retries."""

from __future__ import annotations

import base64
from typing import Any

import psycopg
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from dispatcher.deliver import REDACTED
from gateway.config import Config
from gateway.secrets import make_sealer
from kit import signing
from kit.db import Connection
from outbox import deliveries, endpoints
from schema.invariants import broken
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.gateway.conftest import AUTH, Api
from tests.support.paying import MERCHANT, pay
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]
Got = list[tuple[dict[str, str], bytes]]
WHOSE: dict[str, Any] = MERCHANT.scope


@pytest.fixture
def got() -> Got:
    """What the receiver got: headers by lower-case names, and the body."""
    return []


def _accepting(got: Got, *answers: int) -> Any:
    """Answers the given codes in turn, then 200."""
    codes = list(answers)

    async def accept(request: web.Request) -> web.Response:
        got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=codes.pop(0) if codes else 200)

    return accept


async def _ended(api: Api, delivery_id: str, status: str = "success") -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        shown: dict[str, Any] = (await api.get(f"/webhooks/{delivery_id}")).json()
        return shown if shown["status"] == status else None

    return await eventually(look, what=f"{delivery_id} ends as {status}")


def _verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As the public library does it; each of our signatures by itself must be of one secret."""
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


async def test_both_secrets_sign_during_an_overlap_and_one_after_it(
    api: Api, config: Config, conn: Conn, got: Got
) -> None:
    """A receiver with either secret verifies; rotated twice, the oldest of three is out at once."""
    secrets = []
    async with receiving(_accepting(got)) as url, dispatching(config):
        conn.execute("DELETE FROM endpoints")
        await api.client.put("/api/v1/webhooks/config", json={"webhook_url": url}, headers=AUTH)
        secrets.append((await api.get("/webhooks/secret")).json()["webhook_secret"])

        async def send() -> tuple[dict[str, str], bytes]:
            said = await api.post("/webhooks/test", None)
            await _ended(api, said.json()["id"])
            return got[-1]

        for signing_now in ({0}, {0, 1}, {1, 2}):
            if len(secrets) < max(signing_now) + 1:
                said = await api.post("/webhooks/secret/regenerate", {"overlap_seconds": 600})
                secrets.append(said.json()["webhook_secret"])
            headers, body = await send()
            assert {n for n, secret in enumerate(secrets) if _verifies(secret, headers, body)} == signing_now
            assert len(headers["webhook-signature"].split()) == len(signing_now)
            assert headers["x-webhook-signature"] == signing.plain(secrets[-1], body), "the plain one is the newest's"

        conn.execute("UPDATE endpoints SET previous_secret_expires_at = now()")
        headers, body = await send()
        assert [_verifies(secret, headers, body) for secret in secrets] == [False, False, True]
        assert (await api.get("/webhooks/secret")).json()["previous_expires_at"] is None


async def test_custom_headers_are_sent_and_their_values_are_written_nowhere(
    api: Api, config: Config, conn: Conn, got: Got, capfd: pytest.CaptureFixture[str]
) -> None:
    async with receiving(_accepting(got)) as url, dispatching(config):
        made = await api.post(
            "/webhook-endpoints", {"url": url, "headers": {"Authorization": "Bearer t0p-s3cret", "X-Shop": "7 seas"}}
        )
        said = await api.post("/webhooks/test", {"endpoint_id": made.json()["id"]})
        shown = await _ended(api, said.json()["id"])

    headers, _ = got[0]
    assert (headers["authorization"], headers["x-shop"]) == ("Bearer t0p-s3cret", "7 seas")
    (attempt,) = shown["history"]
    assert (attempt["request_headers"]["Authorization"], attempt["request_headers"]["X-Shop"]) == (REDACTED, REDACTED)
    assert attempt["request_headers"]["webhook-signature"] == headers["webhook-signature"]
    tables = ("endpoints", "events", "outbox", "deliveries", "delivery_attempts", "idempotency_keys")
    written = "".join(str(conn.execute(f"SELECT * FROM {table}").fetchall()) for table in tables)
    for secret in ("t0p-s3cret", "7 seas"):
        assert secret not in written
        assert secret.encode().hex() not in written
        assert base64.b64encode(secret.encode()).decode() not in written
        assert secret not in "".join(capfd.readouterr())


async def test_a_row_cannot_replace_our_headers(config: Config, db: Connection, conn: Conn, got: Got) -> None:
    """Even if something else than the API had written the endpoint."""
    sealed = endpoints.seal_headers(make_sealer(config), MERCHANT.merchant_id, {"webhook-id": "evil", "X-Own": "1"})
    async with receiving(_accepting(got)) as url, dispatching(config):
        conn.execute("UPDATE endpoints SET url = %s, sealed_headers = %s, header_names = '{x}'", [url, sealed])
        await pay(db, config)
        await eventually(_at_least(got, 1))
    headers, _ = got[0]
    assert headers["webhook-id"].startswith("evt_")
    assert headers["x-own"] == "1"


async def test_headers_that_cannot_be_opened_are_an_attempt_that_says_so(
    api: Api, config: Config, conn: Conn, got: Got
) -> None:
    """Wrong keys are the operator's fault: nothing is sent without the merchant's credentials, nothing is lost."""
    sealed = endpoints.seal_headers(make_sealer(config), "mer_somebody", {"X-Own": "1"})
    async with receiving(_accepting(got)) as url, dispatching(config):
        conn.execute("UPDATE endpoints SET url = %s, sealed_headers = %s, header_names = '{x}'", [url, sealed])
        said = await api.post("/webhooks/test", None)

        async def tried() -> dict[str, Any] | None:
            shown: dict[str, Any] = (await api.get(f"/webhooks/{said.json()['id']}")).json()
            return shown if shown["history"] else None

        shown = await eventually(tried)
    assert shown["status"] == "pending"
    assert "cannot sign" in shown["history"][0]["error"]
    assert got == []


async def test_a_delivery_that_failed_is_sent_again_and_arrives_with_the_same_bytes(
    api: Api, config: Config, conn: Conn, got: Got
) -> None:
    async with receiving(_accepting(got, 500, 500)) as url, dispatching(config):
        conn.execute("UPDATE endpoints SET url = %s, retry_schedule = '{0,0}'", [url])
        said = await api.post("/webhooks/test", {"event": "refund.processed", "data": {"2": "b", "1": "a"}})
        await _ended(api, said.json()["id"], "failed")

        assert (await api.post(f"/webhooks/{said.json()['id']}/retry", None)).status_code == 200
        shown = await _ended(api, said.json()["id"])

    assert (shown["attempts"], [one["number"] for one in shown["history"]]) == (1, [1, 2, 1])
    assert len({(headers["webhook-id"], body) for headers, body in got}) == 1
    assert got[0][1].decode() == shown["body"]
    assert b'"test":true,"data":{"1":"a","2":"b"}' in got[0][1]
    assert broken(conn) == {}


async def test_open_deliveries_of_a_deleted_endpoint_end_as_failed(api: Api, config: Config, conn: Conn) -> None:
    said = await api.post("/webhooks/test", None)
    (row,) = conn.execute("SELECT id FROM endpoints").fetchall()
    gone = await api.client.delete(f"/api/v1/webhook-endpoints/{row['id']}", headers=AUTH)
    assert gone.status_code == 204
    async with dispatching(config):
        shown = await _ended(api, said.json()["id"], "failed")
    assert (shown["attempts"], shown["history"], shown["endpoint"]["url"]) == (0, [], None)


async def test_retries_while_a_dispatcher_works_never_break_the_books(
    api: Api, config: Config, db: Connection, conn: Conn, got: Got
) -> None:
    """A hundred retries of one delivery while it is claimed, sent and settled: it ends, every attempt is on record."""
    async with receiving(_accepting(got, *[500, 200] * 200)) as url, dispatching(config):
        conn.execute("UPDATE endpoints SET url = %s, retry_schedule = '{0,0,0}'", [url])
        delivery = (await api.post("/webhooks/test", None)).json()["id"]
        for _ in range(100):
            assert await deliveries.retry(db, delivery, **WHOSE) == "ok"
        shown = await _ended(api, delivery)
    assert broken(conn) == {}
    (kept,) = conn.execute("SELECT count(*) AS n, count(DISTINCT claim) AS claims FROM delivery_attempts").fetchall()
    assert kept["n"] == kept["claims"] == len(got)
    assert shown["history"][0]["response_code"] == 200


def _at_least(got: Got, count: int) -> Any:
    async def look() -> bool:
        return len(got) >= count

    return look
