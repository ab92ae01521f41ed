"""Make a retried POST safe: the answer is stored under its key by the statement that does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.errors import BadRequestError, IdempotencyKeyReusedError
from gateway.merchants import BUCKETS, SQL
from kit.db import fetch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


async def once(
    conn: Connection,
    merchant: Merchant,
    sealer: Sealer,
    effect: Callable[[], Awaitable[tuple[int, msgspec.Struct]]],
    *,
    key: str | None,
    path: str,
    request: msgspec.Struct | None = None,
    secret: bool = False,
) -> Answer:
    """Do something once for a key, in the caller's transaction; for the calls that are not worth a statement of theirs.

    A concurrent duplicate waits at the claim until the first one's transaction has ended: committed, it gets the
    stored answer; rolled back, it does the work itself. What `effect` refuses rolls the claim back with it.

    Args:
        conn: within a transaction.
        merchant: who calls.
        sealer: hashes the request; seals a stored answer that holds a secret.
        effect: does it, in the same transaction, and gives the status and what is answered.
        key: the Idempotency-Key; without one the effect is simply done.
        path: what is called, below `/api/v1`, with its ids.
        request: the body as it was understood; None for a call without one.
        secret: the answer holds a secret, and must be stored sealed.

    Raises:
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    if key is None:
        status, shown = await effect()
        return Answer(status, msgspec.json.encode(shown))
    context = f"idempotency:{merchant.merchant_id}:{key}"
    understood, request_hash = fingerprint(sealer, path, request or _NoBody())
    claim = merchant.scope | {"key": key, "request_hash": request_hash}
    if not await fetch(conn, SQL["claim_key"], claim):
        (stored,) = await fetch(conn, SQL["read_answer"], merchant.scope | {"key": key})
        body = stored["body"]
        if stored["sealed_body"] is not None and sealer.has_fingerprint(understood, stored["request_hash"]):
            body = sealer.unseal(stored["sealed_body"], context=context).decode()
        return replay(sealer, understood, stored["request_hash"], stored["status"], body)
    status, shown = await effect()
    body = msgspec.json.encode(shown)
    kept: dict[str, object] = {"status": status, "body": "" if secret else body.decode(), "sealed_body": None}
    if secret:
        kept["sealed_body"] = sealer.seal(body, context=context)
    await fetch(conn, SQL["store_answer"], merchant.scope | {"key": key} | kept)
    return Answer(status, body)


class _NoBody(msgspec.Struct, frozen=True):
    """The request of a call that takes no body."""


async def forget_expired(conn: Connection, *, limit: int = 5_000, rounds: int = 200) -> None:
    """Delete keys that may be used anew, at most `limit` a statement and `rounds` statements."""
    values = {"buckets": list(range(BUCKETS)), "limit": limit}
    for _ in range(rounds):
        if (await conn.execute(SQL["forget_expired_keys"], values)).rowcount < limit:
            return
