"""Signatures are those of Standard Webhooks 1.0.0, as the public libraries check them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from kit import signing
from outbox.endpoints import new_secret

BODY = b'{"event_type":"ping","data":{"success":true}}'


def test_the_contract_s_vector() -> None:
    signed = signing.standard(["whsec_plJ3nmyCDGBKInavdOK15jsl"], "msg_loFOjxBNrRLzqYUf", 1731705121, BODY)
    assert signed == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


@pytest.mark.parametrize("library", [Webhook, SvixWebhook])
def test_public_libraries_verify_during_a_rotation_with_either_secret(
    library: type[Webhook | SvixWebhook],
) -> None:
    new, old = new_secret(), new_secret()
    now = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signing.standard([new, old], "evt_1", now, BODY),
    }
    for secret in (new, old):
        library(secret).verify(BODY, headers)
    with pytest.raises(Exception, match="signature"):
        library(new_secret()).verify(BODY, headers)


def test_a_secret_that_is_no_base64_signs_with_its_text() -> None:
    assert signing.key_of("whsec_test_abc123") == b"whsec_test_abc123"
    assert signing.key_of("whsec_Müller") == "whsec_Müller".encode()
    assert len(signing.key_of(new_secret())) == 32


def test_the_plain_signature_is_hex_hmac_with_the_secret_s_text() -> None:
    assert signing.plain("key", b"The quick brown fox jumps over the lazy dog") == (
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"  # RFC 4231-style well-known vector
    )
