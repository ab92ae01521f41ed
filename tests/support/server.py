"""One PostgreSQL server for a test run, from three sources: DATABASE_URL, a container engine, the embedded wheel."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from kit.embedded import Server
from schema.migrate import migrate

IMAGE = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:18")


class Source(NamedTuple):
    """Where tests get their databases: the URL of a superuser's database, and how it came about."""

    url: str
    told: str


@contextlib.contextmanager
def find_server() -> Iterator[Source]:
    """A running server: `DATABASE_URL` if set, else a container where an engine answers, else the embedded wheel."""
    with contextlib.ExitStack() as stack:
        if url := os.environ.get("DATABASE_URL"):
            source = "DATABASE_URL"
        elif _engine_answers():
            from testcontainers.community.postgres import PostgresContainer

            container = stack.enter_context(PostgresContainer(IMAGE, driver=None))
            url, source = container.get_connection_url(), f"container {IMAGE}"
        else:
            folder = Path(tempfile.mkdtemp(prefix="ledgate-test-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o755)  # as root, the server runs as another user
            server = stack.enter_context(Server.start(folder / "pg"))
            url, source = server.url, "embedded wheel"
        with psycopg.connect(url) as conn:
            row = conn.execute("SHOW server_version").fetchone()
        yield Source(url, f"PostgreSQL {row[0] if row else '?'} from {source}")


def make_template(url: str) -> str:
    """A migrated database that tests copy; returns its name."""
    name = f"ledgate_template_{uuid.uuid4().hex[:12]}"
    _create(url, name)
    migrate(at(url, name))
    return name


@contextlib.contextmanager
def fresh_database(url: str, template: str) -> Iterator[str]:
    """A copy of the template of one's own; dropped afterwards. Yields its URL."""
    name = f"ledgate_test_{uuid.uuid4().hex[:12]}"
    _create(url, name, template)
    try:
        yield at(url, name)
    finally:
        drop(url, name)


def drop(url: str, name: str) -> None:
    """Drop a database, whoever is connected."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def at(url: str, name: str) -> str:
    """The same server, another database."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return psycopg.conninfo.make_conninfo(**{**parts, "dbname": name})


def _create(url: str, name: str, template: str = "template1") -> None:
    query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(query)


def _engine_answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
