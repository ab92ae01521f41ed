"""`ledgate check`: ask the database whether every rule of the ledger holds."""

from __future__ import annotations

import os

import psycopg

from gateway.cli import database
from gateway.cli.errors import CliError
from gateway.cli.screen import Screen
from gateway.config import load
from schema.invariants import INVARIANTS, broken


def run() -> int:
    """Run every invariant on the database of DATABASE_URL. 1 when one is broken.

    Raises:
        CliError: no database is named, it does not answer, or it lacks the schema.
    """
    url = load(dict(os.environ)).database_url
    if not url:
        raise CliError("DATABASE_URL is not set. It names the database to check.", code=2)
    database.await_ready(url, 5.0)
    screen = Screen()
    try:
        with psycopg.connect(url) as conn:
            # One snapshot for all of them: rules about work in motion hold at every moment, not across two.
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = broken(conn)
    except psycopg.Error as error:
        raise CliError(f"The check failed: {database.first_line(error)}") from error
    for name in INVARIANTS:
        rows = found.get(name, 0)
        screen.say(f"  {'✗' if rows else '✓'} {name.replace('_', ' ')}" + (f": {rows} rows" if rows else ""))
    return 1 if found else 0
