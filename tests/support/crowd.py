"""Merchants with endpoints of their own and backlogs of any size, put into the queue by SQL without any payments."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from gateway.config import Config
from gateway.secrets import make_sealer
from kit import ids
from outbox import endpoints

SECRET = "whsec_" + "A" * 43 + "="


def add_merchant(conn: psycopg.Connection[Any], *, bucket: int, name: str) -> str:
    """A merchant in a bucket of the test's choice, whatever its id hashes to; its id."""
    merchant = ids.new("mer")
    conn.execute(
        "INSERT INTO merchants (id, bucket, name, created_at) VALUES (%s, %s, %s, now())", [merchant, bucket, name]
    )
    return merchant


def add_endpoint(conn: psycopg.Connection[Any], config: Config, merchant: str, url: str, **columns: Any) -> str:
    """An endpoint of a merchant, with any columns; its id."""
    row: dict[str, Any] = {
        "merchant_id": merchant,
        "id": ids.new("whep"),
        "url": url,
        "sealed_secret": endpoints.seal_secret(make_sealer(config), merchant, SECRET),
        **columns,
    }
    names = ", ".join(row)
    conn.execute(
        f"INSERT INTO endpoints (bucket, {names}, created_at, updated_at)"
        f" SELECT bucket, {', '.join(f'%({name})s' for name in row)}, now(), now()"
        " FROM merchants WHERE id = %(merchant_id)s",
        row,
    )
    return str(row["id"])


def owe(
    conn: psycopg.Connection[Any],
    endpoint: str,
    count: int,
    *,
    kind: str = "webhook.deliver",
    due: str = "0 seconds",
    apart: str = "0 seconds",
) -> list[str]:
    """Events with one delivery each to an endpoint, due after `due`, each `apart` from the one before; delivery ids."""
    head = ids.lower_bound("x", time.time())[2:12]
    rows = conn.execute(
        """
        WITH made AS (
            SELECT e.bucket, e.merchant_id, e.id AS endpoint_id,
                   %(head)s || lpad((((extract(epoch FROM clock_timestamp()) * 1e6)::bigint %% 1e7)::bigint * 1e6
                                     + n)::bigint::text, 14, '0') || '00' AS tail, n
            FROM endpoints e CROSS JOIN generate_series(1, %(count)s) n
            WHERE e.id = %(endpoint)s
        ), told AS (
            INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)
            SELECT bucket, merchant_id, 'evt_' || tail, 'webhook.test', endpoint_id, 1,
                   '{"id":"evt_' || tail || '","n":' || n || '}', now()
            FROM made
        )
        INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id,
                            next_retry_at, created_at)
        SELECT bucket, merchant_id, 'dlv_' || tail, %(kind)s, 'evt_' || tail, 'webhook.test', endpoint_id, endpoint_id,
               now() + %(due)s::interval + n * %(apart)s::interval, now()
        FROM made ORDER BY n
        RETURNING id
        """,
        {"head": head, "count": count, "endpoint": endpoint, "kind": kind, "due": due, "apart": apart},
    ).fetchall()
    return sorted(next(iter(row.values())) if isinstance(row, dict) else row[0] for row in rows)
