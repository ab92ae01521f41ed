"""Make the histories' partitions ahead of time, and watch that no row had to go to a default partition.

The histories are cut by day at the time-ordered ids that they are keyed by; all days are UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from kit import ids

if TYPE_CHECKING:
    import psycopg

HISTORIES = {"events": "evt", "deliveries": "dlv", "delivery_attempts": "dlv"}
"""Table -> prefix of the id that it is cut by."""

DAYS_AHEAD = 7
_LOCK = 0x1ED6A7E5  # any constant: two processes must not make the same partition at once


def ensure(conn: psycopg.Connection[Any], today: date) -> list[str]:
    """Create what is missing from yesterday to `DAYS_AHEAD` days after `today`, and name what was created.

    Safe to call from several processes at once; the caller commits.
    """
    conn.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    there = {
        row[0]
        for row in conn.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " JOIN pg_class p ON p.oid = i.inhparent WHERE p.relname = ANY(%s)",
            [list(HISTORIES)],
        )
    }
    created = []
    for table, prefix in HISTORIES.items():
        for offset in range(-1, DAYS_AHEAD + 1):
            day = today + timedelta(days=offset)
            name = f"{table}_{day:%Y%m%d}"
            if name in there:
                continue
            conn.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(name),
                    sql.Identifier(table),
                    _start(prefix, day),
                    _start(prefix, day + timedelta(days=1)),
                )
            )
            created.append(name)
    return created


def strays(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows in each default partition, counted up to 1,000: anything but 0 means that partitions are missing."""
    counts = {}
    for table in HISTORIES:
        query = sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT 1000) AS stray")
        row = conn.execute(query.format(sql.Identifier(f"{table}_default"))).fetchone()
        counts[table] = row[0] if row else 0
    return counts


def _start(prefix: str, day: date) -> sql.Literal:
    return sql.Literal(ids.lower_bound(prefix, datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))
