"""E: pages that a claim reads when a long transaction elsewhere keeps 70,000 dead rows in the outbox from vacuum.

Work that was done leaves dead entries at its old due times in `outbox_due`. While any snapshot on the server is older
than their end, they can neither be vacuumed nor skipped, and a claim that starts at the beginning of time walks all
of them. A claim that starts at its bucket's floor does not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import psycopg

from outbox import SQL
from outbox.work import BEGINNING

if TYPE_CHECKING:
    from datetime import datetime

    from bench.stage import Database

_BUCKET = 7
_FILL = """
    INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)
    SELECT %s, 'mer_bench', 'pay_' || lpad(n::text, 26, '0'), 'payment.process',
           statement_timestamp() - (%s - n) * interval '50 ms', statement_timestamp()
    FROM generate_series(1, %s) n
"""


class Pages(msgspec.Struct, frozen=True):
    """8 KiB pages that one claim touches."""

    dead: int
    """Rows that are dead and cannot be removed."""
    from_beginning: int
    from_floor: int


def measure(database: Database, *, dead: int) -> Pages:
    """Fill, pin, finish everything, and claim: nothing is due any more, so all that is read is the way there."""
    database.run(_FILL, [_BUCKET, dead, dead])
    with psycopg.connect(database.url) as pin, psycopg.connect(database.url, autocommit=True) as conn:
        pin.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        pin.execute("SELECT count(*) FROM merchants")
        newest = conn.execute("SELECT max(next_retry_at) - interval '2 seconds' FROM outbox").fetchone()
        assert newest is not None
        conn.execute("DELETE FROM outbox")
        conn.execute("ANALYZE outbox")
        # As the dispatcher plans it.
        conn.execute("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off")
        _pages(conn, BEGINNING)  # reads the catalogue once
        return Pages(dead, _pages(conn, BEGINNING), _pages(conn, newest[0]))


def _pages(conn: psycopg.Connection, floor: datetime) -> int:
    values = {"buckets": [_BUCKET], "floors": [floor], "kind": "payment.process", "limit": 200, "lease": 30.0}
    row = conn.execute(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + SQL["claim_due"], values | {"dispatcher": "bench"}
    ).fetchone()
    assert row is not None
    told = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    plan = told[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
