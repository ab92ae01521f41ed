"""Deliveries: what an attempt needs, and what became of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from psycopg.rows import dict_row

from kit.db import fetch
from outbox import SQL
from outbox.work import Kind, Work

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
    sealed_headers: bytes | None
    rate: int | None
    """Most attempts a second."""
    ordered: bool
    """An event waits for the one before."""
    failing: bool
    """Nothing but failures since some time."""
    held_for: float | None
    """Seconds until the open circuit may be probed, 0.0 when it may be now; None when the circuit is closed."""


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
    """Why the endpoint gets nothing more,"""
    disabled_at: datetime | None = None
    """since when,"""
    fact: Mapping[str, str] | None = None
    """and the event that tells the merchant's other endpoints: its `event_id`, `type` and `body`."""
    unasked: bool = False
    """The receiver was never asked, for a reason of ours: such a failure says nothing of its health."""


class PastAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as merchants read it: times in UTC, durations in milliseconds."""

    number: int
    """From 1; starts over with a manual retry."""
    started_at: datetime
    duration_ms: int
    request_headers: dict[str, str]
    """As they were sent, signatures too; custom headers without their values."""
    response_code: int | None
    """Null when no answer came; `error` then says why."""
    response_headers: dict[str, str] | None
    response_body: str | None
    """The first 16 KiB as text; bytes that are no UTF-8 stand as replacement characters."""
    response_body_truncated: bool
    """16 KiB were kept, and the receiver may have sent more."""
    error: str | None


class Target(msgspec.Struct, frozen=True):
    """Where a delivery goes; without a URL when the endpoint is gone."""

    id: str
    url: str | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery with what is sent and every attempt that is kept. Times in UTC."""

    id: str
    event: str
    event_id: str
    """The `webhook-id` of every attempt."""
    endpoint: Target
    status: Literal["pending", "success", "failed"]
    attempts: int
    """That came to an end since it began or was last started over."""
    created_at: datetime
    last_attempt_at: datetime | None
    next_retry_at: datetime | None
    """When it is due; null when it is finished, or while an attempt is under way."""
    response_code: int | None
    body: str | None
    """The very bytes that every attempt sends; null when the event is past its retention."""
    history: list[PastAttempt]
    """The newest attempts first, those before a manual retry too; 50 at most."""
    history_has_more: bool


HISTORY_SHOWN = 50


async def read(conn: Connection, delivery_id: str, *, bucket: int, merchant_id: str) -> Delivery | None:
    """One delivery of a merchant, open or finished; None when there is none."""
    values = {"bucket": bucket, "merchant_id": merchant_id, "id": delivery_id, "limit": HISTORY_SHOWN + 1}
    rows = await fetch(conn, SQL["read_delivery"], values)
    if not rows:
        return None
    (row,) = rows
    history = [_past(item) for item in msgspec.json.decode(row["history"])]
    shown = row | {
        "endpoint": {"id": row["endpoint_id"], "url": row["endpoint_url"]},
        "history": history[:HISTORY_SHOWN],
        "history_has_more": len(history) > HISTORY_SHOWN,
    }
    return msgspec.convert(shown, Delivery)


def _past(item: dict[str, Any]) -> dict[str, Any]:
    body = None if item["response_body"] is None else bytes.fromhex(item["response_body"])
    headers = item["response_headers"]
    return item | {
        "request_headers": msgspec.json.decode(item["request_headers"]),
        "response_headers": None if headers is None else msgspec.json.decode(headers),
        "response_body": None if body is None else body.decode("utf-8", "replace"),
        "response_body_truncated": body is not None and len(body) >= BODY_KEPT,
    }


_MAX_RACES = 5

Verdict = Literal["ok", "unknown", "event_gone", "endpoint_gone", "endpoint_disabled"]


async def retry(conn: Connection, delivery_id: str, *, bucket: int, merchant_id: str) -> Verdict:
    """Send again now, attempts start over: one statement moves a finished delivery back, or makes an open one due.

    An attempt that is under way keeps its lease and counts as the one that was asked for: if it succeeds, the delivery
    is done; if it fails, the next follows at once and attempts start over there. Anything but `ok` changed nothing.
    `conn` may be in a transaction, of READ COMMITTED.
    """
    values = {"bucket": bucket, "merchant_id": merchant_id, "id": delivery_id}
    for _ in range(_MAX_RACES):
        rows = await fetch(conn, SQL["retry_delivery"], values)
        verdict: Verdict = rows[0]["verdict"] if rows else "unknown"
        if verdict != "ok" or rows[0]["taken"]:
            return verdict
        # It was moved between this statement's snapshot and its locks; the next snapshot sees where it is now.
    raise RuntimeError("a delivery was moved at each of five tries to retry it")


async def append_test(
    conn: Connection,
    event_id: str,
    *,
    event_type: str,
    body: str,
    created_at: datetime,
    endpoint_id: str,
    bucket: int,
    merchant_id: str,
) -> str:
    """Write a test event and its one delivery, due at once, in one statement; returns the delivery's id.

    `event_id` ends in `00`: the delivery's is derived from it, as in every fan-out.
    """
    delivery_id = "dlv_" + event_id.removeprefix("evt_")
    values = {
        "bucket": bucket,
        "merchant_id": merchant_id,
        "id": delivery_id,
        "event_id": event_id,
        "type": event_type,
        "body": body,
        "created_at": created_at,
        "endpoint_id": endpoint_id,
    }
    await fetch(conn, SQL["append_test_event"], values)
    return delivery_id


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


async def settle(
    conn: Connection,
    outcomes: Sequence[Outcome],
    *,
    dispatcher: str,
    kind: Kind = "webhook.deliver",
    trip_after: int = 50,
    open_base: float = 10.0,
    open_max: float = 300.0,
) -> int:
    """Write outcomes down in one statement; returns how many counted, the others had lost their lease.

    Each work may stand in a batch once. `conn` autocommits; the commit does not wait for the disk. `kind` is the lane
    that settles: two lanes of one dispatcher count what they finish in rows of their own. The endpoints' health is kept
    along with it: a success ends an endpoint's trouble, failures add to it. `trip_after` of them in a row open its
    circuit for `open_base` seconds; each probe that fails doubles them, up to `open_max`.
    """
    values = {
        "batch": msgspec.json.encode([_item(n, outcome) for n, outcome in enumerate(outcomes)]).decode(),
        "dispatcher": dispatcher,
        "writer": f"{dispatcher}/{kind}",
        "trip_after": trip_after,
        "open_base": open_base,
        "open_max": open_max,
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
        "unasked": outcome.unasked,
    }
    if outcome.fact is not None:
        item["fact"] = {**outcome.fact, "disabled_at": outcome.disabled_at}
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
