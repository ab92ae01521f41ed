"""The example receiver: what it trusts, and what it refuses and why."""

from __future__ import annotations

import asyncio
import gzip
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from test_merchant import app as merchant_app
from test_merchant.signature import SignatureError, signing_key, verify
from tests.examples.merchant_calls import (
    BODY,
    DEMO_SECRET,
    SECRET,
    VECTOR,
    VECTOR_BODY,
    VECTOR_TIME,
    arrivals,
    post,
    running,
    simple,
    standard,
)


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
