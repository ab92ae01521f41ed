"""Find the operator's database, do something there, and tell trouble in one line."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import psycopg

from gateway.cli import database
from gateway.cli.errors import CliError
from gateway.cli.lock import last_holder
from gateway.cli.place import DEFAULTS, Place
from gateway.config import Config, load
from gateway.errors import LedgateError
from kit import sql
from kit.db import PLANS, Connection, fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

T = TypeVar("T")

TIMEOUT = 10
"""Seconds that one statement of an operator may take: a production database has better things to do."""

EPILOGUE = (
    "The database is the one of DATABASE_URL; without it, the one of a `make run` in this directory. "
    "Exit codes: 0 done, 1 not found or refused, 2 asked wrongly."
)
"""What the help of every noun ends with."""


class Target(NamedTuple):
    """Where an operator's command works, and under which settings."""

    url: str
    config: Config


def find() -> Target:
    """The database of DATABASE_URL, else the embedded one of a `ledgate up` that runs in this directory.

    Raises:
        CliError: there is neither.
        ConfigError: a setting is wrong.
    """
    environ = {name: value for name, value in os.environ.items() if value}
    config = load(environ)
    if config.database_url:
        return Target(config.database_url, config)
    place = Place.of(config)
    url = place.running_url()
    if url is None:
        raise CliError(
            f"No database: DATABASE_URL is not set, and no `make run` runs here (looked in {place.root}).", code=2
        )
    holder = last_holder(place.lock)
    if holder is None or holder.test_mode:  # as `ledgate up` settled it, or what we seal it could not open
        config = load(DEFAULTS | environ)
    return Target(url, config)


def read(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` on one snapshot, in a transaction that cannot write.

    Raises:
        CliError: the database cannot be had, or refuses.
    """

    async def run() -> T:
        async with connect(find(), writes=False) as conn, conn.transaction():
            return await work(conn)

    return asyncio.run(run())


def write(work: Callable[[Connection, Config], Awaitable[T]]) -> T:
    """Run `work` in one transaction.

    Raises:
        CliError: the database cannot be had, or refuses.
    """

    async def run() -> T:
        target = find()
        async with connect(target, writes=True) as conn, conn.transaction():
            return await work(conn, target.config)

    return asyncio.run(run())


@asynccontextmanager
async def connect(target: Target, *, writes: bool, whole_tables: bool = False) -> AsyncIterator[Connection]:
    """A connection that autocommits, until the block ends; what goes wrong in it is told as a `CliError`.

    Args:
        target: which database.
        writes: without it, the database refuses every change, and a transaction is one snapshot.
        whole_tables: let the planner read tables from end to end, where that is what is asked for.
    """
    where = database.where(target.url)
    # row_security=off is a refusal, not a way around: a login that would see a part only is told so.
    options = f"-c statement_timeout={TIMEOUT}s -c timezone=UTC -c jit=off -c row_security=off"
    options += " -c max_parallel_workers_per_gather=0"  # one core is enough to look around with
    if not whole_tables:
        options += f" {PLANS}"
    if not writes:
        options += " -c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
    try:
        conn = await psycopg.AsyncConnection.connect(
            target.url, autocommit=True, connect_timeout=5, application_name="ledgate operator", options=options
        )
    except psycopg.OperationalError as error:
        raise CliError(f"The database ({where}) cannot be reached: {database.reason(target.url, error)}") from None
    try:
        async with conn:
            with _told(where):
                yield conn
    except psycopg.OperationalError as error:
        raise CliError(f"The database ({where}) went away: {database.first_line(error)}") from None


async def rows(conn: Connection, name: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Run a statement of the operators with the filters that are given: a value of None is none."""
    given = {key: value for key, value in values.items() if value is not None}
    asked = sql.optional("gateway", name) & given.keys()
    return await fetch(conn, sql.compose("gateway", name, frozenset(asked)), given)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what the database says into what an operator can do about it."""
    try:
        yield
    except psycopg.errors.QueryCanceled:
        raise CliError(
            f"The database took longer than {TIMEOUT} s and was stopped. Ask for less: --merchant, --since, --limit."
        ) from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
        raise CliError(
            f"The database ({where}) has not the schema of this version. `ledgate migrate` brings it there."
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise CliError(
            f"This login may not do that: {database.first_line(error)}. "
            "Operators use the login that owns the tables (the one that runs `ledgate migrate`)."
        ) from None
    except psycopg.errors.ReadOnlySqlTransaction:
        raise CliError(f"The database ({where}) takes no changes now; it is a standby.") from None
    except LedgateError as error:
        raise CliError(error.description) from None
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise CliError(f"The database ({where}) refuses: {database.first_line(error)}") from None
