"""Ask the database whether everything that must hold does hold; a sound one answers nothing, at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import tuple_row

from kit import sql

if TYPE_CHECKING:
    import psycopg

INVARIANTS: Final = sql.load("schema")
"""Name -> statement that gives the offending rows. The money's rules read the simulated processor's books."""


def broken(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """How many rows break each rule that is broken; empty when all hold. Reads whole tables: not for a hot path."""
    counts = {}
    with conn.cursor(row_factory=tuple_row) as cursor:
        for name, statement in INVARIANTS.items():
            row = cursor.execute("SELECT count(*) FROM (" + statement + ") AS offending").fetchone()
            if row is not None and row[0]:
                counts[name] = row[0]
    return counts
