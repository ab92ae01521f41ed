"""The example receiver: what it trusts, what it refuses and why, and how it misbehaves when told to."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import os
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from test_merchant import app as merchant_app
from test_merchant import received
from test_merchant.app import make_app
from test_merchant.signature import SignatureError, signing_key, verify

SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
DEMO_SECRET = "whsec_test_abc123"
BODY = (
    b'{"id":"evt_1","event":"payment.success","timestamp":1705315870,"data":{"payment":{"id":"pay_1","amount":50000}}}'
)

# The vector that users count on.
VECTOR_BODY = b'{"event_type":"ping","data":{"success":true}}'
VECTOR_TIME = 1731705121
VECTOR = {
    "webhook-id": "msg_loFOjxBNrRLzqYUf",
    "webhook-timestamp": str(VECTOR_TIME),
    "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
}


def standard(body=BODY, *, secret=SECRET, webhook_id="evt_1", at=None, **extra):
    """Headers as the public library signs them."""
    at = time.time() if at is None else at
    # The library reads its naive `datetime` as UTC.
    signature = Webhook(secret).sign(webhook_id, datetime.fromtimestamp(at, UTC).replace(tzinfo=None), body.decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signature,
        **extra,
    }


def simple(body=BODY, *, secret=SECRET, **extra):
    return {"X-Webhook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), **extra}


@asynccontextmanager
async def running(secret):
    async with TestClient(TestServer(make_app(secret))) as client:
        yield client


@pytest.fixture
async def shop():
    async with running(SECRET) as client:
        yield client


async def post(client, headers, body=BODY):
    async with client.post("/webhook", data=body, headers=headers) as response:
        return response.status, await response.json()


async def arrivals(client, **query):
    async with client.get("/received", params=query) as response:
        assert response.status == 200
        return await response.json()


async def behave(client, **behaviour):
    async with client.put("/behaviour", json=behaviour) as response:
        return response.status, await response.json()


class TestVerify:
    def test_the_published_vector_is_accepted(self):
        verify(SECRET, VECTOR, VECTOR_BODY, now=VECTOR_TIME)

    @pytest.mark.parametrize("away", [-300, 300])
    def test_five_minutes_either_way_are_accepted(self, away):
        verify(SECRET, VECTOR, VECTOR_BODY, now=VECTOR_TIME + away)

    @pytest.mark.parametrize(("away", "why"), [(301, "301 s old"), (-301, "301 s in the future")])
    def test_a_timestamp_further_away_is_refused(self, away, why):
        with pytest.raises(SignatureError, match=why):
            verify(SECRET, VECTOR, VECTOR_BODY, now=VECTOR_TIME + away)

    @pytest.mark.parametrize("missing", list(VECTOR))
    def test_a_part_missing_is_named(self, missing):
        for headers in ({**VECTOR, missing: ""}, {name: VECTOR[name] for name in VECTOR if name != missing}):
            with pytest.raises(SignatureError, match=f"header {missing} is missing"):
                verify(SECRET, headers, VECTOR_BODY, now=VECTOR_TIME)

    @pytest.mark.parametrize("timestamp", ["soon", "1731705121.5", "-1", "1_731", "9" * 5000, "١٧٣١٧٠٥١٢١"])
    def test_a_timestamp_that_is_no_number_is_refused(self, timestamp):
        with pytest.raises(SignatureError, match="not a number"):
            verify(SECRET, {**VECTOR, "webhook-timestamp": timestamp}, VECTOR_BODY, now=VECTOR_TIME)

    @pytest.mark.parametrize("entries", ["v2,AAAA {}", "v1,AAAA {}", "{} v1,AAAA", "v1a,x  {}"])
    def test_one_right_entry_among_several_is_enough(self, entries):
        """A rotation signs with two secrets; unknown versions are passed over."""
        headers = {**VECTOR, "webhook-signature": entries.format(VECTOR["webhook-signature"])}
        verify(SECRET, headers, VECTOR_BODY, now=VECTOR_TIME)

    @pytest.mark.parametrize("signature", ["v2,rAvf", "rAvf", "V1,rAvf", ","])
    def test_no_entry_of_ours_is_refused(self, signature):
        with pytest.raises(SignatureError, match="no entry"):
            verify(SECRET, {**VECTOR, "webhook-signature": signature}, VECTOR_BODY, now=VECTOR_TIME)

    @pytest.mark.parametrize(
        "changed",
        [
            {"webhook-id": "msg_other"},
            {"webhook-timestamp": str(VECTOR_TIME + 1)},
            {"webhook-signature": "v1,"},
            {"webhook-signature": "v1,sé\udcff"},
        ],
    )
    def test_every_signed_part_is_checked(self, changed):
        with pytest.raises(SignatureError, match="does not match id, timestamp and body"):
            verify(SECRET, {**VECTOR, **changed}, VECTOR_BODY, now=VECTOR_TIME)

    @pytest.mark.parametrize("signature", ["", "é", "\udcff", "0" * 64])
    def test_a_wrong_simple_signature_is_refused(self, signature):
        with pytest.raises(SignatureError, match="X-Webhook-Signature does not match"):
            verify(SECRET, {"x-webhook-signature": signature}, BODY, now=0)

    def test_no_signature_at_all_is_refused(self):
        with pytest.raises(SignatureError, match="no signature"):
            verify(SECRET, {"content-type": "application/json"}, BODY, now=0)

    @pytest.mark.parametrize(
        ("secret", "length"),
        [
            (
                SECRET,
                18,
            ),  # the vector's own: shorter than the specification wants, yet decoded by its libraries
            ("whsec_" + "A" * 43 + "=", 32),  # as Ledgate makes them
            ("whsec_" + "A" * 31, 37),  # no base64, so it is text
            (DEMO_SECRET, 17),
            ("whsec_", 6),
            ("whsec_é", 8),
            ("A" * 32, 32),  # not after whsec_
        ],
    )
    def test_the_key_is_decoded_where_it_is_base64(self, secret, length):
        assert len(signing_key(secret)) == length


class TestWebhook:
    @pytest.mark.parametrize("sign", [standard, simple])
    async def test_either_signature_is_enough(self, shop, sign):
        assert await post(shop, sign()) == (200, {"status": "received"})

    async def test_both_signatures_of_the_demo_secret_are_accepted(self):
        """The demo's secret is no base64: Standard Webhooks signs with its text then."""
        by_text = Webhook(DEMO_SECRET.encode())
        at = int(time.time())
        headers = {
            **simple(secret=DEMO_SECRET),
            "webhook-id": "evt_1",
            "webhook-timestamp": str(at),
            "webhook-signature": by_text.sign(
                "evt_1", datetime.fromtimestamp(at, UTC).replace(tzinfo=None), BODY.decode()
            ),
        }
        async with running(DEMO_SECRET) as shop:
            assert await post(shop, headers) == (200, {"status": "received"})

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            (lambda: {**standard(), **simple(b"other")}, "X-Webhook-Signature does not match the body"),
            (lambda: {**standard(b"other"), **simple()}, "webhook-signature does not match"),
            (lambda: {**simple(), "webhook-id": "evt_1"}, "header webhook-timestamp is missing"),
            (lambda: standard(at=time.time() - 400), "s old, 300 s at most"),
            (lambda: standard(secret="whsec_" + "B" * 32), "webhook-signature does not match"),
            (dict, "no signature"),
        ],
        ids=["simple wrong", "standard wrong", "standard incomplete", "stale", "other secret", "unsigned"],
    )
    async def test_what_is_wrong_is_refused_with_the_reason_and_kept(self, shop, headers, reason):
        status, answer = await post(shop, headers())

        assert status == 401
        assert answer["error"] == "Invalid signature"
        assert reason in answer["reason"]
        seen = await arrivals(shop)
        assert (seen["total"], seen["counts"], seen["rejected"]) == (1, {}, 1)
        assert (seen["data"][0]["verified"], seen["data"][0]["status"]) == (False, 401)
        assert seen["data"][0]["reason"] == answer["reason"]

    @pytest.mark.parametrize("sign", [standard, simple])
    async def test_a_tampered_body_is_refused(self, shop, sign):
        status, answer = await post(shop, sign(), BODY.replace(b"50000", b"50001"))

        assert status == 401
        assert "does not match" in answer["reason"]

    async def test_a_duplicate_is_thanked_for_but_acted_on_once(self, shop):
        for attempt in (1, 2, 3):
            headers = standard(**{"X-Webhook-Attempt": str(attempt)})
            assert await post(shop, headers) == (200, {"status": "received"})

        seen = await arrivals(shop)
        assert [(arrival["attempt"], arrival["duplicate"]) for arrival in seen["data"]] == [
            (3, True),
            (2, True),
            (1, False),
        ]
        assert (seen["total"], seen["counts"], seen["duplicates"]) == (3, {"payment.success": 1}, 2)

    async def test_a_forged_request_does_not_use_up_an_id(self, shop):
        await post(shop, standard(b"other"))
        await post(shop, standard())

        assert (await arrivals(shop))["data"][0]["duplicate"] is False

    async def test_the_id_in_the_body_counts_where_only_the_simple_signature_came(self, shop):
        await post(shop, simple())
        await post(shop, simple())

        seen = await arrivals(shop, webhook_id="evt_1")
        assert [arrival["duplicate"] for arrival in seen["data"]] == [True, False]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"no json",
            b"[1]",
            b'{"event":7,"id":{},"data":[]}',
            b'"\xff"',
            b"[" * 100_000,
            b"1e999",
            b"null",
        ],
    )
    async def test_a_genuine_body_of_any_shape_is_kept(self, shop, body):
        assert await post(shop, simple(body, **{"X-Webhook-Attempt": "²"}), body) == (
            200,
            {"status": "received"},
        )

        [arrival] = (await arrivals(shop))["data"]
        assert arrival["raw"] == body.decode("utf-8", "replace")
        assert (arrival["event"], arrival["attempt"], arrival["webhook_id"]) == (None, None, None)

    async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(self, shop):
        largest = b'"' + b"x" * (merchant_app.BODY_LIMIT - 2) + b'"'
        assert (await post(shop, simple(largest), largest))[0] == 200

        too_large = largest + b" "
        async with shop.post("/webhook", data=too_large, headers=simple(too_large)) as response:
            assert response.status == 413
        assert (await arrivals(shop))["total"] == 1

    async def test_a_compressed_body_is_verified_as_it_is_on_the_wire(self, shop):
        packed = gzip.compress(BODY)
        headers = simple(packed, **{"Content-Encoding": "gzip"})

        async with shop.post("/webhook", data=packed, headers=headers, compress=False) as response:
            assert response.status == 200

    async def test_header_bytes_that_are_no_text_are_refused_and_shown(self, shop):
        reader, writer = await asyncio.open_connection(shop.host, shop.port)
        writer.write(
            b"POST /webhook HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\nConnection: close\r\n"
            b"X-Webhook-Signature: \xff\xfe\r\n\r\n{}"
        )
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

        assert answer.startswith(b"HTTP/1.1 401")
        [arrival] = (await arrivals(shop))["data"]
        assert arrival["headers"]["X-Webhook-Signature"] == "��"


