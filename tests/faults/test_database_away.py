"""PostgreSQL goes away and comes back: nobody has to do anything, and nothing that was acknowledged is lost."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from gateway import demo
from kit.embedded import Server
from schema.migrate import migrate
from tests.faults.shop import (
    LONG,
    Look,
    assert_all_told,
    assert_calm,
    assert_kept,
    assert_sound,
    await_quiet,
    open_shop,
    outages,
)
from tests.support.load import HEADERS, load
from tests.support.processes import Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, to stop and to kill; migrated."""
    folder = Path(tempfile.mkdtemp(prefix="ledgate-faults-"))
    folder.chmod(0o755)  # as root, the server runs as another user
    try:
        with Server.start(folder / "pg") as made:
            migrate(made.url)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def look(server: Server) -> Look:
    return psycopg.connect(server.url, autocommit=True, row_factory=dict_row)


class Seen(NamedTuple):
    statuses: dict[str, Counter[int]]
    slowest: float


def watch(shop: Stack, *, seconds: float) -> Seen:
    """Ask the API in every way while the database is away: for so long, as the fault lasts so long."""
    statuses = {"live": Counter(), "ready": Counter(), "read": Counter(), "jobs": Counter()}
    slowest = 0.0
    end = time.monotonic() + seconds
    with httpx.Client(base_url=shop.url, headers=HEADERS, timeout=15) as client:
        while time.monotonic() < end:
            for name, path in (
                ("live", "/health"),
                ("ready", "/health/ready"),
                ("read", f"/api/v1/orders/{demo.ORDER_IDS[0]}"),
                ("jobs", "/api/v1/test/jobs/status"),
            ):
                asked = time.monotonic()
                answer = client.get(path)
                slowest = max(slowest, time.monotonic() - asked)
                statuses[name][answer.status_code] += 1
    return Seen(statuses, slowest)
