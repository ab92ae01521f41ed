"""Claim work under a lease, give it back, count it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from psycopg.rows import dict_row

from outbox import SQL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kit.db import Connection

Kind = Literal[
    "webhook.deliver", "webhook.retry", "webhook.ordered", "payment.process", "refund.process", "recovery.run"
]
"""The first three are deliveries: first attempts, later ones, and all of endpoints that keep their order."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""The floor of a full sweep."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed row of the outbox."""

    bucket: int
    merchant_id: str
    id: str
    event_id: str | None = None
    event_type: str | None = None
    endpoint_id: str | None = None
    attempts: int
    claims: int
    """The fence: what is written back counts only while the row still has this number."""
    created_at: datetime
    due_at: datetime


class Status(msgspec.Struct, frozen=True):
    """Open work now; finished work of the last 24 hours; whether a dispatcher was seen within 5 seconds."""

    pending: int
    processing: int
    completed: int
    failed: int
    running: bool


async def claim(
    conn: Connection, kind: Kind, floors: Mapping[int, datetime], *, limit: int, lease: float, dispatcher: str
) -> list[Work]:
    """Lease up to `limit` due rows of `kind` for `lease` seconds, oldest first in each bucket.

    Args:
        conn: autocommits, so that the lease is there for all at once.
        floors: the buckets to look at, in order of preference, each with the due time to begin at.
    """
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            SQL["claim_due"],
            {
                "buckets": list(floors),
                "floors": list(floors.values()),
                "kind": kind,
                "limit": limit,
                "lease": lease,
                "dispatcher": dispatcher,
            },
        )
        return msgspec.convert(await cursor.fetchall(), list[Work])


class Line(msgspec.Struct, frozen=True):
    """What may be claimed of one endpoint's line: so many, from that due time on (None: from the beginning)."""

    room: int
    floor: datetime | None = None


async def claim_lines(
    conn: Connection,
    kind: Kind,
    turns: Mapping[int, str],
    lines: Mapping[str, Line],
    *,
    room: int,
    limit: int,
    lease: float,
    dispatcher: str,
) -> list[Work]:
    """Lease up to `limit` due deliveries from endpoint to endpoint, of each as many as it may start.

    Args:
        conn: autocommits.
        kind: a kind of deliveries.
        turns: the buckets to look at, each with the endpoint after which to begin.
        lines: what is known of endpoints, by id.
        room: what an endpoint that is not known may start.
        limit: in all.
        lease: seconds.
        dispatcher: whose leases these are.
    """
    values = {
        "buckets": list(turns),
        "turns": list(turns.values()),
        "kind": kind,
        "lines": msgspec.json.encode(lines).decode(),
        "room": room,
        "limit": limit,
        "lease": lease,
        "dispatcher": dispatcher,
    }
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["claim_lines"], values)
        return msgspec.convert(await cursor.fetchall(), list[Work])


async def claim_heads(
    conn: Connection, buckets: Sequence[int], *, limit: int, lease: float, dispatcher: str
) -> list[Work]:
    """Lease of each line that keeps its order the oldest delivery, where that is due; of up to `limit` lines."""
    values = {"buckets": list(buckets), "limit": limit, "lease": lease, "dispatcher": dispatcher}
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["claim_heads"], values)
        return msgspec.convert(await cursor.fetchall(), list[Work])


async def release(conn: Connection, works: Iterable[tuple[Work, float]], *, dispatcher: str) -> int:
    """End leases now; each work is due again after its delay in seconds. Returns how many still were ours."""
    batch = [
        {"bucket": w.bucket, "merchant_id": w.merchant_id, "id": w.id, "claims": w.claims, "delay": delay}
        for w, delay in works
    ]
    values = {"batch": msgspec.json.encode(batch).decode(), "dispatcher": dispatcher}
    return (await conn.execute(SQL["release"], values)).rowcount


async def status(conn: Connection) -> Status:
    """Count work, in one statement."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL["status"])
        return msgspec.convert(await cursor.fetchone(), Status)


async def beat(
    conn: Connection,
    *,
    dispatcher: str,
    host: str,
    pid: int,
    version: str,
    delivered: int,
    processed: int,
    in_flight: int,
) -> Sequence[str]:
    """Tell that a dispatcher lives and hear the ids of all that do."""
    values = {
        "id": dispatcher,
        "host": host,
        "pid": pid,
        "version": version,
        "delivered": delivered,
        "processed": processed,
        "in_flight": in_flight,
    }
    return [row[0] for row in await (await conn.execute(SQL["beat"], values)).fetchall()]


async def leave(conn: Connection, dispatcher: str) -> None:
    """Take a dispatcher that stopped in order off the list."""
    await conn.execute(SQL["leave"], {"id": dispatcher})


async def tidy(conn: Connection) -> None:
    """Forget dispatchers and tallies that nothing can need any more."""
    await conn.execute(SQL["tidy"])
