"""Which server a test run gets, what it says when it cannot have one, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import sources
from tests.support.processes import ROOT
from tests.support.sources import FORCE, SourceError, find_server
from tests.support.waiting import until

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
NO_IMAGE = 'test "$1" = info && echo 1000 && exit; exit 1'


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of `docker`, for a test to write."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "docker"
    program.touch(mode=0o755)
    return program


def _write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")


def test_without_an_engine_it_is_the_embedded_one_and_says_its_version(docker: Path) -> None:
    _write(docker, "exit 1")
    with find_server() as source, psycopg.connect(source.url) as conn:
        version = conn.execute("SHOW server_version").fetchone()
        durable = conn.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [sorted(DURABLE)])
        assert dict(durable.fetchall()) == DURABLE
    assert version
    assert source.told.startswith(f"PostgreSQL {version[0]} from an embedded server")
    assert source.told.endswith("(no container engine answers)")


def test_an_engine_that_hangs_is_given_up(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It, and a child of it that holds its output."""
    _write(docker, "sleep 60")
    monkeypatch.setattr(sources, "_ENGINE_SECONDS", 0.2)
    with pytest.raises(SourceError, match="no container engine answers"):
        sources.need_image("postgres:18")


def test_an_engine_that_cannot_get_the_image_is_told(docker: Path) -> None:
    _write(docker, NO_IMAGE)
    with pytest.raises(SourceError, match="has no image postgres:18 and cannot pull it"):
        sources.need_image("postgres:18")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({FORCE: "container"}, f"{FORCE}=container, but the container engine that answers has no image"),
        ({FORCE: "cloud"}, f"{FORCE}=cloud: it is embedded or container"),
        ({FORCE: "embedded", "DATABASE_URL": "postgresql://h/db"}, "unset one"),
        ({"DATABASE_URL": "postgresql://postgres:h1dden@127.0.0.1:1/db"}, "DATABASE_URL cannot be used: .*refused"),
    ],
)
def test_what_was_asked_for_and_cannot_be_had_ends_the_run(
    docker: Path, settings: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, without a password."""
    _write(docker, NO_IMAGE)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match=why) as caught, find_server():
        pass
    assert "h1dden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_login_that_may_too_little_is_told_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    login = f"small_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
        try:
            url = psycopg.conninfo.make_conninfo(database_url, user=login, password="x")
            monkeypatch.setenv("DATABASE_URL", url)
            with pytest.raises(SourceError, match="superuser"), find_server():
                pass
        finally:
            conn.execute(f"DROP ROLE {login}")


RUNS = ["tests/schema/test_migrations.py::test_up_down_up", "tests/e2e/test_logins.py", "-k", "up or itself"]


@contextlib.contextmanager
def _run(*arguments: str, **settings: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A test run of its own: its name, and its process."""
    name = uuid.uuid4().hex[:8]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TEST_SERVER_", "PYTEST_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=clean | settings | {"TEST_SERVER_RUN": name},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield name, process
        finally:
            process.kill()


def _databases(url: str, run: str) -> list[str]:
    with psycopg.connect(url) as conn:
        found = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"ledgate_%_{run}_%"])
        return [str(name) for (name,) in found]


def test_runs_at_once_on_one_server_do_not_see_each_other_and_leave_nothing(server_url: str) -> None:
    """But the two roles of migration 0008, which belong to the server: a run that takes its schema back leaves them."""
    with _run(*RUNS, DATABASE_URL=server_url) as (one, first), _run(*RUNS, DATABASE_URL=server_url) as (other, second):
        said = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], said
    assert all("from DATABASE_URL" in text for text in said)
    assert _databases(server_url, one) == _databases(server_url, other) == []


def test_a_run_that_is_killed_leaves_no_database(server_url: str) -> None:
    with _run("tests/schema", DATABASE_URL=server_url) as (name, process):
        until(lambda: _databases(server_url, name), within=60, what="a database of the run")
        process.kill()
        process.wait(30)
        until(lambda: not _databases(server_url, name), within=60, what="its databases are dropped")


def test_a_run_that_is_killed_leaves_no_container() -> None:
    try:
        sources.need_image(sources.IMAGE)
    except SourceError as error:
        pytest.skip(str(error))
    with _run("tests/schema", **{FORCE: "container"}) as (name, process):
        until(lambda: _containers(name), within=60, what="a container of the run")
        process.kill()
        process.wait(30)
        until(lambda: not _containers(name), within=60, what="its container is removed")


def _containers(run: str) -> str:
    asked = ["docker", "ps", "--all", "--quiet", "--filter", f"name=-{run}-"]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout
