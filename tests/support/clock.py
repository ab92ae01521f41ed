"""The database's clock, moved by a test: hours pass at once, and nothing sleeps.

Leases and due times come from `statement_timestamp()` alone. In a database whose search path begins with the schema
`clock`, that name means a function of ours, which adds what the test has moved; the product's SQL is unchanged.
(Functions with a search path of their own, and the ids and shown times that processes make, keep the real time.)
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql


class Clock:
    """Moves the clock of one test's database. Make it before the processes that are to live by it connect."""

    def __init__(self, database_url: str) -> None:
        self.moved = 0.0
        """Seconds, in all."""
        self._url = database_url
        with psycopg.connect(database_url, autocommit=True) as conn:
            conn.execute("CREATE SCHEMA clock")
            conn.execute("GRANT USAGE ON SCHEMA clock TO PUBLIC")
            conn.execute("CREATE TABLE clock.moved (by interval NOT NULL)")
            conn.execute("GRANT SELECT ON clock.moved TO PUBLIC")
            conn.execute("INSERT INTO clock.moved VALUES ('0')")
            conn.execute(
                "CREATE FUNCTION clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE"
                " RETURN pg_catalog.statement_timestamp() + (SELECT by FROM clock.moved)"
            )
            name = conn.info.dbname
            query = "ALTER DATABASE {} SET search_path = clock, pg_catalog, public"
            conn.execute(sql.SQL(query).format(sql.Identifier(name)))

    def move(self, **by: float) -> None:
        """Let time pass: `move(hours=24)`."""
        self.moved += timedelta(**by).total_seconds()
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute("UPDATE clock.moved SET by = by + %s", [timedelta(**by)])

    def now(self) -> Any:
        """The database's time, as the product sees it."""
        with psycopg.connect(self._url, autocommit=True) as conn:
            row = conn.execute("SELECT statement_timestamp()").fetchone()
        assert row is not None
        return row[0]
