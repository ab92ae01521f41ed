"""A second factor: codes of six digits that change every 30 seconds (RFC 6238), each good once."""

from __future__ import annotations

import base64
import hmac
import secrets
import struct
from urllib.parse import quote

STEP = 30
"""Seconds."""
_DIGITS = 6
_BESIDE = 1  # steps before and after now: clocks differ, and people type slowly
_SECRET_BYTES = 20  # RFC 4226: as long as the hash


def new_secret() -> bytes:
    """160 random bits."""
    return secrets.token_bytes(_SECRET_BYTES)


def code(secret: bytes, step: int) -> str:
    """The code of a step, which is unix seconds by `STEP`."""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")  # what every authenticator app computes
    at = digest[-1] & 0xF
    number: int = struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFF_FFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def match(secret: bytes, typed: str, *, now: float, after: int) -> int | None:
    """The step whose code this is, if there is one: later than `after`, the step that was used last.

    Args:
        secret: the user's.
        typed: as people type it; spaces do not count.
        now: unix seconds.
        after: a code of this step or an earlier one was seen already.
    """
    given = "".join(typed.split()).encode()
    current = int(now) // STEP
    found = None
    for step in range(current - _BESIDE, current + _BESIDE + 1):
        if hmac.compare_digest(code(secret, step).encode(), given) and step > after:
            found = step
    return found


def text(secret: bytes) -> str:
    """The secret as people type it into an app: base32 in groups of four."""
    plain = base64.b32encode(secret).decode()
    return " ".join(plain[n : n + 4] for n in range(0, len(plain), 4))


def link(secret: bytes, *, account: str, issuer: str = "Ledgate") -> str:
    """What the QR code holds (Key URI format)."""
    plain = base64.b32encode(secret).decode()
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?secret={plain}&issuer={quote(issuer)}"


def new_recovery_codes(count: int = 10) -> list[str]:
    """Codes for the day on which the telephone is lost: 80 random bits each, in groups of four."""
    made = []
    for _ in range(count):
        plain = base64.b32encode(secrets.token_bytes(10)).decode().lower()
        made.append("-".join(plain[n : n + 4] for n in range(0, len(plain), 4)))
    return made
