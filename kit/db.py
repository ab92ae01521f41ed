"""Reach PostgreSQL: a pool that survives outages, visible transactions, one log line for each outage."""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, LiteralString, Self, TypeAlias

import psycopg
import structlog
from psycopg.rows import TupleRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from kit import oldest, tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import TracebackType

log = structlog.get_logger()

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[Connection]

_FIRST = 2.0  # seconds that the very first callers wait, when nobody knows yet whether the database is there
_BRIEF = 0.25  # seconds that a caller waits during an outage
_PROBE = 0.5  # seconds between looks whether an outage is over
_PROBE_SOON = 0.1  # the same while somebody waits for its end
_MOST_WAITING = 1000  # callers that wait for the end of an outage; each holds its request

# Every statement of ours goes by key, for one request or a small batch: nested loops, joined in the order in which they
# are written, are right whatever the statistics say of a table that was empty a moment ago. Left to itself on tables
# that were never analysed, the planner joined a batch of 200 payments with every order of the merchant and each of
# those with every payment (30 s at 1,000 payments; 0.1 s like this at 2,000), and read all orders for each new payment.
# Without a known LIMIT it takes a bitmap of 50,000 rows and sorts them for a page of ten that the index has in order.
PLANS = (
    "-c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off -c enable_bitmapscan=off"
    " -c join_collapse_limit=1 -c plan_cache_mode=force_generic_plan"
)

AWAY = (
    psycopg.OperationalError,  # refused, cut off, shutting down, statement timeout
    psycopg.InterfaceError,  # the connection was closed under us
    PoolTimeout,
    psycopg.errors.ReadOnlySqlTransaction,  # a standby that is being promoted
)
"""What a database that is away, starting or overloaded looks like. Nothing half done: a statement is a transaction."""


class Run:
    """What became of one run of a request in the database; `run` finds the current one."""

    def __init__(self) -> None:
        self.sent = False
        """A connection was had, so that something may have been done."""
        self.cut = False
        """An outage ended it."""


run: ContextVar[Run | None] = ContextVar("run", default=None)