class TestReceived:
    async def test_an_arrival_is_shown_as_it_came(self, shop):
        extra = {"X-Webhook-Id": "dlv_1", "X-Webhook-Attempt": "2", "X-Webhook-Event": "payment.success"}
        headers = standard(**extra, **simple())
        before = datetime.now(UTC)
        await post(shop, headers)

        [arrival] = (await arrivals(shop))["data"]
        received_at = arrival.pop("received_at")
        assert received_at.endswith("Z")
        assert before <= datetime.fromisoformat(received_at) <= datetime.now(UTC)
        assert headers.items() <= arrival.pop("headers").items()
        assert arrival == {
            "webhook_id": "evt_1",
            "delivery_id": "dlv_1",
            "event": "payment.success",
            "payment_id": "pay_1",
            "attempt": 2,
            "verified": True,
            "duplicate": False,
            "status": 200,
            "reason": None,
            "raw": BODY.decode(),
            "body": json.loads(BODY),
        }

    async def test_filters_and_limit_narrow_and_the_newest_comes_first(self, shop):
        refund = b'{"id":"evt_r","event":"refund.processed","data":{"refund":{"payment_id":"pay_1"}}}'
        other = BODY.replace(b"evt_1", b"evt_2").replace(b"pay_1", b"pay_2")
        for body in (BODY, refund, other):
            await post(shop, simple(body), body)

        async def found(**query):
            answer = await arrivals(shop, **query)
            return [arrival["webhook_id"] for arrival in answer["data"]], answer["total"]

        assert await found() == (["evt_2", "evt_r", "evt_1"], 3)
        assert await found(limit=1) == (["evt_2"], 3)
        assert await found(event="payment.success") == (["evt_2", "evt_1"], 2)
        assert await found(payment_id="pay_1") == (["evt_r", "evt_1"], 2)
        assert await found(payment_id="pay_1", event="refund.processed") == (["evt_r"], 1)
        assert await found(webhook_id="evt_none") == ([], 0)
        assert (await arrivals(shop))["counts"] == {"payment.success": 2, "refund.processed": 1}

    @pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"evnt": "a"}])
    async def test_a_wrong_query_is_a_400_that_says_why(self, shop, query):
        async with shop.get("/received", params=query) as response:
            answer = await response.json()

        assert response.status == 400
        assert answer["error"] == "Invalid query"
        assert next(iter(query)) in answer["reason"]

    async def test_delete_starts_over(self, shop):
        await post(shop, standard())
        async with shop.delete("/received") as response:
            assert (response.status, await response.json()) == (200, {"deleted": 1})

        assert await arrivals(shop) == {"data": [], "total": 0, "counts": {}, "duplicates": 0, "rejected": 0}
        await post(shop, standard())
        assert (await arrivals(shop))["data"][0]["duplicate"] is False

    async def test_memory_is_bounded_by_number_and_by_size(self, shop, monkeypatch):
        monkeypatch.setattr(received, "KEPT_ARRIVALS", 3)
        monkeypatch.setattr(merchant_app, "REMEMBERED_IDS", 2)
        for number in range(5):
            await post(shop, standard(webhook_id=f"evt_{number}"))
        seen = await arrivals(shop)
        assert [arrival["webhook_id"] for arrival in seen["data"]] == ["evt_4", "evt_3", "evt_2"]
        assert seen["counts"] == {"payment.success": 5}  # counted, though no longer kept

        await post(shop, standard(webhook_id="evt_3"))
        await post(shop, standard(webhook_id="evt_0"))
        assert [arrival["duplicate"] for arrival in (await arrivals(shop, limit=2))["data"]] == [False, True]

        monkeypatch.setattr(received, "KEPT_CHARACTERS", 10_000)
        large = json.dumps("x" * 8_000).encode()
        await post(shop, simple(large), large)
        await post(shop, simple(large), large)
        assert (await arrivals(shop))["total"] == 1


