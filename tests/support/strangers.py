"""Another merchant with a key of its own, and what of the first one's must not move when it tries."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from gateway.config import Config
from gateway.merchants import add_key, add_merchant

_WATCHED = (
    "endpoints", "endpoint_health", "events", "outbox", "deliveries", "delivery_attempts", "api_keys",
    "idempotency_keys",
)  # fmt: skip


async def stranger(config: Config) -> dict[str, str]:
    """Make another merchant; the headers of its calls."""
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        key, secret = await add_key(conn, await add_merchant(conn, "Other"))
    return {"X-Api-Key": key, "X-Api-Secret": secret}


def everything(conn: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """Every row of every table that webhooks and keys touch, with the version of each: equal, or something was done."""
    return {
        table: conn.execute(sql.SQL("SELECT t.*, t.xmin FROM {} t ORDER BY t::text").format(sql.Identifier(table)))
        .fetchall()
        for table in _WATCHED
    }  # fmt: skip
