"""One server for the run, one template database, a fresh copy for each test that asks."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import Config
from kit.db import Connection
from tests.support.browser import browser, context, page
from tests.support.guard import guarded
from tests.support.seeded import KIND, has_demo, make_seeded, settings
from tests.support.server import close, fresh_database, make_template
from tests.support.sources import FORCE, SourceError, find_server

__all__ = ["browser", "context", "page"]

_stack = contextlib.ExitStack()
# Workers of pytest-xdist inherit these from the process that started the server.
_URL, _TEMPLATE, _TOLD = "TEST_SERVER_URL", "TEST_SERVER_TEMPLATE", "TEST_SERVER_TOLD"
_SEEDED = "TEST_SERVER_SEEDED"


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            source = _stack.enter_context(find_server())
    except SourceError as error:
        raise pytest.UsageError(str(error)) from None
    os.environ |= {_URL: source.url, _TOLD: source.told}
    for chosen in ("DATABASE_URL", FORCE):
        os.environ.pop(chosen, None)  # this run's server, not for the processes that tests start
    if source.lasts:
        env = {**os.environ, "PYTHONPATH": str(config.rootpath)}
        _stack.enter_context(guarded(sys.executable, "-m", "tests.support.server", env=env))
    os.environ[_TEMPLATE] = make_template(source.url)
    os.environ[_SEEDED] = make_seeded(source.url, os.environ[_TEMPLATE])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: at the end, the other workers would wait for it."""
    items.sort(key=lambda item: "fuzz" not in item.path.parts)


def pytest_report_header() -> list[str]:
    return [
        f"database: {os.environ.get(_TOLD, 'none')}",
        "servers that tests stop, or want to themselves: embedded ones of their own",
    ]


def pytest_unconfigure(config: pytest.Config) -> None:
    close()
    _stack.close()


@pytest.fixture
def server_url() -> str:
    """A superuser's URL of the run's server."""
    return os.environ[_URL]


@pytest.fixture
def database_url(server_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, migrated database; for a test of the demo merchant, a copy of one that has it."""
    template, kind = (_SEEDED, KIND) if "demo_merchant" in request.fixturenames else (_TEMPLATE, "test")
    with fresh_database(server_url, os.environ[template], kind) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A fresh database without a schema."""
    with fresh_database(server_url, "template1") as url:
        yield url


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A look into the fresh database: autocommit, rows as dicts."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as made:
        yield made


@pytest.fixture
def config(database_url: str) -> Config:
    """Settings of test mode on the fresh database."""
    return settings(database_url)


@pytest.fixture
async def demo_merchant(config: Config) -> str:
    """The demo merchant of the quick start, in the fresh database; its id."""
    if not has_demo(config.database_url):
        await demo.seed(config.database_url, config)
    return demo.MERCHANT_ID


@pytest.fixture
async def db(config: Config, demo_merchant: str) -> AsyncIterator[Connection]:
    """An autocommitting connection to a database with the demo merchant."""
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as made:
        yield made
