"""API keys as merchants manage them: made with no more than their maker may do, listed, revoked."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from gateway import notes
from gateway.errors import BadRequestError, ForbiddenError, NotFoundError, UnauthorizedError
from gateway.merchants import SQL, Scope, hash_secret, new_key_secret
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from kit.db import Connection

MAX_ACTIVE = 50
_LISTED = 100
_ID = re.compile(r"[A-Za-z0-9_]{1,64}\Z")  # the demo's is not of our making


class CreateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One more API key."""

    scopes: Annotated[
        list[Scope], Meta(min_length=1, max_length=3, description="What it may do: no more than the key that makes it")
    ]
    name: Annotated[str, Meta(min_length=1, max_length=100, extra_json_schema=notes.NO_NUL)] | None = None
    """Yours, to tell it from the others."""


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key that was just made, with its secret, which is not shown again. Times in UTC."""

    id: str
    secret: str
    name: str | None
    scopes: list[Scope]
    created_at: datetime


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key; its secret is kept nowhere. Times in UTC."""

    id: str
    name: str | None
    scopes: list[Scope]
    created_at: datetime
    revoked_at: datetime | None
    """When it ended; null while it works."""


class KeyList(msgspec.Struct, frozen=True):
    """All active keys, then the revoked ones, the newest first in each; at most 100."""

    data: list[ApiKey]
    has_more: bool


def check_create(merchant: Merchant, request: CreateKey) -> None:
    """Check what needs no database.

    Raises:
        BadRequestError: a scope twice, NUL characters.
        ForbiddenError: a scope that the calling key does not have itself.
    """
    notes.refuse_nul(request.name, "name")
    if len(set(request.scopes)) < len(request.scopes):
        raise BadRequestError("scopes names one twice", field="scopes", reason="scope_repeated")
    if missing := set(request.scopes) - merchant.scopes:
        description = f"this API key lacks the scope {min(missing)!r}, and can not grant it"
        raise ForbiddenError(description, field="scopes", reason="scope_not_held")


async def create(conn: Connection, merchant: Merchant, request: CreateKey, *, by: str = "") -> NewKey:
    """Make a checked key, within a transaction.

    Args:
        conn: within a transaction.
        merchant: who calls; with an API key, unless somebody else vouches for it.
        request: what is wanted.
        by: who makes it, as people know them; the calling API key without it.

    Raises:
        BadRequestError: `too_many_keys`: 50 are active.
        UnauthorizedError: the calling key was revoked a moment ago.
    """
    whose = {"merchant_id": merchant.merchant_id}
    await conn.execute(SQL["lock_keys"], whose)
    (now,) = await fetch(conn, SQL["judge_new_key"], whose | {"caller": merchant.key_id})
    if merchant.key_id and not now["caller_active"]:
        raise UnauthorizedError("API key or secret is wrong", reason="credentials_wrong")
    if now["active"] >= MAX_ACTIVE:
        description = f"a merchant has at most {MAX_ACTIVE} active API keys; revoke one first"
        raise BadRequestError(description, reason="too_many_keys")
    secret = new_key_secret()
    values = whose | {
        "id": ids.new("key"),
        "secret_hash": hash_secret(secret),
        "scopes": list(request.scopes),
        "name": request.name,
        "created_by": by or f"API key {merchant.key_id}",
    }
    (row,) = await fetch(conn, SQL["create_key"], values)
    return msgspec.convert(row | {"secret": secret}, NewKey)


async def page(conn: Connection, merchant: Merchant) -> KeyList:
    """A merchant's keys, without secrets."""
    rows = await fetch(conn, SQL["list_keys"], {"merchant_id": merchant.merchant_id, "limit": _LISTED + 1})
    return KeyList(msgspec.convert(rows[:_LISTED], list[ApiKey]), has_more=len(rows) > _LISTED)


async def revoke(conn: Connection, merchant: Merchant, key_id: str) -> ApiKey:
    """End a key, within a transaction; one that ended before stays as it is. A key may end itself.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    if not _ID.match(key_id):
        raise NotFoundError("there is no such API key")
    whose = {"merchant_id": merchant.merchant_id}
    await conn.execute(SQL["lock_keys"], whose)
    rows = await fetch(conn, SQL["revoke_own_key"], whose | {"id": key_id})
    if not rows:
        raise NotFoundError(f"API key {key_id} does not exist")
    return msgspec.convert(rows[0], ApiKey)
