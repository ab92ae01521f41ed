"""Turn the first Ctrl-C, SIGTERM or SIGHUP into an orderly stop, and the second into an immediate one."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

from gateway.cli.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

_ECHO_SECONDS = 0.5


class Stopping:
    """While entered, a signal raises `Interrupted` in the main thread; after `begin`, it ends all at once."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self._at_once = at_once
        self._since: float | None = None
        self._before: dict[signal.Signals, object] = {}

    def begin(self) -> None:
        """From now on everything is being stopped; a signal cuts that short."""
        if self._since is None:
            self._since = time.monotonic()

    def __enter__(self) -> Self:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN:
                continue  # started with nohup: the terminal may go
            self._before[signum] = signal.signal(signum, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]

    def _heard(self, _signum: int, _frame: FrameType | None) -> None:
        if self._since is None:
            self.begin()
            raise Interrupted
        # Whoever runs us may pass on a Ctrl-C that the terminal has already sent to both.
        if time.monotonic() - self._since > _ECHO_SECONDS:
            for signum in self._before:
                signal.signal(signum, signal.SIG_IGN)  # an impatient third one would start this anew
            try:
                self._at_once()
                sys.stdout.flush()
            finally:
                os._exit(130)