async def fetch(conn: Connection, query: LiteralString, values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Run one statement and read its rows; none for a statement that gives none."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall() if cursor.description else []


class Database(AsyncConnectionPool[Connection]):
    """A pool, and the knowledge whether the database is there: an outage is told once, and costs callers little.

    Connections autocommit: `connection()` is for single statements, `transaction()` commits at its end. Entering it
    waits for nothing; while the database is away callers are told so after a quarter of a second instead of queueing.
    Who would rather wait for its end asks `outlast()`.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        size: int,
        statement_timeout: float,
        wait: float,
        role: str | None = None,
        patience: float = 0.0,
        rehearse: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        """Set up.

        Args:
            url: libpq connection string.
            name: `application_name`, as it shows in `pg_stat_activity`.
            size: most connections.
            role: the database role to work as, of which the login must be a member; the login's own without it.
            statement_timeout: seconds that one statement may take.
            wait: seconds that a caller waits for a connection before `PoolTimeout`.
            patience: seconds, from the beginning of an outage, for which `outlast()` waits.
            rehearse: what each new connection does before it is lent to anybody.
        """
        self._url = url
        self._settings: dict[str, Any] = {
            "autocommit": True,
            "prepare_threshold": 0,
            "application_name": name,
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "tcp_user_timeout": 15_000,  # ms; a network that swallows packets is an outage too
            "options": f"-c statement_timeout={int(statement_timeout * 1000)} -c timezone=UTC -c jit=off {PLANS}"
            + (f" -c role={role}" if role else ""),
        }
        super().__init__(
            url,
            kwargs=self._settings,
            min_size=min(2, size),
            max_size=size,
            timeout=min(_FIRST, wait),
            max_waiting=0,
            # After that long without success a try to connect is given up, and the next caller begins a new one: so
            # the back-off between tries, which begins at a second, never delays the end of an outage.
            reconnect_timeout=_PROBE,
            max_lifetime=1800.0,
            open=False,
            name=name,
            configure=self._prepare,
        )
        self._wait = wait
        self._too_old = False
        self._patience = patience
        self._rehearse = rehearse
        self._outlasting = 0
        self._away = asyncio.Event()
        self._back = asyncio.Event()
        self._back.set()
        self._since = time.monotonic()  # when it last went away or came back

    @asynccontextmanager
    async def connection(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the pool's
        *,
        reading: bool = False,
    ) -> AsyncIterator[Connection]:
        """A connection of the pool; `reading` promises that nothing will be written.

        Raises:
            psycopg.Error, PoolTimeout: see `AWAY` for those that mean an outage.
        """
        began = time.monotonic()
        current = run.get()
        try:
            async with super().connection(timeout) as conn:
                began = time.monotonic()  # a failure says something about the time from here on
                if _hung_up(conn):
                    await conn.close()
                    raise psycopg.OperationalError("the server has closed this connection, which was idle")
                if current is not None and not reading:
                    current.sent = True
                yield conn
        except psycopg.errors.QueryCanceled:
            log.warning("statement.timed_out")  # the database is there, or it could not have said so
            raise
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
            raise  # neither is an outage: the statement may be run again at once
        except AWAY as error:
            # A caller who loses patience just when an outage has ended has not found another.
            known = self._away.is_set() or began <= self._since
            if not known:
                self._lose(error)
            # A pool without a free connection, out of the blue, is overloaded: to ask again would make it worse.
            if current is not None and (known or not isinstance(error, PoolTimeout)):
                current.cut = True
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: commits at the end, rolls back on an exception."""
        async with self.connection() as conn, conn.transaction():
            yield conn

    async def outlast(self) -> bool:
        """Wait for the end of an outage while it is young; whether the database is there.

        At once with the answer when it is older than `patience`, or when very many wait already.
        """
        if self._back.is_set():
            return True
        left = self._since + self._patience - time.monotonic()
        if left <= 0 or self._outlasting >= _MOST_WAITING:
            return False
        self._outlasting += 1
        try:
            async with asyncio.timeout(left):
                await self._back.wait()
        except TimeoutError:
            return False
        finally:
            self._outlasting -= 1
        return True

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await tasks.end(self._watching)
        await self.close(timeout=2.0)

    async def _watch(self) -> None:
        """Look at the start, and during each outage until it is over."""
        while True:
            try:
                # A new connection: an old one may still answer while the server is going down.
                async with await psycopg.AsyncConnection.connect(self._url, **self._settings) as conn:
                    await self._admit(conn)
                    await conn.execute("SELECT 1")
            except AWAY as error:
                if not self._away.is_set():
                    self._lose(error)
            else:
                self._find()
                with contextlib.suppress(*AWAY):
                    # Those who stand in the pool's queue since before the outage: only a newcomer makes it connect.
                    async with super().connection():
                        pass
                await self._away.wait()
            await asyncio.sleep(_PROBE_SOON if self._outlasting else _PROBE)

    async def _prepare(self, conn: Connection) -> None:
        await self._admit(conn)
        if self._rehearse is not None:
            await self._rehearse(conn)

    async def _admit(self, conn: Connection) -> None:
        """Refuse a server that is too old, and say so once: to callers it is an outage."""
        try:
            oldest.require(conn.info.server_version)
        except oldest.TooOldError as error:
            await conn.close()
            if not self._too_old:
                log.error("database.too_old", detail=str(error))  # noqa: TRY400 - the trace would tell nothing
            self._too_old = True
            raise

    def _lose(self, error: Exception) -> None:
        log.warning("database.away", error=type(error).__name__, detail=_first_line(error))
        self._away.set()
        self._back.clear()
        self._since = time.monotonic()
        self.timeout = _BRIEF
        if not isinstance(error, PoolTimeout):
            # What cut this connection may have cut the others: none that was made before serves again, so that no
            # caller finds a dead one after the outage.
            self._renewing = asyncio.create_task(self.drain())

    def _find(self) -> None:
        if self._away.is_set():
            log.info("database.back", away_s=round(time.monotonic() - self._since, 1))
            self._away.clear()
            self._back.set()
        self._since = time.monotonic()
        self.timeout = self._wait


def _hung_up(conn: Connection) -> bool:
    """Whether the server has ended a connection while nobody looked; costs no round trip.

    Found out only by the next statement, it could not be told whether that was carried out.
    """
    look = select.poll()
    look.register(conn.fileno(), select.POLLIN)
    for _ in range(3):  # its last words, and the end; or something harmless, such as the news of a changed setting
        if not look.poll(0):
            return False
        try:
            conn.pgconn.consume_input()
        except psycopg.OperationalError:
            return True
    return True


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
