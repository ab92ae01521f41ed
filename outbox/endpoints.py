"""Endpoints: where a merchant wants to be told, of what, and with which secret."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from kit import ids
from kit.db import fetch
from outbox import SQL
from outbox.health import EndpointHealth
from outbox.health import shown as shown_health

if TYPE_CHECKING:
    from datetime import timedelta

    from kit.db import Connection
    from kit.seal import Sealer

EventType = Literal[
    "payment.created",
    "payment.pending",
    "payment.success",
    "payment.failed",
    "payment.captured",
    "order.paid",
    "refund.created",
    "refund.processed",
    "refund.failed",
    "endpoint.failing",
    "endpoint.disabled",
    "webhook.test",
]
EVENT_TYPES: frozenset[str] = frozenset(get_args(EventType))

MAX_ENDPOINTS = 50
"""Of one merchant. Whoever adds one calls `lock` and `count` first, in the same transaction."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as merchants see it: neither its secret nor the values of its headers. Times in UTC."""

    id: str
    url: str
    events: list[str]
    """Types, `payment.*` or `*`."""
    description: str | None
    retry_schedule: list[int] | None
    """Seconds before each attempt, measured from the failure before it; null is the default schedule."""
    rate: int | None
    """Most attempts a second; null is no limit."""
    ordered: bool
    """An event waits until the one before it has been delivered, or given up."""
    header_names: list[str]
    """The custom request headers; their values can be set, not read."""
    enabled: bool
    disabled_reason: str | None
    """Why Ledgate turned it off; null when you did, or when it is on."""
    disabled_at: datetime | None
    default: bool
    """The one of `/webhooks/config`."""
    health: EndpointHealth
    version: int
    """Increments with each change, and with each event that tells of it."""
    created_at: datetime
    updated_at: datetime


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint is to have from now on; what is not given stays, None takes it away."""

    url: str | msgspec.UnsetType = msgspec.UNSET
    events: Sequence[str] | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    retry_schedule: Sequence[int] | msgspec.UnsetType | None = msgspec.UNSET
    rate: int | msgspec.UnsetType | None = msgspec.UNSET
    ordered: bool | msgspec.UnsetType = msgspec.UNSET
    headers: Mapping[str, str] | msgspec.UnsetType | None = msgspec.UNSET


class Secret(msgspec.Struct, frozen=True):
    """A webhook secret, and until when the one before it signs too."""

    webhook_secret: str
    previous_expires_at: datetime | None


def new_secret() -> str:
    """`whsec_` and base64 of 32 random bytes (Standard Webhooks 1.0.0)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def seal_secret(sealer: Sealer, merchant_id: str, secret: str) -> bytes:
    """Encrypt a webhook secret for one merchant's endpoints."""
    return sealer.seal(secret.encode(), context=f"webhook-secret:{merchant_id}")


def unseal_secret(sealer: Sealer, merchant_id: str, sealed: bytes) -> str:
    """Decrypt a webhook secret. Raises `SealError` for one of another merchant."""
    return sealer.unseal(sealed, context=f"webhook-secret:{merchant_id}").decode()


def seal_headers(sealer: Sealer, merchant_id: str, headers: Mapping[str, str] | None) -> bytes | None:
    """Encrypt custom request headers, which often are credentials; None for none."""
    if not headers:
        return None
    return sealer.seal(msgspec.json.encode(dict(headers)), context=f"webhook-headers:{merchant_id}")


def unseal_headers(sealer: Sealer, merchant_id: str, sealed: bytes) -> dict[str, str]:
    """Decrypt custom request headers. Raises `SealError` for those of another merchant."""
    plain = sealer.unseal(sealed, context=f"webhook-headers:{merchant_id}")
    return msgspec.json.decode(plain, type=dict[str, str])


