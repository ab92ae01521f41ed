"""Make a retried POST safe: the answer is stored under its key by the statement that does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.errors import BadRequestError, IdempotencyKeyReusedError
from gateway.merchants import BUCKETS, SQL
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from kit.db import Connection
    from kit.seal import Sealer

MAX_KEY_LENGTH = 255


class Answer(msgspec.Struct, frozen=True):
    """What a POST is answered: the status and the body's bytes, and whether they were stored before."""

    status: int
    body: bytes
    replayed: bool = False


def check_key(key: str | None) -> str | None:
    """Accept an Idempotency-Key of 1 to 255 printable characters, or none.

    Raises:
        BadRequestError: it is empty, too long or holds control characters.
    """
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        description = f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable characters"
        raise BadRequestError(description, field="Idempotency-Key", reason="idempotency_key_invalid")
    return key


def fingerprint(sealer: Sealer, path: str, request: msgspec.Struct) -> tuple[bytes, str]:
    """What "the same request" means: the path and the request as it was understood, white space aside.

    Returns the compared bytes and their keyed hash; keyed, since a plain hash of a card number can be guessed.
    """
    understood = b"POST " + path.encode() + b"\n" + msgspec.json.encode(request)
    return understood, sealer.fingerprint(understood)


def replay(sealer: Sealer, understood: bytes, stored_hash: str, status: int, body: str) -> Answer:
    """Answer a known key as the first time.

    Raises:
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    if not sealer.has_fingerprint(understood, stored_hash):
        description = "this Idempotency-Key was used for another request; use a new key for a new request"
        raise IdempotencyKeyReusedError(description, field="Idempotency-Key")
    return Answer(status, body.encode(), replayed=True)


async def read_answer(conn: Connection, merchant: Merchant, key: str) -> tuple[str, int, str] | None:
    """The stored hash, status and body of a key, when the first statement could not see them."""
    rows = await fetch(conn, SQL["read_answer"], merchant.scope | {"key": key})
    return (rows[0]["request_hash"], rows[0]["status"], rows[0]["body"]) if rows else None


async def forget_expired(conn: Connection, *, limit: int = 5_000, rounds: int = 200) -> None:
    """Delete keys that may be used anew, at most `limit` a statement and `rounds` statements."""
    values = {"buckets": list(range(BUCKETS)), "limit": limit}
    for _ in range(rounds):
        if (await conn.execute(SQL["forget_expired_keys"], values)).rowcount < limit:
            return
