"""Folders and servers for the tests of our own PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit import pghome
from kit.embedded import Server
from tests.kit.servers import SMALL, open_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data directory that the tests share one after the other: to make one takes longer than most tests."""
    with open_folder() as path:
        yield path / "pg"


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., Server]]:
    """Start servers that are gone after the test."""
    servers: list[Server] = []

    def _start(data_dir: Path = data, **settings: str) -> Server:
        servers.append(Server.start(data_dir, settings={**SMALL, **settings}))
        return servers[-1]

    yield _start
    for server in servers:
        server.stop("immediate")


@pytest.fixture
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where root puts what cannot stay, instead of in /var/lib."""
    monkeypatch.setattr(pghome, "ELSEWHERE", folder / "elsewhere")
    return folder / "elsewhere"


@pytest.fixture
def private(folder: Path) -> Path:
    """A folder that only its owner may enter."""
    path = folder / "private"
    path.mkdir(mode=0o700)
    return path