async def save_default(
    conn: Connection,
    sealer: Sealer,
    *,
    bucket: int,
    merchant_id: str,
    url: str,
    event_types: Sequence[str] = ("*",),
    enabled: bool = True,
    secret: str | None = None,
    disable_after: timedelta | None = None,
) -> Endpoint:
    """Make the merchant's default endpoint, or change it; a secret that is there stays.

    Turned on again, or moved to another URL, it starts afresh: what was known of its health is forgotten.
    """
    values = {
        "bucket": bucket,
        "merchant_id": merchant_id,
        "id": ids.new("whep"),
        "url": url,
        "event_types": list(event_types),
        "enabled": enabled,
        "sealed_secret": seal_secret(sealer, merchant_id, secret or new_secret()),
    }
    (row,) = await fetch(conn, SQL["save_default_endpoint"], values)
    return shown(row, disable_after)


async def add(
    conn: Connection,
    sealer: Sealer,
    *,
    bucket: int,
    merchant_id: str,
    url: str,
    event_types: Sequence[str] = ("*",),
    secret: str | None = None,
    retry_schedule: Sequence[int] | None = None,
    rate: int | None = None,
    ordered: bool = False,
    description: str | None = None,
    headers: Mapping[str, str] | None = None,
    enabled: bool = True,
) -> tuple[str, str]:
    """Add an endpoint and return its id and its secret.

    Args:
        conn: any connection; the caller owns the transaction.
        sealer: encrypts the secret and the headers.
        bucket: the merchant's.
        merchant_id: whose it is.
        url: where to deliver.
        event_types: types, `payment.*` or `*`.
        secret: `whsec_…`; a new one by default.
        retry_schedule: seconds before each attempt; the default schedule without it.
        rate: most attempts a second; no limit without it.
        ordered: whether an event waits for the one before.
        description: the merchant's own words.
        headers: sent along with each delivery.
        enabled: whether it is told anything.
    """
    secret = secret or new_secret()
    endpoint_id = ids.new("whep")
    values = {
        "bucket": bucket,
        "merchant_id": merchant_id,
        "id": endpoint_id,
        "url": url,
        "event_types": list(event_types),
        "sealed_secret": seal_secret(sealer, merchant_id, secret),
        "retry_schedule": list(retry_schedule) if retry_schedule is not None else None,
        "rate": rate,
        "ordered": ordered,
        "description": description,
        "sealed_headers": seal_headers(sealer, merchant_id, headers),
        "header_names": list(headers or ()),
        "enabled": enabled,
    }
    await conn.execute(SQL["add_endpoint"], values)
    return endpoint_id, secret


async def lock(conn: Connection, *, merchant_id: str) -> None:
    """Hold up whoever wants to add an endpoint to the same merchant, until the transaction ends."""
    await conn.execute(SQL["lock_endpoints"], {"merchant_id": merchant_id})


async def count(conn: Connection, *, bucket: int, merchant_id: str) -> int:
    """How many endpoints a merchant has."""
    (row,) = await fetch(conn, SQL["count_endpoints"], {"bucket": bucket, "merchant_id": merchant_id})
    return int(row["n"])


def shown(row: Mapping[str, Any], disable_after: timedelta | None) -> Endpoint:
    """An endpoint as merchants see it, from `endpoint_shown` and `health_shown`."""
    health = shown_health(row["health"], enabled=row["enabled"], disable_after=disable_after)
    return msgspec.convert({**row, "health": health}, Endpoint)


async def all_of(
    conn: Connection, *, bucket: int, merchant_id: str, disable_after: timedelta | None = None
) -> list[Endpoint]:
    """A merchant's endpoints, the oldest first; those in trouble say when they are disabled, if any ever is."""
    rows = await fetch(conn, SQL["list_endpoints"], {"bucket": bucket, "merchant_id": merchant_id})
    return [shown(row, disable_after) for row in rows]


