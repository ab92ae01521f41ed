"""Dispatchers that die, or stand still, at a chosen line between the claim of a delivery and its settling.

`python -m tests.faults.dying_deliverer` reads one JSON object a line: `point`, `how` (`die` or `pause`), `at` (at which
call), `log` (a file) and `env`, the settings. Each becomes a child, a whole dispatcher with a fake at that line; what
becomes of it is told in lines of `pid`, `stopped` and `ended`. The children are forks: importing costs more than dying.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from dispatcher.__main__ import serve
from dispatcher.app import Dispatcher
from dispatcher.connections import Connections
from dispatcher.deliver import Deliver
from dispatcher.sender import Sender
from gateway.config import load_service
from kit import logs
from outbox import deliveries

POINTS = ("claimed", "loaded", "sending", "connecting", "sent", "answered", "settling", "settled")
"""In the order in which a delivery passes them. At `sent` the receiver has the request: it does the killing."""

Call = Callable[..., Awaitable[Any]]


class _Fate:
    """What happens at the chosen line, at the chosen call of it."""

    def __init__(self, how: str, at: int) -> None:
        self._signal = {"die": signal.SIGKILL, "pause": signal.SIGSTOP}[how]
        self._left = at

    def meet(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)

    def before(self, call: Call) -> Call:
        async def fatal(*args: Any, **more: Any) -> Any:
            self.meet()
            return await call(*args, **more)

        return fatal

    def after(self, call: Call) -> Call:
        async def fatal(*args: Any, **more: Any) -> Any:
            done = await call(*args, **more)
            self.meet()
            return done

        return fatal

    def before_commit(self, settle: Call) -> Call:
        """The statement has done all it does, and its transaction is not committed."""

        async def fatal(conn: Any, *args: Any, **more: Any) -> Any:
            async with conn.transaction():
                counted = await settle(conn, *args, **more)
                self.meet()
                return counted

        return fatal


def _arm(point: str, fate: _Fate) -> None:
    """Put the fake where the product's own part is; of this process, which is about to end."""
    parts: dict[str, tuple[Any, str, Callable[[Call], Call]]] = {
        "claimed": (Deliver, "prepare", fate.before),
        "loaded": (deliveries, "load", fate.after),
        "sending": (Sender, "send", fate.before),
        "connecting": (Connections, "connect", fate.before),
        "answered": (Sender, "send", fate.after),
        "settling": (deliveries, "settle", fate.before_commit),
        "settled": (deliveries, "settle", fate.after),
    }
    if point in parts:
        owner, name, wrap = parts[point]
        setattr(owner, name, wrap(getattr(owner, name)))


def _run(order: dict[str, Any]) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    config = load_service(order["env"])
    logs.setup(level="info", style="json", service="dispatcher")
    _arm(order["point"], _Fate(order["how"], order["at"]))

    async def run() -> None:
        await serve(Dispatcher(config))

    uvloop.run(run())


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Make one child after the other, until the input ends."""
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _run(order)
                code = 0
            finally:
                os._exit(code)
        _say("pid", pid)
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                _say("stopped")
                continue
            _say("ended", os.waitstatus_to_exitcode(status))
            break


if __name__ == "__main__":
    main()
