"""PostgreSQL 14 is refused by everything that would write to it, with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import calls
from tests.support.aged import aged
from tests.support.ports import steady_port
from tests.support.processes import ROOT, stack
from tests.support.waiting import until

REASON = "is too old: Ledgate needs 15 or newer"


@pytest.fixture
def old_url(empty_database_url: str) -> Iterator[str]:
    """The fresh database, seen as one of PostgreSQL 14."""
    with aged(empty_database_url) as url:
        yield url


@pytest.mark.parametrize("command", [["gateway.cli", "migrate"], ["gateway.cli", "up"], ["schema"]])
def test_what_would_migrate_says_so_and_leaves_it_alone(
    command: list[str], old_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": old_url,
        "LEDGATE_DATA_DIR": str(tmp_path),
        "PORT": str(steady_port()),
        "LEDGATE_TEST_MERCHANT_PORT": str(steady_port()),
        "COLUMNS": "300",
    }
    said = subprocess.run(
        [sys.executable, "-m", *command], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert said.returncode == 1
    assert REASON in said.stdout + said.stderr
    assert "Traceback" not in said.stderr
    with psycopg.connect(empty_database_url) as conn:
        ours = conn.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert ours.fetchall() == []


def test_processes_say_so_once_and_take_no_work(database_url: str, tmp_path: Path) -> None:
    """As with any outage they stay, and would go on by themselves once it is upgraded."""
    with aged(database_url) as url, stack(url, tmp_path) as shop:
        shop.api.start()
        dispatcher = shop.process("dispatcher")
        dispatcher.start()
        for process in (shop.api, dispatcher):
            until(lambda process=process: process.said("database.too_old"), within=60, what="the reason")
            assert REASON in process.said("database.too_old")[0]["detail"]
        assert calls.get(f"{shop.url}/health/ready").status_code == 503
        assert calls.get(f"{shop.url}/api/v1/test/jobs/status").status_code == 503
        assert dispatcher.terminate() == 0
        assert [len(process.said("database.too_old")) for process in (shop.api, dispatcher)] == [1, 1]
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT count(*) FROM dispatchers").fetchone() == (0,)
