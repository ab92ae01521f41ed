"""Indexes of tables in use, built while these are written to: within a migration they would keep writers out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_INDEX = re.compile(r"^CREATE INDEX IF NOT EXISTS (\w+)\s+ON (\w+) [^;]+;", re.MULTILINE)


def build(conn: psycopg.Connection[Any], migrations: Iterable[str]) -> list[str]:
    """Build what these migrations' texts make by `CREATE INDEX IF NOT EXISTS`, on tables that are there, and name it.

    The migration finds it then. A build waits, however long, for the transactions that are open, and keeps nobody
    waiting; one that was broken off is built anew. `conn` autocommits, and has no timeouts afterwards.
    """
    conn.execute("SET lock_timeout = 0")
    conn.execute("SET statement_timeout = 0")
    return [name for text in migrations for name in _of(conn, text)]


def _of(conn: psycopg.Connection[Any], text: str) -> Iterable[str]:
    for statement in _INDEX.finditer(text):
        name, table = statement.groups()
        valid = conn.execute(
            "SELECT to_regclass(%s), (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s))",
            [table, name],
        ).fetchone()
        if valid is None or valid[0] is None or valid[1]:
            continue
        if valid[1] is False:
            conn.execute(f'DROP INDEX CONCURRENTLY "{name}"')
        conn.execute(statement[0].replace("INDEX", "INDEX CONCURRENTLY", 1))
        yield name
