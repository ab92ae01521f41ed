"""The command line, and a ledger to read."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cli.running import Ledgate, Ledger, build
from tests.conftest import _TEMPLATE, _URL
from tests.support.server import fresh_database


@pytest.fixture(scope="session")
def ledger() -> Iterator[Ledger]:
    """One for all tests that only read."""
    with fresh_database(os.environ[_URL], os.environ[_TEMPLATE]) as url:
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
