"""`ledgate migrate`: wait for the database, then bring it to the newest schema."""

from __future__ import annotations

import os

import psycopg

from gateway.cli import database
from gateway.cli.errors import CliError
from gateway.cli.screen import Screen
from gateway.config import load


def run(*, wait: float) -> int:
    """Migrate the database of DATABASE_URL. The exit code.

    Raises:
        CliError: no database is named, it stays away for `wait` seconds, or a migration fails.
    """
    from schema.migrate import migrate  # noqa: PLC0415 - its libraries are not needed to refuse

    url = load(dict(os.environ)).database_url
    if not url:
        raise CliError(
            "DATABASE_URL is not set. It names the database to migrate, "
            "such as postgresql://user:password@host:5432/dbname; `ledgate up` migrates its own by itself.",
            code=2,
        )
    screen = Screen()
    with screen.step(f"Waiting for the database ({database.where(url)})") as step:
        database.await_ready(url, wait)
        step.done = "database answers"
    try:
        with screen.step("Migrating") as step:
            applied = migrate(url)
            step.done = "the schema is the newest"
    except psycopg.Error as error:
        raise CliError(f"The migration failed: {database.first_line(error)}") from error
    for name in applied:
        screen.say(f"  applied {name}")
    if not applied:
        screen.say("  nothing was missing")
    return 0
