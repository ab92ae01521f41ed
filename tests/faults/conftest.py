"""A PostgreSQL that may be stopped and killed, since nobody else is on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.embedded import Server
from schema.migrate import migrate
from tests.faults.database import own_server
from tests.support.server import fresh_database


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of these tests' own, to stop and to kill."""
    with own_server() as made:
        yield made


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """A fresh, migrated database of it."""
    if not server.running:
        server.restart()
    with fresh_database(server.url, "template1") as made:
        migrate(made)
        yield made
