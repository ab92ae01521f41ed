"""`ledgate migrate`: wait for the database, bring it to the newest schema, make the logins that are asked for."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import psycopg

from gateway.cli import database, logins
from gateway.cli.errors import CliError
from gateway.cli.screen import Screen
from gateway.config import load
from gateway.demo import seed, seed_shop

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(*, wait: float, login: Sequence[str] = (), demo: bool = False) -> int:
    """Migrate the database of DATABASE_URL, make `login`s as `logins.read` reads them. The exit code.

    Raises:
        CliError: no database is named, it stays away for `wait` seconds, or a migration fails.
    """
    from schema.migrate import migrate  # noqa: PLC0415 - its libraries are not needed to refuse

    config = load(dict(os.environ))
    wanted = logins.read(login)
    url = config.database_url
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
        for name in applied:
            screen.say(f"  applied {name}")
        if not applied:
            screen.say("  nothing was missing")
        if wanted:
            with screen.step("Making logins") as step, psycopg.connect(url, autocommit=True) as conn:
                for one in wanted:
                    logins.ensure(conn, one, config)
                step.done = f"logins: {', '.join(one.name for one in wanted)}"
        if demo and not config.test_mode:
            screen.say("  no demo merchant: its credentials are public, it is made in TEST_MODE only")
        elif demo:
            with screen.step("Setting up the demo merchants") as step:
                asyncio.run(seed(url, config))
                asyncio.run(seed_shop(url, config))
                step.done = "demo merchants set up"
    except psycopg.Error as error:
        raise CliError(f"The migration failed: {database.first_line(error)}") from error
    return 0
