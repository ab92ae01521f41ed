"""The receivers of examples/receivers as real processes, each with a database of its own or one that they share."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from kit import children
from tests.support.npm import Installed
from tests.support.ports import steady_port
from tests.support.processes import ROOT
from tests.support.server import fresh_database
from tests.support.tools import node_program
from tests.support.waiting import until

KIT = ROOT / "examples/receivers"
Language = Literal["python", "node"]
LANGUAGES: tuple[Language, ...] = ("python", "node")


class Receiver:
    """One receiver; `start` and `kill` it as often as a test likes, it keeps its port and its database."""

    def __init__(self, language: Language, installed: Installed, database_url: str, folder: Path, secret: str) -> None:
        self.secret = secret
        self.port = steady_port()
        self.url = f"http://127.0.0.1:{self.port}/webhook"
        self.log = folder / f"{language}.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._argv: list[str | Path]
        if language == "python":
            self._argv, self._cwd = [sys.executable, "receiver.py"], KIT / "python"
        else:
            self._argv, self._cwd = [node_program(), "receiver.js"], installed(KIT / "node")
        self._env = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": as_url(database_url),
            "PORT": str(self.port),
            "WEBHOOK_SECRET": secret,
        }

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self.log.open("ab") as output:
            self._child = children.spawn(
                self._argv, env=self._env, cwd=str(self._cwd), output=output, last_signal=signal.SIGKILL
            )

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens, what=f"a receiver that listens; log: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9, at whatever line it is."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait(30)


class Shop:
    """A look into a receiver's database: what it keeps."""

    def __init__(self, url: str, conn: psycopg.Connection[dict[str, Any]]) -> None:
        self.url = url
        self.conn = conn

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What a query gives."""
        return self.conn.execute(query, values).fetchall()  # type: ignore[call-overload, no-any-return]

    def await_done(self, count: int) -> None:
        """Wait until that many events were received, and all of them worked off."""

        def done() -> bool:
            (row,) = self.rows("SELECT count(*) AS n, count(done_at) AS done FROM received")
            return row == {"n": count, "done": count}

        until(done, within=30, what=f"{count} events worked off")

    def objects(self, kind: str) -> dict[str, Any]:
        """Id -> what is known of it; the version that stands beside it is its own."""
        rows = self.rows("SELECT id, version, data FROM objects WHERE kind = %s", kind)
        assert all(row["version"] == row["data"]["version"] for row in rows)
        return {row["id"]: row["data"] for row in rows}

    def shipped(self) -> list[str]:
        """The payments that the shop acted on, sorted."""
        return [row["payment_id"] for row in self.rows("SELECT payment_id FROM shipments ORDER BY 1")]


@contextlib.contextmanager
def shop_database() -> Iterator[Shop]:
    """A fresh database with receiver.sql."""
    with (
        fresh_database(os.environ["TEST_SERVER_URL"], "template1") as url,
        psycopg.connect(url, autocommit=True, row_factory=dict_row) as conn,
    ):
        for _ in range(2):  # it may be run again
            conn.execute((KIT / "receiver.sql").read_bytes())
        yield Shop(url, conn)


def as_url(conninfo: str) -> str:
    """libpq's key=value form as a URL, which all drivers read."""
    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    who = quote(parts["user"], safe="") + (f":{quote(parts['password'], safe='')}" if "password" in parts else "")
    where = urlencode({name: parts[name] for name in ("host", "port") if name in parts})
    return f"postgresql://{who}@/{parts['dbname']}?{where}"
