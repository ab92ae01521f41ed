"""The command line, and a ledger to read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.running import Ledgate, Ledger, build
from tests.support.server import fresh_database, make_template
from tests.support.sources import memory_server


@pytest.fixture(scope="session")
def ledger() -> Iterator[Ledger]:
    """One for all tests that only read, on a server of its own: the tail waits for whoever else writes."""
    with memory_server() as server, fresh_database(server.url, make_template(server.url)) as url:
        yield build(url)


@pytest.fixture
def look(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ledgate:
    """Commands that read the shared ledger."""
    return Ledgate(monkeypatch, capsys, ledger.config.database_url)


@pytest.fixture
def ledgate(
    demo_merchant: str, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ledgate:
    """Commands on a database of the test's own, with the demo merchant."""
    return Ledgate(monkeypatch, capsys, database_url)
