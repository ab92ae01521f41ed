"""Make, check and recognise a PostgreSQL data directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from kit import pghome
from kit.children import alive, send, spawn
from kit.pghome import EmbeddedError, Home

USER = "ledgate"
"""The superuser; it is let in from 127.0.0.1 without a password."""

_HBA = "# Written by Ledgate: this machine alone, without a password.\nhost all all 127.0.0.1/32 trust\n"
_INITDB_SECONDS = 300.0
_POLL = 0.02  # seconds


class AlreadyRunningError(EmbeddedError):
    """A live server owns the data directory."""

    def __init__(self, pid: int, data_dir: Path) -> None:
        super().__init__(
            f"PostgreSQL is already running on {data_dir}, as process {pid}. "
            f"Stop what started it, or the server itself: kill -INT {pid}"
        )
        self.pid = pid


def running(data_dir: Path) -> int | None:
    """Give the pid of the live server meant for `data_dir`, if there is one."""
    for place in pghome.places(data_dir):
        if (pid := status(place)[0]) and _is_postmaster(pid, place):
            return pid
    return None


def remove(data_dir: Path) -> list[Path]:
    """Remove the data, and what root had to place elsewhere for it. Gives the directories that are gone.

    Raises:
        EmbeddedError: a server is running on it, it is no data directory, or it cannot be removed.
    """
    if pid := running(data_dir):
        raise AlreadyRunningError(pid, data_dir)
    if _has_other_files(data_dir):
        raise EmbeddedError(_foreign(data_dir))
    removed = []
    for place in pghome.places(data_dir):
        try:
            if place.exists():
                shutil.rmtree(place)
                removed.append(place)
        except OSError as error:
            raise EmbeddedError(f"Cannot remove {error.filename or place}: {error.strerror}") from None
    return removed


def check(home: Home) -> None:
    """Refuse a data directory that this user, or this version, cannot use.

    Raises:
        EmbeddedError: which of these it is, and what to do.
    """
    writable = os.W_OK | os.X_OK
    data_dir = home.data_dir
    if not os.access(data_dir.parent, writable) or (data_dir.exists() and not os.access(data_dir, writable)):
        raise EmbeddedError(
            f"{data_dir} cannot be written by this user. "
            "If an earlier start made it as root, start as root again; else choose another place."
        )
    if pghome.is_made(data_dir):
        made_by = (data_dir / "PG_VERSION").read_text().strip()
        if made_by != str(home.major):
            raise EmbeddedError(
                f"The data in {data_dir} was made by PostgreSQL {made_by}, "
                f"and this is PostgreSQL {home.major} ({home.programs}). "
                "Move it away to keep it, or remove it: make clean-data"
            )
    elif _has_other_files(data_dir):
        raise EmbeddedError(_foreign(data_dir))


def make(home: Home) -> None:
    """Run initdb, beside the place and renamed, so that a cut-off one never looks like a database.

    Raises:
        EmbeddedError: initdb failed; what it said is in the message.
        OSError: the place cannot be written.
    """
    data_dir = home.data_dir
    for left in data_dir.parent.glob(f"{data_dir.name}.initdb-*"):
        if not alive(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    partial = data_dir.with_name(f"{data_dir.name}.initdb-{os.getpid()}")
    partial.mkdir(mode=0o700)
    try:
        if home.account:
            os.chown(partial, *home.account)
        _run_initdb(home, partial)
        (partial / "pg_hba.conf").write_text(_HBA)
        with contextlib.suppress(FileNotFoundError):
            data_dir.rmdir()  # empty: a rename onto a directory that is not would fail
        partial.rename(data_dir)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def environment() -> dict[str, str]:
    """Give the server little of our environment: PGDATA, PGPORT or a missing locale would break it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def explain(message: str) -> str:
    """Add what to do about it, where a message alone does not say so."""
    if "No space left on device" in message:
        return f"{message}\nThe disk is full: free some space, or choose a data directory on another disk."
    return message


def status(data_dir: Path) -> tuple[int, str]:
    """Read postmaster.pid: the pid, and starting, ready or stopping; (0, "") when there is no whole one."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""  # noqa: PLR2004 - the eighth line, pidfile.h
    except (OSError, ValueError, IndexError):
        return 0, ""


def inhabitants(data_dir: Path) -> list[int]:
    """Give the ids of the server processes that live in a data directory; none where there is no /proc."""
    home = data_dir.resolve()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if (entry / "cwd").readlink() == home and (entry / "exe").readlink().name.startswith("postgres"):
                found.append(int(entry.name))
    return found


def await_end(data_dir: Path, wait: float) -> None:
    """Wait for a server that is shutting down, as one does whose owner was just killed.

    Raises:
        AlreadyRunningError: it lives and does not mean to stop, or took more than `wait` seconds.
    """
    deadline = time.monotonic() + wait
    while True:
        pid, state = status(data_dir)
        if not pid or not _is_postmaster(pid, data_dir):
            return
        if state != "stopping" or time.monotonic() > deadline:
            raise AlreadyRunningError(pid, data_dir)
        time.sleep(_POLL)


def forget_stale_pid(data_dir: Path) -> None:
    """Remove a dead server's postmaster.pid where PostgreSQL would believe it.

    It takes the file over by itself, unless the pid now belongs to another process of the same user. To
    remove it is safe: PostgreSQL still finds leftover backends by the shared memory segment, whose key is the
    directory's inode.
    """
    pid, _ = status(data_dir)
    if pid and alive(pid) and not _is_postmaster(pid, data_dir):
        (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _run_initdb(home: Home, target: Path) -> None:
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    argv: list[str | Path] = [
        home.programs / "initdb",
        *("--pgdata", target, "--username", USER, "--auth", "trust", "--encoding", "UTF8"),
        # The built-in locale sorts alike on every machine and survives an upgrade of its C library.
        *(builtin if home.major >= 17 else ["--locale=C.UTF-8"]),  # noqa: PLR2004 - it came with 17
        "--no-instructions",
    ]
    with spawn(argv, env=environment(), cwd="/", account=home.account, last_signal=signal.SIGKILL) as process:
        try:
            said, _ = process.communicate(timeout=_INITDB_SECONDS)
        except subprocess.TimeoutExpired:
            send(process, signal.SIGKILL)
            raise EmbeddedError(f"initdb did not finish within {_INITDB_SECONDS:.0f} s.") from None
        except BaseException:
            send(process, signal.SIGKILL)
            raise
    if process.returncode != 0:
        tail = "\n".join(said.decode(errors="replace").splitlines()[-12:])
        raise EmbeddedError(explain(f"PostgreSQL could not make its data directory {home.data_dir}:\n{tail}"))


def _has_other_files(data_dir: Path) -> bool:
    if pghome.is_made(data_dir) or not data_dir.is_dir():
        return False
    return any(entry.name != pghome.NOTE for entry in data_dir.iterdir())


def _foreign(data_dir: Path) -> str:
    return (
        f"{data_dir} holds files, but no PostgreSQL data (no PG_VERSION). Nothing in it was touched: "
        "move them away, or choose another place."
    )


def _is_postmaster(pid: int, data_dir: Path) -> bool:
    if not Path("/proc/self/cwd").exists():
        return alive(pid)  # no way to tell: PostgreSQL's own check decides
    try:
        # A postmaster lives in its data directory.
        return Path(f"/proc/{pid}/cwd").readlink() == data_dir.resolve()
    except OSError:
        return False  # gone, or another user's: not on a directory of ours
