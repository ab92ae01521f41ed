"""Merchants and their API keys: made, found, believed for a few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import time
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

import msgspec
import psycopg
from psycopg.rows import dict_row

from gateway.errors import ForbiddenError, UnauthorizedError
from kit import ids, sql
from kit.db import AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.db import Connection, Database

BUCKETS = 64
_TELL = 30.0  # seconds
SQL = sql.load("gateway")

Scope = Literal["read", "write", "dashboard"]


class Merchant(msgspec.Struct, frozen=True):
    """The account that a request acts for."""

    merchant_id: str
    bucket: int
    name: str
    key_id: str
    scopes: frozenset[Scope]

    @property
    def scope(self) -> dict[str, str | int]:
        """What every statement names: the merchant and its bucket."""
        return {"bucket": self.bucket, "merchant_id": self.merchant_id}

    def need(self, *scopes: Scope) -> None:
        """Raises `ForbiddenError` unless the key has one of these scopes."""
        if self.scopes.isdisjoint(scopes):
            description = f"this API key lacks the scope {' or '.join(repr(scope) for scope in scopes)}"
            raise ForbiddenError(description, reason="scope_missing")


class _Key(msgspec.Struct, frozen=True):
    secret_hash: bytes
    merchant: Merchant


def hash_secret(secret: str) -> bytes:
    """SHA-256: an API secret is 32 random bytes, so a slow hash would protect nothing and cost every request."""
    return hashlib.sha256(secret.encode()).digest()


def new_key_secret() -> str:
    """43 characters of 32 random bytes."""
    return secrets.token_urlsafe(32)


class Credentials:
    """Checks API keys; believes what the database said for `ttl` seconds, so a revoked key ends within that time."""

    MAX_KEYS = 10_000  # wrong keys are remembered too, or guessing would reach the database each time

    def __init__(self, database: Database, *, ttl: float) -> None:
        self._database = database
        self._ttl = ttl
        self._known: OrderedDict[str, tuple[float, _Key | None]] = OrderedDict()
        self._revocations = 0
        self._used: set[str] = set()

    async def run(self) -> None:
        """Tell the database which keys are used, from time to time and for ever: no request waits for that."""
        while True:
            await asyncio.sleep(_TELL)
            await self.tell()

    async def tell(self) -> None:
        """Tell which keys came since the last time; an outage forgets them, and so does an older schema's database."""
        used, self._used = self._used, set()
        if used:
            with contextlib.suppress(*AWAY, psycopg.errors.UndefinedFunction):
                async with self._database.connection() as conn:
                    await conn.execute(SQL["mark_keys_used"], {"used": sorted(used)})

    async def check(self, key_id: str, secret: str) -> Merchant:
        """Find the merchant behind a key and its secret.

        Raises:
            UnauthorizedError: unknown or revoked key, or wrong secret; which one is not told.
        """
        key = await self._find(key_id)
        # Compared even when the key is unknown, so that the answer's time tells nothing.
        stored = key.secret_hash if key else bytes(32)
        if not hmac.compare_digest(stored, hash_secret(secret)) or key is None:
            raise UnauthorizedError("API key or secret is wrong", reason="credentials_wrong")
        self._used.add(key_id)
        return key.merchant

    async def publish(self, key_id: str) -> Merchant | None:
        """The merchant behind a key, by its public part alone: enough for what the checkout shows, and nothing else."""
        key = await self._find(key_id)
        if key is None:
            return None
        self._used.add(key_id)
        return key.merchant

    def forget(self, key_id: str) -> None:
        """Ask the database at the key's next use: it was revoked here. Other processes learn it within `ttl`."""
        self._known.pop(key_id, None)
        self._revocations += 1

    async def _find(self, key_id: str) -> _Key | None:
        now = time.monotonic()
        if (known := self._known.get(key_id)) and known[0] > now:
            return known[1]
        revocations = self._revocations
        async with self._database.connection(reading=True) as conn, conn.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(SQL["find_key"], {"key_id": key_id})
            row = await cursor.fetchone()
        key = _Key(row["secret_hash"], msgspec.convert(row, Merchant)) if row else None
        if revocations != self._revocations:
            return key  # asked before a revocation, answered after it: not worth believing any longer
        self._known[key_id] = (now + self._ttl, key)
        self._known.move_to_end(key_id)
        if len(self._known) > self.MAX_KEYS:
            self._known.popitem(last=False)
        return key


def bucket_of(merchant_id: str) -> int:
    """The shard of a new merchant, 0 to 63; kept in its row, so this may change for later ones."""
    return zlib.crc32(merchant_id.encode()) % BUCKETS


async def add_merchant(conn: Connection, name: str, *, merchant_id: str | None = None) -> str:
    """Make an account and return its id; an id that is there already is left as it is."""
    merchant_id = merchant_id or ids.new("mer")
    await conn.execute(SQL["add_merchant"], {"id": merchant_id, "bucket": bucket_of(merchant_id), "name": name})
    return merchant_id


async def add_key(
    conn: Connection,
    merchant_id: str,
    *,
    scopes: Sequence[Scope] = ("read", "write", "dashboard"),
    name: str | None = None,
    key_id: str | None = None,
    secret: str | None = None,
) -> tuple[str, str]:
    """Make an API key and return it with its secret, which can not be read again."""
    key_id = key_id or ids.new("key")
    secret = secret or new_key_secret()
    values = {
        "id": key_id,
        "merchant_id": merchant_id,
        "secret_hash": hash_secret(secret),
        "scopes": list(scopes),
        "name": name,
    }
    await conn.execute(SQL["add_key"], values)
    return key_id, secret


async def revoke_key(conn: Connection, merchant_id: str, key_id: str) -> bool:
    """End an API key; whether there was one to end."""
    cursor = await conn.execute(SQL["revoke_key"], {"id": key_id, "merchant_id": merchant_id})
    return cursor.rowcount > 0