async def by_key(
    conn: Connection, keys: Iterable[tuple[int, str, str]]
) -> dict[tuple[int, str, str], tuple[Endpoint, datetime]]:
    """Endpoints of any merchants by bucket, merchant and id, each with the database's time; a dispatcher's."""
    batch = [{"bucket": bucket, "merchant_id": merchant_id, "endpoint_id": one} for bucket, merchant_id, one in keys]
    rows = await fetch(conn, SQL["endpoints_by_key"], {"batch": msgspec.json.encode(batch).decode()})
    return {(row["bucket"], row["merchant_id"], row["id"]): (shown(row, None), row["now"]) for row in rows}


async def get(
    conn: Connection,
    endpoint_id: str | None,
    *,
    bucket: int,
    merchant_id: str,
    disable_after: timedelta | None = None,
) -> Endpoint | None:
    """An endpoint, or the default one for None; None when there is none."""
    return _one(await fetch(conn, SQL["get_endpoint"], _meant(endpoint_id, bucket, merchant_id)), disable_after)


async def change(
    conn: Connection,
    sealer: Sealer,
    endpoint_id: str,
    changes: Changes,
    *,
    bucket: int,
    merchant_id: str,
    disable_after: timedelta | None = None,
) -> Endpoint | None:
    """Change an endpoint in one statement; None when there is none.

    Who says that it is enabled, or moves it to another URL, says that it is mended: what was known of its health is
    forgotten, and its circuit is closed.
    """
    given = msgspec.structs.asdict(changes)
    values = {name: None if value is msgspec.UNSET else value for name, value in given.items()}
    values |= {
        f"sets_{name}": given[name] is not msgspec.UNSET
        for name in ("description", "retry_schedule", "rate", "headers")
    }
    headers = values.pop("headers")
    values |= {
        "event_types": values.pop("events"),
        "sealed_headers": seal_headers(sealer, merchant_id, headers),
        "header_names": list(headers or ()),
    }
    found = await fetch(conn, SQL["change_endpoint"], _meant(endpoint_id, bucket, merchant_id) | values)
    return _one(found, disable_after)


async def remove(conn: Connection, endpoint_id: str, *, bucket: int, merchant_id: str) -> bool:
    """Forget an endpoint; whether there was one. What it still was owed ends as failed."""
    return bool(await fetch(conn, SQL["remove_endpoint"], _meant(endpoint_id, bucket, merchant_id)))


async def rotate_secret(
    conn: Connection, sealer: Sealer, endpoint_id: str | None, *, bucket: int, merchant_id: str, overlap: int
) -> Secret | None:
    """Give an endpoint, or the default one, a new secret; None when there is none.

    The one before signs too for `overlap` seconds. There is room for one: rotated twice within an overlap, the oldest
    of the three stops at once.
    """
    secret = new_secret()
    values = _meant(endpoint_id, bucket, merchant_id) | {
        "sealed_secret": seal_secret(sealer, merchant_id, secret),
        "overlap": overlap,
    }
    rows = await fetch(conn, SQL["rotate_secret"], values)
    return Secret(secret, rows[0]["previous_expires_at"]) if rows else None


async def read_secret(
    conn: Connection, sealer: Sealer, endpoint_id: str | None, *, bucket: int, merchant_id: str
) -> Secret | None:
    """The secret of an endpoint, or of the default one; None when there is none."""
    rows = await fetch(conn, SQL["read_secret"], _meant(endpoint_id, bucket, merchant_id))
    if not rows:
        return None
    return Secret(unseal_secret(sealer, merchant_id, rows[0]["sealed_secret"]), rows[0]["previous_expires_at"])


def _meant(endpoint_id: str | None, bucket: int, merchant_id: str) -> dict[str, Any]:
    return {"bucket": bucket, "merchant_id": merchant_id, "id": endpoint_id}


def _one(rows: list[dict[str, Any]], disable_after: timedelta | None) -> Endpoint | None:
    return shown(rows[0], disable_after) if rows else None
