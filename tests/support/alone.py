"""A server for one test module: the ledger waits for every transaction of the server that writes, other tests' too.

A module that reads the ledger takes both fixtures: `from tests.support.alone import database_url, server_alone`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import fresh_database, make_template
from tests.support.sources import memory_server


@pytest.fixture(scope="module")
def server_alone() -> Iterator[tuple[str, str]]:
    """The URL of a server that nobody else uses, and its migrated template."""
    with memory_server() as server:
        yield server.url, make_template(server.url)


@pytest.fixture
def database_url(server_alone: tuple[str, str]) -> Iterator[str]:
    """A fresh, migrated database on it."""
    with fresh_database(*server_alone) as url:
        yield url
