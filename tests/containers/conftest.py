"""Containers are played with when somebody asks for it: `make test-containers`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.composed import docker

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("CONTAINERS") == "1":
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="starts containers: `make test-containers`"))


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Who asked for containers has an engine, or is told that there is none."""
    docker("info", within=30)


@pytest.fixture(scope="module")
def failed(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """Whether a test has failed so far."""
    return lambda: request.session.testsfailed > 0
