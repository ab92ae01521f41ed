"""A PostgreSQL of a test's own, to take away; and what its clients see meanwhile."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
from psycopg.rows import dict_row

from gateway import demo
from kit.embedded import Server
from tests.faults.shop import Look
from tests.support.load import HEADERS
from tests.support.processes import Stack
from tests.support.sources import PROGRAMS

ASKED = {
    "live": "/health",
    "ready": "/health/ready",
    "read": f"/api/v1/orders/{demo.ORDER_IDS[0]}",
    "work": "/api/v1/test/jobs/status",
}


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """A server that is gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix="ledgate-faults-"))
    folder.chmod(0o755)  # as root, the server runs as another user
    try:
        with Server.start(folder / "pg", programs=PROGRAMS) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def look(url: str) -> Iterator[Look]:
    """A connection to see what is there, once it is there again."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as conn:
        yield conn


class Seen(NamedTuple):
    """How the API answered while the database was away."""

    answers: set[tuple[str, int, str | None]]
    """What was asked, the status, the error's code."""
    slowest: float
    """Seconds."""


def watch(shop: Stack, *, seconds: float) -> Seen:
    """Keep asking the API in every way for as long as the outage is to last: not at all, or once at least."""
    answers = set()
    slowest = 0.0
    with httpx.Client(base_url=shop.url, headers=HEADERS, timeout=30) as client:
        end = time.monotonic() + seconds
        while (seconds and not answers) or time.monotonic() < end:
            for what, path in ASKED.items():
                asked = time.monotonic()
                answer = client.get(path)
                slowest = max(slowest, time.monotonic() - asked)
                answers.add((what, answer.status_code, answer.json().get("error", {}).get("code")))
    return Seen(answers, slowest)


AWAY = {
    ("live", 200, None),
    ("ready", 503, None),
    ("read", 503, "UNAVAILABLE"),
    ("work", 503, "UNAVAILABLE"),
}
"""What an API says whose database is away."""
