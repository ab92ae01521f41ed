"""A past to recover from: events and deliveries written in bulk, and recoveries stepped through by hand."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg

from gateway.config import Config
from kit import ids
from kit.db import Connection, Database
from outbox import recoveries, work
from tests.support.clock import Clock
from tests.support.paying import ALL, MERCHANT

Conn = psycopg.Connection[dict[str, Any]]

_numbers = itertools.count(1)


def write_past(
    conn: Conn,
    count: int = 1,
    *,
    to: Sequence[str] = (),
    status: str = "failed",
    event: str = "payment.success",
    ago: timedelta = timedelta(hours=1),
    subject: str | None = None,
) -> list[str]:
    """Write `count` events of some time ago, a millisecond apart, with a finished delivery of each to each of `to`.

    Straight into the tables, in one statement each, as a day of it would be too slow to live through. Returns the
    events' ids, oldest first. A delivery that failed has had its five attempts; their log is not written.
    """
    began = datetime.now(UTC) - ago
    events = []
    for n in range(count):
        at = began + timedelta(milliseconds=n)
        event_id = f"{ids.lower_bound('evt', at.timestamp())[:14]}{next(_numbers):014d}00"
        name = event.partition(".")[0]
        body = {"id": event_id, "event": event, "timestamp": int(at.timestamp()), "data": {name: {"id": f"pay_{n}"}}}
        events.append(
            {"id": event_id, "at": at, "body": msgspec.json.encode(body).decode(), "subject": subject or f"pay_{n}"}
        )
    whose = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id, "type": event, "status": status}
    values = whose | {"events": msgspec.json.encode(events).decode(), "to": list(to)}
    read = "json_to_recordset(%(events)s::json) AS v (id text, at timestamptz, body text, subject text)"
    conn.execute(
        "INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)"
        " SELECT %(bucket)s, %(merchant_id)s, v.id, %(type)s, v.subject, cardinality(%(to)s::text[]), v.body, v.at"
        f" FROM {read}",
        values,
    )
    conn.execute(
        "INSERT INTO deliveries (bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status,"
        " attempts, claims, response_code, created_at, last_attempt_at, finished_at)"
        " SELECT %(bucket)s, %(merchant_id)s, 'dlv_' || substr(v.id, 5, 24) || '0' || (e.n - 1), v.id, %(type)s,"
        " v.subject, e.id, %(status)s, 5, 5, CASE %(status)s WHEN 'failed' THEN 500 ELSE 200 END, v.at, v.at, v.at"
        f" FROM {read} CROSS JOIN unnest(%(to)s::text[]) WITH ORDINALITY AS e (id, n)",
        values,
    )
    return [one["id"] for one in events]


class Steps:
    """A dispatcher's hands on recoveries: claims what is due and takes one step of each."""

    def __init__(self, database: Database, clock: Clock, *, who: str = "one") -> None:
        self.clock = clock
        self.who = who
        self._database = database

    async def claim(self) -> list[recoveries.Step]:
        """Lease what is due and read how far it is."""
        async with self._database.connection() as conn:
            works = await work.claim(conn, "recovery.run", ALL, limit=20, lease=30.0, dispatcher=self.who)
            return await recoveries.load(conn, works)

    async def take(self, step: recoveries.Step) -> recoveries.Stepped | None:
        """Take it."""
        async with self._database.transaction() as conn:
            return await recoveries.step(conn, step, dispatcher=self.who)

    async def once(self, *, after: float = 0.0) -> list[recoveries.Stepped | None]:
        """Let seconds pass, then take a step of each recovery that is due."""
        self.clock.move(seconds=after)
        return [await self.take(step) for step in await self.claim()]

    async def to_the_end(self, conn: Conn, *, within: float = 30.0) -> None:
        """Step until no recovery has anything to do. Others of this server may hold the ledger back for a while."""
        end = time.monotonic() + within
        while conn.execute("SELECT FROM outbox WHERE kind = 'recovery.run'").rowcount:
            assert time.monotonic() < end, "recoveries that do not end"
            await self.once(after=1.0)


@contextlib.asynccontextmanager
async def stepping(config: Config, clock: Clock, *, who: str = "one") -> AsyncIterator[Steps]:
    """Hands on the database, in the dispatchers' role."""
    async with Database(
        config.database_url, name=f"steps-{who}", size=4, statement_timeout=30.0, wait=5.0, role="ledgate_dispatcher"
    ) as database:
        yield Steps(database, clock, who=who)


@contextlib.asynccontextmanager
async def as_api(config: Config) -> AsyncIterator[Connection]:
    """A transaction in the API's role, with a connection to spare: what looks after the pool waits for one, and to be
    given it just as it is ended costs half a second (kit/tasks.py)."""
    async with (
        Database(
            config.database_url, name="as-api", size=2, statement_timeout=30.0, wait=5.0, role="ledgate_api"
        ) as database,
        database.transaction() as conn,
    ):
        yield conn
