"""E: what a claim costs when history is against it: dead rows that cannot go, and statistics of an empty queue.

Work that was done leaves dead entries at its old due times in `outbox_due`. While any snapshot on the server is older
than their end, they can neither be vacuumed nor skipped, and a claim that starts at the beginning of time walks all
of them. A claim that starts at its bucket's floor does not.

A queue is often empty when ANALYZE comes by. The planner then believes that it has no rows, whatever its size, until
the next ANALYZE, and takes any index to be as good as the right one. The claim's plan must not depend on that.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from bench.stage import PLANNED
from outbox import SQL
from outbox.work import BEGINNING

if TYPE_CHECKING:
    from datetime import datetime

    from bench.stage import Database

_BUCKET = 7
_KIND = "payment.process"
_BATCH = 200
_FILL = """
    INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)
    SELECT %s, 'mer_bench', 'pay_' || lpad(n::text, 26, '0'), 'payment.process',
           statement_timestamp() - (%s - n) * interval '50 ms', statement_timestamp()
    FROM generate_series(1, %s) n
"""


class Pages(msgspec.Struct, frozen=True):
    """8 KiB pages that one claim touches."""

    from_beginning: int
    from_floor: int


class Planned(msgspec.Struct, frozen=True):
    """Seconds of one claim of 200 rows."""

    fresh: float
    """The planner knows nothing yet."""
    misled: float
    """ANALYZE saw an empty table."""


def with_dead_rows(database: Database, *, dead: int) -> Pages:
    """Fill, pin a snapshot, finish everything, and claim: nothing is due any more, so all that is read is the way."""
    database.run("TRUNCATE outbox")
    database.run(_FILL, [_BUCKET, dead, dead])
    with psycopg.connect(database.url) as pin, _connect(database) as conn:
        pin.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        pin.execute("SELECT count(*) FROM merchants")
        newest = conn.execute("SELECT max(next_retry_at) - interval '2 seconds' FROM outbox").fetchone()
        assert newest is not None
        conn.execute("DELETE FROM outbox")
        _pages(conn, BEGINNING)  # reads the catalogue once
        return Pages(_pages(conn, BEGINNING), _pages(conn, newest[0]))


def with_old_statistics(database: Database, *, due: int) -> Planned:
    """Claim out of `due` rows, once planned without statistics and once with those of an empty table."""
    database.run("TRUNCATE outbox")
    database.run(_FILL, [_BUCKET, due, due])
    fresh = _claim_seconds(database)
    database.run("DELETE FROM outbox")
    database.run("ANALYZE outbox")
    database.run(_FILL, [_BUCKET, due, due])
    return Planned(fresh, _claim_seconds(database))


def _claim_seconds(database: Database) -> float:
    """The better of two."""
    best = float("inf")
    with _connect(database) as conn:
        for _ in range(2):
            began = time.perf_counter()
            claimed = conn.execute(SQL["claim_due"], _values(BEGINNING), prepare=True).fetchall()
            best = min(best, time.perf_counter() - began)
            assert len(claimed) == _BATCH, claimed[:1]
    return best


def _pages(conn: psycopg.Connection, floor: datetime) -> int:
    row = conn.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + SQL["claim_due"], _values(floor)).fetchone()
    assert row is not None
    plan = (json.loads(row[0]) if isinstance(row[0], str) else row[0])[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _values(floor: datetime) -> dict[str, Any]:
    return {
        "buckets": [_BUCKET],
        "floors": [floor],
        "kind": _KIND,
        "limit": _BATCH,
        "lease": 30.0,
        "dispatcher": "bench",
    }


def _connect(database: Database) -> psycopg.Connection:
    return psycopg.connect(database.url, autocommit=True, options=PLANNED)
