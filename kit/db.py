"""Reach PostgreSQL: a pool that survives outages, visible transactions, one log line for each outage."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import psycopg
import structlog
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger()

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[Connection]

AWAY = (
    psycopg.OperationalError,  # refused, cut off, shutting down, statement timeout
    psycopg.InterfaceError,  # the connection was closed under us
    PoolTimeout,
    psycopg.errors.ReadOnlySqlTransaction,  # a standby that is being promoted
)
"""What a database that is away, starting or overloaded looks like. Nothing half done: a statement is a transaction."""


def make_pool(url: str, *, name: str, size: int, statement_timeout: float, wait: float, options: str = "") -> Pool:
    """A pool of autocommitting connections, not yet opened.

    Args:
        url: libpq connection string.
        name: `application_name`, as it shows in `pg_stat_activity`.
        size: most connections.
        statement_timeout: seconds that one statement may take.
        wait: seconds that a caller waits for a connection before `PoolTimeout`.
        options: more server settings, as `-c name=value`.
    """
    return AsyncConnectionPool(
        url,
        kwargs={
            "autocommit": True,
            "prepare_threshold": 0,
            "application_name": name,
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "tcp_user_timeout": 15_000,  # ms; a network that swallows packets is an outage too
            "options": f"-c statement_timeout={int(statement_timeout * 1000)} -c timezone=UTC -c jit=off {options}",
        },
        min_size=min(2, size),
        max_size=size,
        timeout=wait,
        max_waiting=0,
        reconnect_timeout=2.0,  # after an outage the pool asks again at least this often
        max_lifetime=1800.0,
        open=False,
        name=name,
    )


class Database:
    """A pool, and the knowledge whether the database is there: an outage is told once, and costs callers little.

    `connection()` autocommits, for single statements; `transaction()` commits at its end.
    """

    def __init__(self, pool: Pool, *, wait: float) -> None:
        self.pool = pool
        self.outage = OutageLog()
        self._wait = wait

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool.

        Raises:
            psycopg.Error, PoolTimeout: see `AWAY` for those that mean an outage. While one lasts, callers are told
                after a quarter of a second instead of queueing.
        """
        try:
            async with self.pool.connection(timeout=0.25 if self.outage.away else self._wait) as conn:
                yield conn
        except psycopg.errors.QueryCanceled:
            raise  # one statement took too long; the database is there
        except AWAY as error:
            if not self.outage.away:
                self.outage.lost(error)
                # Whatever cut this connection cut the idle ones too: drop them now, not one failed request each.
                self._purge = asyncio.create_task(self.pool.check())
            raise
        self.outage.fine()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: commits at the end, rolls back on an exception."""
        async with self.connection() as conn, conn.transaction():
            yield conn

    async def __aenter__(self) -> Self:
        await self.pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close(timeout=2.0)


class OutageLog:
    """Says once that the database is away and once that it is back, however many callers notice."""

    def __init__(self) -> None:
        self._since: float | None = None

    @property
    def away(self) -> bool:
        """Whether the last caller found the database away."""
        return self._since is not None

    def lost(self, error: BaseException) -> None:
        """Note a failure."""
        if self._since is None:
            self._since = time.monotonic()
            log.warning("database.away", error=type(error).__name__, detail=_first_line(error))

    def fine(self) -> None:
        """Note a success."""
        if self._since is not None:
            log.info("database.back", away_s=round(time.monotonic() - self._since, 1))
            self._since = None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def describe(url: str) -> dict[str, Any]:
    """Host, port and database name of a connection string; never its password."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return {
        "host": parts.get("host", "localhost"),
        "port": parts.get("port", 5432),
        "dbname": parts.get("dbname", ""),
    }
