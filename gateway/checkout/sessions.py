"""What a page may do: a signed note that names the merchant's key and the one order, and runs out."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import ForbiddenError

if TYPE_CHECKING:
    from kit.seal import Sealer

LIFE = 30 * 60
"""Seconds for which a token is good."""
LONGEST = 12 * 3600
"""Seconds for which a session can be renewed, from its beginning."""
MAX_TOKEN = 2048

_PURPOSE = b"checkout session\n"  # the sealer's other fingerprints begin with POST


class Session(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One visit of one shopper to one order. Holds no secret: it is signed, not sealed."""

    id: str
    key_id: str
    merchant_id: str
    order_id: str
    language: str
    began: int
    """Unix seconds."""
    payment_id: str = ""
    """The payment that was started or found last. Of an order that many may pay, a session sees only its own."""
    expires: int = 0
    """Unix seconds."""


def begin(*, key_id: str, merchant_id: str, order_id: str, language: str) -> Session:
    """A new visit."""
    return Session(secrets.token_urlsafe(16), key_id, merchant_id, order_id, language, int(time.time()))


def issue(sealer: Sealer, session: Session, payment_id: str | None = None) -> str:
    """The token of a session, good for `LIFE` seconds from now, or what is left of it, and for its newest payment."""
    expires = min(int(time.time()) + LIFE, session.began + LONGEST)
    renewed = msgspec.structs.replace(session, payment_id=payment_id or session.payment_id, expires=expires)
    text = msgspec.json.encode(renewed)
    return base64.urlsafe_b64encode(text).decode().rstrip("=") + "." + sealer.fingerprint(_PURPOSE + text)


def read(sealer: Sealer, token: str, *, renew: bool = False) -> Session:
    """The session of a token.

    Args:
        sealer: checks the signature, in constant time.
        token: as the page sends it.
        renew: take one that has run out, if its session is not too old.

    Raises:
        ForbiddenError: it is none of ours (`session_invalid`), or has run out (`session_expired`).
    """
    encoded, _, signature = token.partition(".")
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        text = b""
    if len(token) > MAX_TOKEN or not sealer.has_fingerprint(_PURPOSE + text, signature):
        raise ForbiddenError("this checkout is not known here; open it again", reason="session_invalid")
    session = msgspec.json.decode(text, type=Session)
    if time.time() > (session.began + LONGEST if renew else session.expires):
        raise ForbiddenError("this checkout was open for too long; open it again", reason="session_expired")
    return session
