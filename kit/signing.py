"""Sign webhooks: Standard Webhooks 1.0.0, and the plain hex HMAC that older receivers check."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIX = "whsec_"


@functools.lru_cache(maxsize=10_000)
def key_of(secret: str) -> bytes:
    """The HMAC key of a secret: what its base64 part decodes to; a secret that is no base64 signs with its own text.

    Standard Webhooks asks for 24 to 64 bytes when a secret is made; its own test vector has 18, so that any length
    is taken here.
    """
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True) or secret.encode()
    except ValueError:  # no base64, or not even ASCII
        return secret.encode()


def standard(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1,<base64>` for each secret, newest first, separated by spaces."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = (hmac.digest(key_of(secret), signed, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(signature).decode()}" for signature in signatures)


def plain(secret: str, body: bytes) -> str:
    """The `X-Webhook-Signature` header: hex HMAC-SHA256 of the body with the secret's text."""
    return hmac.digest(secret.encode(), body, "sha256").hex()
