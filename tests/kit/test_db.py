"""What is an outage, and what only looks like one."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
import structlog

from kit import db, tasks
from kit.db import Database
from tests.support.ports import steady_port


async def test_a_deadlock_is_no_outage(empty_database_url: str) -> None:
    """Nor is a lock that was not had in time: the next caller is served, and nobody is told of an outage."""
    async with Database(empty_database_url, name="t", size=3, statement_timeout=9, wait=5) as database:
        both = asyncio.Barrier(2)

        async def lock(first: int, second: int) -> str:
            try:
                async with database.transaction() as conn:
                    await conn.execute("SET LOCAL deadlock_timeout = '10ms'")
                    await conn.execute("SELECT pg_advisory_xact_lock(%s)", [first])
                    await both.wait()
                    await conn.execute("SELECT pg_advisory_xact_lock(%s)", [second])
            except psycopg.errors.DeadlockDetected:
                return "deadlock"
            return "done"

        with structlog.testing.capture_logs() as lines:
            assert sorted(await asyncio.gather(lock(1, 2), lock(2, 1))) == ["deadlock", "done"]
            async with database.connection() as conn:
                await conn.execute("SELECT pg_advisory_lock(3)")
                async with database.transaction() as other:
                    await other.execute("SET LOCAL lock_timeout = '1ms'")
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        await other.execute("SELECT pg_advisory_xact_lock(3)")
    assert [line for line in lines if line["event"].startswith("database.")] == []


async def test_only_the_young_outage_is_waited_for() -> None:
    """From its beginning, not from each caller's: who comes later is told at once."""
    url = f"postgresql://nobody@127.0.0.1:{steady_port()}/x"
    async with Database(url, name="t", size=1, statement_timeout=9, wait=0.1, patience=0.3) as database:
        with pytest.raises(psycopg.OperationalError):
            await _ask(database)
        early = [asyncio.create_task(database.outlast()) for _ in range(3)]
        assert await asyncio.gather(*early) == [False] * 3
        late = asyncio.create_task(database.outlast())
        await asyncio.sleep(0)
        assert late.done()
        assert not late.result()


async def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a request in memory."""
    monkeypatch.setattr(db, "_MOST_WAITING", 2)
    url = f"postgresql://nobody@127.0.0.1:{steady_port()}/x"
    async with Database(url, name="t", size=1, statement_timeout=9, wait=0.1, patience=60) as database:
        with pytest.raises(psycopg.OperationalError):
            await _ask(database)
        waiting = [asyncio.create_task(database.outlast()) for _ in range(3)]
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [one.result() for one in done] == [False]
        await tasks.end(*pending)


async def _ask(database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute("SELECT 1")
