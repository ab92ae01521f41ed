"""Start a PostgreSQL of our own: as any user, as root too, and never one that outlives us."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import time
from typing import IO, TYPE_CHECKING, Literal, Self

from kit import pgdata, pghome
from kit.children import send, spawn
from kit.pgdata import USER, AlreadyRunningError, remove, running
from kit.pghome import EmbeddedError, Home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["SETTINGS", "USER", "AlreadyRunningError", "EmbeddedError", "Server", "remove", "running"]

SETTINGS: dict[str, str] = {
    # fsync and synchronous_commit stay as PostgreSQL has them: durability is the product.
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "jit": "off",  # short statements only: compiling them costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
    # An error's DETAIL quotes the row that was refused, with whatever is in it.
    "log_error_verbosity": "terse",
}
"""For development on a small machine; `Server.start(settings=…)` goes over them."""

_LOG = "server.log"
_LOG_LIMIT = 16 * 1024 * 1024  # bytes after which the next start begins a new log, keeping one old one
_PORTS = range(20_000, 32_000)  # below Linux's ephemeral ports, so no outgoing connection takes it in a restart
_PORT_TRIES = 20
_POLL = 0.02  # seconds


class Server:
    """A running PostgreSQL that belongs to this process. Make one with `Server.start`."""

    def __init__(self, home: Home, port: int, settings: Mapping[str, str], wait: float) -> None:
        self.data_dir = home.data_dir
        """Where the data really is; as root this may be elsewhere than asked for."""
        self.programs = home.programs
        """The directory of `psql`, `pgbench` and the others that came with the server."""
        self.version = home.version
        self.port = port
        self._account = home.account
        self._settings = {**SETTINGS, **settings}
        self._wait = wait
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @classmethod
    def start(
        cls,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        libraries: Sequence[str] = (),
        wait: float = 30.0,
        programs: Path | None = None,
    ) -> Server:
        """Start a server on `data_dir`, which is made first if it is not there, and wait until it takes work.

        It listens on a free port of 127.0.0.1, the same one from start to start where that is possible.

        Args:
            data_dir: an absent or empty directory, or one that an earlier start has made.
            settings: server settings, going over `SETTINGS`.
            libraries: to load at the start, those of them that the server came with.
            wait: seconds that the start, with any crash recovery, may take.
            programs: the directory of `initdb` and `postgres`; by default the wheel's, else the newest installed.

        Raises:
            EmbeddedError: it cannot be started; the message says what to do.
        """
        try:
            home = pghome.settle(data_dir, programs)
            pgdata.await_end(home.data_dir, wait)
            pgdata.check(home)
            if not pghome.is_made(home.data_dir):
                pgdata.make(home)
            settings = dict(settings or {})
            if loaded := [name for name in libraries if pghome.has_library(home.programs, name)]:
                settings["shared_preload_libraries"] = ",".join(loaded)
            for port in _free_ports(home.data_dir):
                server = cls(home, port, settings, wait)
                with contextlib.suppress(_PortTakenError):
                    server._launch()
                    return server
        except OSError as error:
            what = f"Cannot use {error.filename or data_dir}: {error.strerror or error}"
            raise EmbeddedError(pgdata.explain(what)) from error
        raise EmbeddedError("Found no free port for PostgreSQL on 127.0.0.1.")

    @property
    def url(self) -> str:
        """The libpq URL of the maintenance database."""
        return self.url_for("postgres")

    def url_for(self, database: str) -> str:
        """Give the libpq URL of a database of this server."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The process id of the postmaster; of the last one, when it is down."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self, lines: int = 15) -> list[str]:
        """Give the last lines of the server's log since its start."""
        try:
            with (self.data_dir / _LOG).open("rb") as log:
                log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 64 * 1024))
                return log.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast", *, wait: float = 30.0) -> None:
        """Stop the server; one that is down is no error.

        Args:
            mode: `smart` waits for clients to leave, `fast` turns them out, `immediate` leaves the next start
                a crash recovery.
            wait: seconds after which it is killed.
        """
        if self._process is None:
            return
        signum = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        if self.running:
            self._process.send_signal(signum)
        try:
            self._process.wait(wait)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut would; what was committed survives."""
        if self._process is None:
            return
        # The postmaster first, or it would see a backend die, begin its own recovery and start new ones. Its
        # children are found by where they live, since by then they are nobody's.
        if self.running:
            send(self._process, signal.SIGKILL)
        self._process.wait(10)
        deadline = time.monotonic() + 10
        while (left := pgdata.inhabitants(self.data_dir)) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL)

    def restart(self) -> None:
        """Start again on the same port, after `stop` or `kill` or from running.

        Raises:
            EmbeddedError: it does not come back.
        """
        self.stop()
        try:
            self._launch()
        except _PortTakenError as error:
            what = f"Port {self.port}, where this PostgreSQL was, has been taken meanwhile."
            raise EmbeddedError(what) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        pgdata.forget_stale_pid(self.data_dir)
        settings = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",  # a socket's path has a length limit that checkouts exceed
            "logging_collector": "off",
        }
        argv: list[str | Path] = [self.programs / "postgres", "-D", self.data_dir]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        with self._open_log() as log:
            self._log_start = log.tell()
            self._process = spawn(
                argv,
                env=pgdata.environment(),
                cwd="/",
                output=log,
                account=self._account,
                last_signal=signal.SIGINT,  # the fast shutdown: it writes a checkpoint and leaves
            )
        try:
            self._await_ready(self._process)
        except BaseException:
            self.stop("immediate", wait=10)
            raise

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._wait
        while process.poll() is None:
            if pgdata.status(self.data_dir) == (process.pid, "ready"):
                return
            if time.monotonic() > deadline:
                what = f"PostgreSQL was not ready within {self._wait:.0f} s."
                raise EmbeddedError(self._with_log(what))
            time.sleep(_POLL)
        if any("Address already in use" in line for line in self.log_tail(50)):
            raise _PortTakenError
        raise EmbeddedError(pgdata.explain(self._with_log("PostgreSQL stopped while starting.")))

    def _with_log(self, what: str) -> str:
        return "\n".join([f"{what} The end of {self.data_dir / _LOG}:", *self.log_tail()])

    def _open_log(self) -> IO[bytes]:
        path = self.data_dir / _LOG
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_LIMIT:
                path.replace(path.with_suffix(".log.1"))
        log = path.open("ab")
        if self._account:
            os.fchown(log.fileno(), *self._account)
        return log


class _PortTakenError(Exception):
    """Another process was quicker."""


def _free_ports(data_dir: Path) -> Iterator[int]:
    """Offer free ports, beginning at the same one for the same directory: a client's bookmark stays good."""
    first = int.from_bytes(hashlib.sha256(str(data_dir).encode()).digest()[:4], "big")
    offered = 0
    for step in range(len(_PORTS)):
        port = _PORTS[(first + step) % len(_PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
        offered += 1
        if offered == _PORT_TRIES:
            return