class TestBehaviour:
    @pytest.mark.parametrize(
        ("behaviour", "status", "headers"),
        [
            ({"mode": "fail"}, 500, {}),
            ({"mode": "fail", "status": 503, "retry_after": 7}, 503, {"Retry-After": "7"}),
            ({"mode": "gone"}, 410, {}),
            ({"mode": "too_many", "retry_after": 2}, 429, {"Retry-After": "2"}),
            ({"mode": "redirect"}, 302, {"Location": "/health"}),
            ({"mode": "redirect", "status": 307}, 307, {"Location": "/health"}),
            ({"mode": "hang", "seconds": 0.01}, 200, {}),
            ({"mode": "slow_drip", "seconds": 0.01}, 200, {}),
        ],
        ids=lambda value: value["mode"] if isinstance(value, dict) and "mode" in value else None,
    )
    async def test_each_mode_answers_as_told(self, shop, behaviour, status, headers):
        assert await behave(shop, **behaviour) == (200, behaviour)

        async with shop.post("/webhook", data=BODY, headers=standard(), allow_redirects=False) as response:
            await response.read()

        assert response.status == status
        assert headers.items() <= response.headers.items()
        assert (await arrivals(shop))["data"][0]["status"] == status

    async def test_times_counts_down_to_ok(self, shop):
        await behave(shop, mode="fail", times=2)
        statuses = [(await post(shop, standard()))[0] for _ in range(3)]

        assert statuses == [500, 500, 200]
        async with shop.get("/behaviour") as response:
            assert await response.json() == {"mode": "ok"}

    async def test_other_events_are_not_concerned_and_use_nothing_up(self, shop):
        await behave(shop, mode="fail", event="refund.failed", times=1)

        assert (await post(shop, standard()))[0] == 200
        async with shop.get("/behaviour") as response:
            assert await response.json() == {"mode": "fail", "event": "refund.failed", "times": 1}

    async def test_an_event_answered_with_an_error_is_no_duplicate_when_it_comes_again(self, shop):
        await behave(shop, mode="fail", times=1)
        await post(shop, standard())
        await post(shop, standard())

        seen = await arrivals(shop)
        assert [(arrival["status"], arrival["duplicate"]) for arrival in seen["data"]] == [
            (200, False),
            (500, False),
        ]
        assert seen["counts"] == {"payment.success": 1}

    async def test_a_forged_request_is_a_401_in_any_mode(self, shop):
        await behave(shop, mode="fail", times=1)

        assert (await post(shop, standard(b"other")))[0] == 401
        assert (await post(shop, standard()))[0] == 500

    async def test_a_held_request_is_seen_at_once_and_its_retry_is_a_duplicate(self, shop):
        await behave(shop, mode="hang", times=1)
        with pytest.raises(TimeoutError):
            await shop.post("/webhook", data=BODY, headers=standard(), timeout=aiohttp.ClientTimeout(total=0.2))
        await post(shop, standard())

        seen = await arrivals(shop)
        assert [(arrival["status"], arrival["duplicate"]) for arrival in seen["data"]] == [
            (200, True),
            (None, False),
        ]

    async def test_a_slow_drip_sends_headers_and_the_first_byte_at_once(self, shop):
        await behave(shop, mode="slow_drip")
        async with shop.post("/webhook", data=BODY, headers=standard()) as response:
            assert response.status == 200
            assert await response.content.readexactly(1) == b"."
            assert not response.content.at_eof()

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (b"", "truncated"),
            (b"[]", "Expected `object`"),
            (b"\xff", "malformed"),
            (b'{"mode":"\xff"}', "xff"),
            (b"{}", "missing required field `mode`"),
            (b'{"mode":"explode"}', "explode"),
            (b'{"mode":"fail","status":200}', "status"),
            (b'{"mode":"fail","times":0}', "times"),
            (b'{"mode":"hang","seconds":-1}', "seconds"),
            (b'{"mode":"too_many","retry_after":"soon"}', "retry_after"),
            (b'{"mode":"fail","event":""}', "event"),
            (b'{"mode":"fail","forever":true}', "forever"),
        ],
    )
    async def test_wrong_input_is_a_400_that_says_why_and_changes_nothing(self, shop, text, why):
        async with shop.put("/behaviour", data=text) as response:
            answer = await response.json()

        assert response.status == 400
        assert answer["error"] == "Invalid behaviour"
        assert why in answer["reason"]
        async with shop.get("/behaviour") as response:
            assert await response.json() == {"mode": "ok"}


