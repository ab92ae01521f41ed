"""The processes that `ledgate up` starts: their logs, their end, and what stops them in which order."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from gateway.cli.errors import CliError
from kit.children import send, spawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.cli.screen import Screen
    from kit.embedded import Server

_KEPT = 200  # log lines of each process that are kept to explain its death
_SHOWN = 20
_PUMP_SECONDS = 2.0  # for what a dead process has left in its pipe


class Service:
    """One child process, its output read line by line."""

    def __init__(
        self,
        screen: Screen,
        name: str,
        module: str,
        colour: str,
        *,
        stop_seconds: float,
        last_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.stop_seconds = stop_seconds
        """Seconds that it gets to stop by itself."""
        self.lines: deque[str] = deque(maxlen=_KEPT)
        self._screen = screen
        self._module = module
        self.colour = colour
        self._last_signal = last_signal
        self._aloud = False
        self._process: subprocess.Popen[bytes] | None = None
        self._pump: threading.Thread | None = None

    def start(self, environ: Mapping[str, str]) -> None:
        """Start it, in a session of its own and bound to our life."""
        self._process = spawn(
            [sys.executable, "-m", self._module],
            env={**environ, "PYTHONUNBUFFERED": "1"},
            last_signal=self._last_signal,
        )
        self._pump = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._pump.start()

    def speak(self) -> None:
        """From now on, pass its lines on to the screen."""
        self._aloud = True

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs, and before it was started."""
        return self._process.poll() if self._process else None

    def obituary(self) -> str:
        """Say how it ended, and its last words."""
        if self._pump:
            self._pump.join(_PUMP_SECONDS)
        code = self.exit_code
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        last = list(self.lines)[-_SHOWN:]
        words = ["Its last lines:", *(f"  {line}" for line in last)] if last else ["It said nothing."]
        return "\n".join([f"The {self.name} ended unexpectedly, with {how}. {words[0]}", *words[1:]])

    def ask_to_stop(self) -> None:
        """Send SIGTERM, to the process alone: it knows best how to end its own children."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop it and wait for its end; kill it when its time is up. Says so in one line."""
        if self._process is None:
            return
        if self._process.poll() is None:
            started = time.monotonic()
            self.ask_to_stop()
            try:
                self._process.wait(self.stop_seconds)
                self._screen.tick(f"{self.name} stopped", time.monotonic() - started)
            except subprocess.TimeoutExpired:
                self.kill()
                self._process.wait(10)
                self._screen.cross(f"{self.name} did not stop within {self.stop_seconds:.0f} s: killed")
        self.kill()  # whatever it has left behind in its session
        if self._pump:
            self._pump.join(_PUMP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill it and everything in its session's process group, at once."""
        if self._process:
            send(self._process, signal.SIGKILL)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - tells the type checker what spawn has done
        with process.stdout as pipe:
            for raw in pipe:
                line = raw.decode(errors="replace").rstrip()
                self.lines.append(line)
                if self._aloud:
                    self._screen.log(self.name, self.colour, line)


class Stack:
    """Everything that was started, to be watched, and to be stopped in the order that loses least."""

    def __init__(self, screen: Screen, *, drain: float) -> None:
        self._screen = screen
        self.server: Server | None = None
        """The embedded PostgreSQL, if it is ours."""
        # The dispatcher stops first, while what it talks to still answers; the database last.
        self.dispatcher = Service(
            screen,
            "dispatcher",
            "dispatcher",
            "magenta",
            stop_seconds=drain + 5,
            # When we are killed, the database goes at the same moment: to drain would be to wait for it in vain,
            # and what the dispatcher had claimed comes again when its lease ends.
            last_signal=signal.SIGKILL,
        )
        self.api = Service(screen, "API", "gateway", "cyan", stop_seconds=15)
        self.checkout = Service(screen, "checkout", "gateway.checkout", "yellow", stop_seconds=15)
        self.dashboard = Service(screen, "dashboard", "dashboard", "bright_blue", stop_seconds=15)
        self.test_merchant = Service(screen, "test merchant", "test_merchant", "green", stop_seconds=5)
        self.shop = Service(screen, "demo shop", "demo_shop", "blue", stop_seconds=5)
        self.services = (self.dispatcher, self.shop, self.checkout, self.dashboard, self.api, self.test_merchant)

    def check(self) -> None:
        """Notice a death.

        Raises:
            CliError: something that should run has ended; tells what it said last.
        """
        if self.server is not None and not self.server.running:
            tail = "\n".join(f"  {line}" for line in self.server.log_tail(_SHOWN))
            raise CliError(f"PostgreSQL ended unexpectedly. The last lines of its log:\n{tail}")
        for service in self.services:
            if service.exit_code is not None:
                raise CliError(service.obituary())

    def watch(self) -> None:
        """Pass on what everybody says, until somebody ends, which raises, or nobody reads it any more."""
        for service in self.services:
            service.speak()
        while not self._screen.closed:
            self.check()
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop everything, each within its time."""
        for service in self.services:
            service.stop()
        if self.server is not None:
            started = time.monotonic()
            self.server.stop("fast", wait=20)
            self._screen.tick("PostgreSQL stopped", time.monotonic() - started)
            self.server = None

    def kill(self) -> None:
        """End everything at once; the database recovers at its next start."""
        for service in self.services:
            service.kill()
        if self.server is not None:
            self.server.kill()
