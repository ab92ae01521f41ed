"""Tell a genuine webhook from any other request. Copy this file; it needs nothing but Python."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TOLERANCE = 300
"""How far `webhook-timestamp` may be from our clock, in seconds, either way."""

_STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SIMPLE = "x-webhook-signature"
_HINT = "compare the secret, and sign the exact bytes that were sent, before any JSON parsing"


class SignatureError(Exception):
    """The request cannot be trusted; its text says why."""


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> None:
    """Check every signature that the request carries; one that is present must be right.

    Args:
        secret: as the dashboard shows it, `whsec_` included.
        headers: looked up in lower case; a case-insensitive mapping, or one keyed in lower case.
        body: the bytes as they arrived.
        now: unix time, in seconds.

    Raises:
        SignatureError: no signature, a part missing, a timestamp too far away, or no match.
    """
    standard = any(name in headers for name in _STANDARD)
    if not standard and _SIMPLE not in headers:
        raise SignatureError("no signature: neither webhook-signature nor X-Webhook-Signature is present")
    if standard:
        _verify_standard(secret, headers, body, now)
    if _SIMPLE in headers:
        expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
        if not hmac.compare_digest(expected, _wire(headers[_SIMPLE])):
            raise SignatureError(f"X-Webhook-Signature does not match the body: {_HINT}")


def signing_key(secret: str) -> bytes:
    """The key behind a Standard Webhooks secret: what follows `whsec_`, base64-decoded.

    Whoever makes a secret should take 24 to 64 bytes; the public libraries verify with any length, and so
    does this. What is no base64 (the demo's `whsec_test_abc123`) signs with the bytes of its whole text.
    """
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True) or secret.encode()
        except ValueError:
            pass
    return secret.encode()


def _verify_standard(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Standard Webhooks 1.0.0: HMAC-SHA256 of `{id}.{timestamp}.{body}`, in base64."""
    for name in _STANDARD:
        if not headers.get(name):
            raise SignatureError(f"header {name} is missing")
    webhook_id, timestamp, signatures = (headers[name] for name in _STANDARD)

    # Without this, whoever once saw a webhook could send it again for ever.
    if not re.fullmatch(r"[0-9]{1,15}", timestamp):
        raise SignatureError("webhook-timestamp is not a number of unix seconds")
    age = now - int(timestamp)
    if abs(age) > TOLERANCE:
        when = "old" if age > 0 else "in the future"
        raise SignatureError(
            f"webhook-timestamp is {abs(age):.0f} s {when}, {TOLERANCE} s at most: a replay, or a wrong clock"
        )

    content = b".".join((_wire(webhook_id), timestamp.encode(), body))
    expected = base64.b64encode(hmac.new(signing_key(secret), content, hashlib.sha256).digest())
    # Two entries while a secret is being rotated; entries of other versions (`v1a,…`) are not for us.
    given = [entry.removeprefix("v1,") for entry in signatures.split(" ") if entry.startswith("v1,")]
    if not given:
        raise SignatureError("webhook-signature has no entry of the form v1,<base64>")
    if not any(hmac.compare_digest(expected, _wire(signature)) for signature in given):
        raise SignatureError(f"webhook-signature does not match id, timestamp and body: {_HINT}")


def _wire(value: str) -> bytes:
    """A header's bytes as they came; `compare_digest` refuses text that is not ASCII."""
    return value.encode("utf-8", "surrogateescape")
