"""`ledgate check` tells a sound ledger from a broken one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import psycopg

from gateway.config import Config
from kit.db import Connection
from schema.invariants import INVARIANTS
from tests.support.paying import pay
from tests.support.processes import ROOT


def _check(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway.cli", "check"]
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


async def test_a_sound_ledger_passes_and_a_lost_row_is_named(
    config: Config, db: Connection, conn: psycopg.Connection[dict[str, Any]]
) -> None:
    await pay(db, config, 3)
    sound = _check(config.database_url)
    assert (sound.returncode, sound.stdout.count("✓")) == (0, len(INVARIANTS)), sound.stderr

    conn.execute("DELETE FROM outbox WHERE kind = 'payment.process' AND id = (SELECT max(id) FROM payments)")
    broken = _check(config.database_url)
    assert broken.returncode == 1
    assert "✗ pending payment without work: 1 rows" in broken.stdout


def test_what_is_no_ledger_is_said_so(empty_database_url: str) -> None:
    said = _check(empty_database_url)
    assert said.returncode == 1
    assert "UndefinedTable" in said.stderr
    assert "Traceback" not in said.stderr
