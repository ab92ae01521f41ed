"""The example receiver: what it tells of arrivals, how it misbehaves when told to, and its process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime

import aiohttp
import pytest

from test_merchant import app as merchant_app
from test_merchant import received
from tests.examples.merchant_calls import (
    BODY,
    SECRET,
    arrivals,
    behave,
    post,
    simple,
    standard,
)


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
