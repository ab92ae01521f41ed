"""What is an outage, and what only looks like one."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
import structlog

from kit.db import Database


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
