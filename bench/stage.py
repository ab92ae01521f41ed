"""Where everything is measured: a PostgreSQL of its own, durable, and real processes that die with us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql

from gateway import demo
from gateway.config import load
from kit import children
from kit.db import PLANS
from kit.embedded import EmbeddedError, Server
from schema.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
_TRACKING = {"shared_preload_libraries": "pg_stat_statements"}
# As our own processes plan.
PLANNED = f"-c timezone=UTC -c jit=off {PLANS}"
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Stage:
    """The server and the folder of one run."""

    def __init__(self, server: Server, folder: Path, *, counts_statements: bool) -> None:
        self.server = server
        self.folder = folder
        self.counts_statements = counts_statements
        """Whether pg_stat_statements is there; it counts only within `counting`, so that timed runs do not pay."""
        self._made = 0
        if counts_statements:
            self._track("none")

    @contextlib.contextmanager
    def database(self, name: str, *, kept: bool = False) -> Iterator[Database]:
        """A fresh, migrated database with the demo merchant; dropped at the end, or its rows would slow the next.

        One that is `kept` stays, and is found again as it was left, but for migrations.
        """
        with psycopg.connect(self.server.url, autocommit=True) as conn:
            there = conn.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None
            if not there:
                conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = self.server.url_for(name)
        migrate(url)
        if self.counts_statements:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        database = Database(self, url)
        asyncio.run(demo.seed(url, load(database.env)))
        try:
            yield database
        finally:
            with psycopg.connect(self.server.url, autocommit=True) as conn:
                if not kept:
                    conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def process(self, module: str, *argv: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """A Python process of ours; its output goes to a file, like a service's log."""
        self._made += 1
        with (self.folder / f"{self._made}-{module}.log").open("wb") as log:
            child = children.spawn(
                [sys.executable, "-m", module, *argv], env=_environment(env), cwd=str(ROOT), output=log
            )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)

    def result_of(self, argv: Sequence[object], *, within: float, env: dict[str, str] | None = None) -> str:
        """Run a program to its end and give what it printed.

        Raises:
            RuntimeError: it failed; the message has its last words.
        """
        child = children.spawn([str(part) for part in argv], env=_environment(env), cwd=str(ROOT))
        try:
            said = child.communicate(timeout=within)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            child.kill()
            raise RuntimeError(f"{argv[0]} did not end within {within:g} s") from None
        if child.returncode:
            raise RuntimeError(f"{argv[0]}: exit code {child.returncode}\n{said[-2000:]}")
        return said

    @contextlib.contextmanager
    def counting(self, on: Database) -> Iterator[None]:
        """Count statements from zero meanwhile."""
        on.run("SELECT pg_stat_statements_reset()")
        self._track("top")
        try:
            yield
        finally:
            self._track("none")

    def _track(self, what: str) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as conn:
            conn.execute(f"ALTER SYSTEM SET pg_stat_statements.track = '{what}'")
            conn.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)  # backends read it between two statements


class Api(NamedTuple):
    """A running API."""

    port: int
    pid: int
    """Of the process above its workers."""


class Database:
    """One database of the stage, and the settings of processes that use it."""

    def __init__(self, stage: Stage, url: str) -> None:
        self.stage = stage
        self.url = url
        # The load is one key's: the limit is counted, and never reached.
        self.env = {
            "DATABASE_URL": url,
            "TEST_MODE": "true",
            "LEDGATE_RATE_LIMIT": "1000000",
            "LEDGATE_RATE_BURST": "1000000",
        }

    def run(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """One statement of the bench itself; its rows, if it has any."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            cursor = conn.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def api(self) -> Iterator[Api]:
        """The API, ready."""
        port = free_port()
        with self.stage.process("gateway", env={**self.env, "PORT": str(port)}) as child:
            until(lambda: b" 200 " in ask(port, "/health/ready"), child=child)
            yield Api(port, child.pid)

    @contextlib.contextmanager
    def dispatcher(self) -> Iterator[subprocess.Popen[bytes]]:
        """One dispatcher with its default settings, which has told that it lives."""
        with self.stage.process("dispatcher", env=self.env) as child:
            until(lambda: bool(self.run("SELECT 1 FROM dispatchers")), child=child)
            yield child


@contextlib.contextmanager
def stage(settings: Mapping[str, str] | None = None, *, keep: Path | None = None) -> Iterator[Stage]:
    """Start a server in a folder of its own, durable unless `settings` say otherwise; all is gone at the end.

    But for the folder `keep`, in which the next run finds what this one has left.
    """
    asked = {**_DURABLE, **(settings or {})}
    folder = keep or Path(tempfile.mkdtemp(prefix="ledgate-bench-"))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # as root, the server runs as another user
    try:
        counts = True
        try:
            server = Server.start(folder / "pg", settings=asked | _TRACKING)
        except EmbeddedError:
            counts = False
            server = Server.start(folder / "pg", settings=asked)
        with server:
            yield Stage(server, folder, counts_statements=counts)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def until(probe: Callable[[], bool], *, within: float = 30.0, child: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until `probe` says yes.

    Raises:
        RuntimeError: it did not within that many seconds, or `child` ended.
    """
    end = time.monotonic() + within
    while not probe():
        if child is not None and child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended with {child.returncode}")
        if time.monotonic() > end:
            raise RuntimeError(f"did not come within {within:g} s")
        time.sleep(0.01)


def ask(port: int, path: str) -> bytes:
    """One GET on loopback, head and body; nothing if nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as line:
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return line.recv(65536)
    except OSError:
        return b""


def free_port() -> int:
    """A port that nobody listens on now, below those that the kernel gives to outgoing connections."""
    for port in random.sample(range(10_000, 20_000), 200):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


def _environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """None of the caller's settings: a LEDGATE_ variable or DATABASE_URL of theirs would change what is measured."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
    return {**kept, **(extra or {})}
