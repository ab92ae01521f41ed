"""What the tests of our own PostgreSQL share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from kit.embedded import Server

ROOT = Path(__file__).parents[2]
SMALL = {"shared_buffers": "16MB", "max_connections": "20"}
OWNER = """
import pathlib, sys, time
from kit.embedded import Server
server = Server.start(pathlib.Path(sys.argv[1]), settings={"shared_buffers": "16MB"})
print(server.pid, server.port, flush=True)
time.sleep(60)
"""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private, which would have root move the data."""
    path = Path(tempfile.mkdtemp(prefix="ledgate-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def ask(server: Server, query: str) -> Any:
    with psycopg.connect(server.url, autocommit=True) as conn:
        cursor = conn.execute(query)
        return cursor.fetchone() if cursor.description else None


def until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def owner(data_dir: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Another process, that starts a server and prints its pid and port."""
    executable = options.pop("executable", sys.executable)
    env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen(
        [executable, "-c", OWNER, str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        **options,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate(timeout=20)
