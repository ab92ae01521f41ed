"""Look across all merchants: for operators' pages alone, for one transaction, and without any right to write."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kit.db import Connection, Database

ROLE = "ledgate_operator"


@asynccontextmanager
async def operating(database: Database) -> AsyncIterator[Connection]:
    """A connection that sees every merchant's rows until the block ends; routes that use it need `OPERATOR`.

    The role is entered for the transaction, which a pooler keeps together, and left with it.
    """
    async with database.connection(reading=True) as conn, conn.transaction():
        await conn.execute(f"SET LOCAL ROLE {ROLE}")
        yield conn
