"""Stop without losing a request: say so first, then close the door, then finish what is in the house."""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import multiprocessing
import os
import signal
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from granian._granian import ListenerSpec
from granian.server.mp import MPServer

from kit import listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_QUEUE = 5.0  # seconds that workers get to accept what stands in the listener's queue
_SETTLE = 0.1  # seconds that a connection gets, once accepted, until its request is here
_ECHO = 0.5  # seconds; whoever runs us may pass on a Ctrl-C that the terminal has already sent to both
_CUT_SHORT = 128
_LOOK = 0.05  # seconds between looks at workers that are to end
_DONE = 1.0  # seconds without a connection after which a worker is ended: nothing can be in flight


class Server(MPServer):
    """Granian's processes behind one listening socket that all of them share, and that the parent closes.

    On SIGTERM or SIGINT, in this order: every worker is *leaving* for `leave` seconds and serves as before, but its
    answers close their connections; new connections are taken no more, those in the queue are accepted; the listener is
    closed; what is in flight is finished within `workers_kill_timeout` seconds. A second signal ends all of it at once.
    """

    def __init__(self, target: str, *, leave: float, **options: Any) -> None:
        """Set up.

        Args:
            target: `module:function`, called in each worker with a function that says whether it is leaving; gives
                the application.
            leave: seconds.
            **options: Granian's.
        """
        super().__init__(target, **options)
        self._leave = leave
        # A byte that parent and workers share: nothing to wait for, and a worker that is started late sees it too.
        self._leaving = multiprocessing.RawValue(ctypes.c_bool)
        self._signalled: float | None = None
        self._door: socket.socket | None = None

    def run(self) -> None:
        """Serve until a signal."""
        self.serve(target_loader=partial(_load, self.target, self._leaving), wrap_loader=False)

    def signal_handler_interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Begin to leave; the second time, end."""
        now = time.monotonic()
        if self._signalled is None:
            self._signalled = now
            self._leaving.value = True
            super().signal_handler_interrupt(signum, frame)  # type: ignore[no-untyped-call]
        elif now - self._signalled > _ECHO:
            for worker in self.wrks:
                worker.kill()  # type: ignore[no-untyped-call]
            os._exit(_CUT_SHORT + signum)

    def shutdown(self, exit_code: int = 0) -> None:
        """Leave, close, finish."""
        if self._signalled is not None and self._door is not None:
            time.sleep(max(0.0, self._signalled + self._leave - time.monotonic()))
            listener.drain(self._door, within=_QUEUE, settle=_SETTLE)
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def _stop_workers(self) -> None:
        # Granian's worker can miss the news that its last connection is closed, and then waits for ever (its waiter
        # does not look whether that has come before it waits). One that is without any for a while is done.
        for worker in self.wrks:
            worker.terminate()  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + (self.workers_kill_timeout or 0)
        idle = dict.fromkeys(self.wrks, 0.0)
        while (left := [one for one in self.wrks if one.is_alive()]) and time.monotonic() < deadline:  # type: ignore[no-untyped-call]
            for worker in left:
                idle[worker] = 0.0 if listener.connected(worker.inner.pid, self.bind_port) else idle[worker] + _LOOK
                if idle[worker] > _DONE:
                    worker.kill()  # type: ignore[no-untyped-call]
            time.sleep(_LOOK)
        super()._stop_workers()  # type: ignore[no-untyped-call]

    def _init_shared_socket(self) -> None:
        # As Granian does where the system does not balance several listeners of a port: one for all workers. What waits
        # in its queue is there for the next worker when one dies, and can be waited for when all are to go.
        holder = ListenerSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._door = socket.socket(fileno=holder.get_fd())
        self._door.set_inheritable(True)
        self._ssp, self._sso = None, self._door
        self._shd = holder  # type: ignore[assignment]


def heed_parent_alone() -> None:
    """In a worker, once it runs: a Ctrl-C in a terminal reaches its parent too, which stops workers when it is time."""
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _load(target: str, leaving: Any) -> Callable[..., Any]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until it runs
    # By name: a worker that is spawned, not forked, does not have the main module of its parent.
    module, _, name = target.partition(":")
    make: Callable[..., Callable[..., Any]] = getattr(importlib.import_module(module), name)
    return make(lambda: bool(leaving.value))
