"""Start processes that cannot outlive us."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Account(NamedTuple):
    """The user and group that a process runs as, by number."""

    uid: int
    gid: int


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    output: int | IO[bytes] = subprocess.PIPE,
    account: Account | None = None,
    last_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, with standard output and error both going to `output`.

    A Ctrl-C on our terminal does not reach it. On Linux the kernel sends it `last_signal` when we die, even
    by SIGKILL; elsewhere it is up to the caller to stop it. Without `account` it runs as ourselves.

    Raises:
        OSError: the program cannot be started, or `account` cannot be taken.
    """
    return (
        _spawner(os.getpid())
        .submit(
            subprocess.Popen,
            [str(part) for part in argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_binding(os.getpid(), last_signal),
        )
        .result()
    )


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, process `parent`, ends in whatever way. Linux only."""
    if bind := _binding(parent, signal.SIGKILL):
        bind()


def send(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    """Signal a child and everything in its process group; one that is gone is no error."""
    try:
        os.killpg(process.pid, signum)
    except ProcessLookupError:
        return


def alive(pid: int) -> bool:
    """Whether a process runs under this id; one that has ended and only awaits its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _stat(pid)[:1] != ["Z"]


def descendants(pid: int) -> list[int]:
    """Give the ids of all processes below `pid`; none where the system has no /proc."""
    parents = {
        int(entry.name): int(stat[1])
        for entry in Path("/proc").glob("[0-9]*")
        if len(stat := _stat(int(entry.name))) > 1
    }
    found = [pid]
    for above in found:
        found += [child for child, parent in parents.items() if parent == above]
    return found[1:]


def _stat(pid: int) -> list[str]:
    """Read the fields of /proc/<pid>/stat from the state on; the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@lru_cache(maxsize=1)
def _spawner(_pid: int) -> ThreadPoolExecutor:
    # The kernel's "parent" is the thread that forked: a child started from a short-lived worker thread would
    # be told of a death that is none. So one thread starts all of them and lives as long as this process.
    # Keyed by process, because a thread does not survive a fork of ours.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def _binding(parent: int, last_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: the child must not allocate or lock

    def bind() -> None:
        # Runs after the change of user, which would clear the setting.
        prctl(_PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before this was asked for: nobody is left to send the signal
            os._exit(1)

    return bind
