"""Endpoints: where a merchant wants to be told, of what, and with which secret."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

from kit import ids
from outbox import SQL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.db import Connection
    from kit.seal import Sealer

EVENT_TYPES = frozenset(
    {
        "payment.created",
        "payment.pending",
        "payment.success",
        "payment.failed",
        "payment.captured",
        "order.paid",
        "refund.created",
        "refund.processed",
        "refund.failed",
        "webhook.test",
    }
)


def new_secret() -> str:
    """`whsec_` and base64 of 32 random bytes (Standard Webhooks 1.0.0)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def seal_secret(sealer: Sealer, merchant_id: str, secret: str) -> bytes:
    """Encrypt a webhook secret for one merchant's endpoints."""
    return sealer.seal(secret.encode(), context=f"webhook-secret:{merchant_id}")


def unseal_secret(sealer: Sealer, merchant_id: str, sealed: bytes) -> str:
    """Decrypt a webhook secret. Raises `SealError` for one of another merchant."""
    return sealer.unseal(sealed, context=f"webhook-secret:{merchant_id}").decode()


async def save_default(
    conn: Connection,
    sealer: Sealer,
    *,
    bucket: int,
    merchant_id: str,
    url: str,
    event_types: Sequence[str] = ("*",),
    secret: str | None = None,
) -> str:
    """Make the merchant's default endpoint, or point it to `url`; a secret that is there stays. Returns its id."""
    values = {
        "bucket": bucket,
        "merchant_id": merchant_id,
        "id": ids.new("whep"),
        "url": url,
        "event_types": list(event_types),
        "sealed_secret": seal_secret(sealer, merchant_id, secret or new_secret()),
    }
    row = await (await conn.execute(SQL["save_default_endpoint"], values)).fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    return str(row[0])


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
) -> tuple[str, str]:
    """Add an endpoint and return its id and its secret.

    Args:
        conn: any connection; the caller owns the transaction.
        sealer: encrypts the secret.
        bucket: the merchant's.
        merchant_id: whose it is.
        url: where to deliver.
        event_types: types, `payment.*` or `*`.
        secret: `whsec_…`; a new one by default.
        retry_schedule: seconds before each attempt; the default schedule without it.
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
    }
    await conn.execute(SQL["add_endpoint"], values)
    return endpoint_id, secret
