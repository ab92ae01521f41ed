"""Deliveries: what an attempt needs, and what became of it."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from psycopg.rows import dict_row

from outbox import SQL
from outbox.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.db import Connection

BODY_KEPT = 16 * 1024
"""Bytes of a response's body that are kept."""


class Job(msgspec.Struct, frozen=True):
    """What an attempt needs. `body` or `url` are absent when the event or endpoint is gone."""

    body: str | None
    url: str | None
    sealed_secret: bytes | None
    sealed_previous_secret: bytes | None
    retry_schedule: list[int] | None
    enabled: bool


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP try as it is written down: times in UTC, headers as JSON text."""

    number: int
    started_at: datetime
    duration_ms: int
    request_headers: str
    response_code: int | None = None
    response_headers: str | None = None
    response_body: bytes | None = None
    error: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a delivery after an attempt, or without one when its endpoint takes nothing any more."""

    work: Work
    status: Literal["success", "retry", "failed"]
    attempt: Attempt | None = None
    delay: float | None = None
    """Seconds until the next attempt; with `retry` only."""
    disable: str | None = None
    """Why the endpoint gets nothing more."""


async def load(conn: Connection, works: Sequence[Work]) -> list[Job]:
    """Read the jobs of claimed deliveries, in their order."""
    batch = [
        {
            "n": n,
            "bucket": w.bucket,
            "merchant_id": w.merchant_id,
            "event_id": w.event_id,
            "endpoint_id": w.endpoint_id,
        }
        for n, w in enumerate(works)
    ]
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["load_deliveries"], {"batch": msgspec.json.encode(batch).decode()})
        rows = {row["n"]: row for row in await cursor.fetchall()}
    return [msgspec.convert(rows[n], Job) for n in range(len(works))]


async def settle(conn: Connection, outcomes: Sequence[Outcome], *, dispatcher: str) -> int:
    """Write outcomes down in one statement; returns how many counted, the others had lost their lease.

    Each work may stand in a batch once. `conn` autocommits; the commit does not wait for the disk.
    """
    values = {
        "batch": msgspec.json.encode([_item(n, outcome) for n, outcome in enumerate(outcomes)]).decode(),
        "dispatcher": dispatcher,
        "writer": f"{dispatcher}/deliver",
    }
    return (await conn.execute(SQL["settle_deliveries"], values)).rowcount


def _item(n: int, outcome: Outcome) -> dict[str, object]:
    work, attempt = outcome.work, outcome.attempt
    item: dict[str, object] = {
        "n": n,
        "bucket": work.bucket,
        "merchant_id": work.merchant_id,
        "work_id": work.id,
        "claims": work.claims,
        "endpoint_id": work.endpoint_id,
        "status": outcome.status,
        "delay": outcome.delay,
        "disable": outcome.disable,
    }
    if attempt is not None:
        item |= {
            "attempt": attempt.number,
            "started_at": attempt.started_at,
            "duration_ms": attempt.duration_ms,
            "request_headers": attempt.request_headers,
            "response_code": attempt.response_code,
            "response_headers": attempt.response_headers,
            "response_body": base64.b64encode(attempt.response_body).decode() if attempt.response_body else None,
            "error": attempt.error,
        }
    return item
