"""Reading as the dashboard does: under row security, with its planner settings."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from bench.stage import PLANNED
from gateway.merchants import Merchant
from kit.db import Connection
from tests.dashboard_data.past import Past, merchant


async def as_role(url: str, role: str) -> Connection:
    conn = await psycopg.AsyncConnection.connect(url, autocommit=True, options=f"{PLANNED} -c role={role}")
    conn.prepare_threshold = 0
    return conn


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[Connection]:
    """A connection such as the dashboard's."""
    async with await as_role(database_url, "ledgate_dashboard") as conn:
        yield conn


@pytest.fixture
async def watcher(database_url: str) -> AsyncIterator[Connection]:
    """The operators' role."""
    async with await as_role(database_url, "ledgate_operator") as conn:
        yield conn


@pytest.fixture
async def counter(database_url: str) -> AsyncIterator[Connection]:
    """The dispatchers' role."""
    async with await as_role(database_url, "ledgate_dispatcher") as conn:
        yield conn


@pytest.fixture
def mine() -> Merchant:
    return merchant("mine")


@pytest.fixture
def theirs() -> Merchant:
    """Somebody else, in another bucket."""
    return merchant("theirs")


@pytest.fixture
def past(mine: Merchant) -> Past:
    return Past(mine)