async def test_health(shop):
    async with shop.get("/health") as response:
        assert (response.status, await response.json()) == (200, {"status": "running"})


class TestProcess:
    """`python -m test_merchant`."""

    @staticmethod
    async def start(port, **environ):
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "test_merchant",
            env={**os.environ, "LEDGATE_TEST_MERCHANT_PORT": str(port), "HOST": "127.0.0.1", **environ},
            stderr=asyncio.subprocess.PIPE,
        )

    @staticmethod
    async def begin(port):
        """A connection on which the receiver waits for a body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /webhook HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert b"100 Continue" in await reader.readline()
        return reader, writer

    @pytest.fixture
    def port(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return free.getsockname()[1]

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
    async def test_it_logs_a_line_a_webhook_and_stops_at_once_with_a_request_held(self, port, how):
        process = await self.start(port, WEBHOOK_SECRET=SECRET)
        async with asyncio.timeout(20):
            assert f"listens on http://127.0.0.1:{port}".encode() in await process.stderr.readline()
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                assert (await post(client, standard(**{"X-Webhook-Attempt": "1"})))[0] == 200
                assert b"payment.success evt_1 attempt 1 -> 200 received" in await process.stderr.readline()

                _, broken = await self.begin(port)
                broken.close()
                assert b"the sender broke off before the end" in await process.stderr.readline()

                await behave(client, mode="hang", seconds=60)
                held = asyncio.create_task(post(client, standard(webhook_id="evt_2")))
                assert b"evt_2 attempt - -> 200 told to hang" in await process.stderr.readline()

                asked = time.monotonic()
                process.send_signal(how)
                with pytest.raises(aiohttp.ClientError):
                    await held
                _, rest = await process.communicate()

        assert time.monotonic() - asked < 5
        assert (process.returncode, rest) == (0, b"")

    async def test_a_taken_port_is_one_line_and_exit_1(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            process = await self.start(port)
            async with asyncio.timeout(20):
                _, errors = await process.communicate()

        assert process.returncode == 1
        assert errors.startswith(f"test merchant: cannot listen on 127.0.0.1:{port} (".encode())
        assert errors.count(b"\n") == 1

    @pytest.mark.parametrize("port", ["0", "65536", "http"])
    async def test_a_wrong_port_is_named(self, port):
        process = await self.start(port)
        async with asyncio.timeout(20):
            _, errors = await process.communicate()

        assert (process.returncode, errors.count(b"\n")) == (1, 1)
        assert b"LEDGATE_TEST_MERCHANT_PORT must be from 1 to 65535" in errors
