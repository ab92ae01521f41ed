"""Real processes of ours on free ports, with their logs at hand."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from kit import children
from tests.support import calls
from tests.support.ports import steady_port
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]


class Process:
    """One of our processes; killed with its children at the end of the test."""

    def __init__(self, module: str, log: Path, env: dict[str, str]) -> None:
        self.module = module
        self.log = log
        self._env = env
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        with self.log.open("ab") as output:
            self._child = children.spawn(
                [sys.executable, "-m", self.module],
                env={"PATH": os.environ["PATH"], **self._env},
                cwd=str(ROOT),
                output=output,
                last_signal=signal.SIGKILL,
            )

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        assert self._child is not None
        return self._child.pid

    def kill(self) -> None:
        """kill -9, the whole group."""
        self._signal(signal.SIGKILL)
        self.wait()

    def terminate(self, *, within: float = 30.0) -> int:
        """SIGTERM, and its exit code."""
        assert self._child is not None
        self._child.send_signal(signal.SIGTERM)
        return self.wait(within=within)

    def wait(self, *, within: float = 30.0) -> int:
        """Wait for its end; its exit code."""
        assert self._child is not None
        return self._child.wait(within)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child is not None and self._child.poll() is None

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines that are JSON."""
        found = []
        for line in self.log.read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                value = msgspec.json.decode(line)
                if isinstance(value, dict):
                    found.append(value)
        return found

    def tail(self) -> str:
        """The end of its log, for the message of a test that waited in vain."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of that event."""
        return [line for line in self.lines() if line.get("event") == event]

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._child is not None:
            self._signal(signal.SIGKILL)
            self.wait()

    def _signal(self, number: int) -> None:
        assert self._child is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)


class Stack:
    """API, dispatchers and a receiver over one database, as real processes."""

    def __init__(self, database_url: str, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.api_port, self.merchant_port = steady_port(), steady_port()
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.receiver_url = f"http://127.0.0.1:{self.merchant_port}"
        self.env = {
            "DATABASE_URL": database_url,
            "PORT": str(self.api_port),
            "LEDGATE_TEST_MERCHANT_PORT": str(self.merchant_port),
            "TEST_MODE": "true",
            "TEST_PROCESSING_DELAY": "50",
            "WEBHOOK_RETRY_INTERVALS_TEST": "true",
            "LEDGATE_RATE_LIMIT": "1000000",  # a load is one key here
            "LEDGATE_RATE_BURST": "1000000",
            **settings,
        }
        self._processes: list[Process] = []
        self.api = self.process("gateway")
        self.receiver = self.process("test_merchant")

    def process(self, module: str, **settings: str) -> Process:
        """One more process, not started; its log goes to a file of its own."""
        log = self.folder / f"{len(self._processes)}-{module.rpartition('.')[2]}.log"
        one = Process(module, log, {**self.env, **settings})
        self._processes.append(one)
        return one

    def start_api(self) -> None:
        """Start the API and wait until it is ready."""
        self.api.start()
        self.await_api()

    def await_api(self, *, within: float = 20.0) -> None:
        """Wait for `/health/ready`."""

        def ready() -> bool:
            assert self.api.running, f"the API ended; log: {self.api.tail()}"
            with contextlib.suppress(httpx.HTTPError):
                return calls.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            return False

        until(ready, within=within, what=lambda: f"API ready; log: {self.api.tail()}")

    def start_receiver(self) -> None:
        """Start the test merchant and wait until it listens."""
        self.receiver.start()

        def up() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return calls.get(f"{self.receiver_url}/health", timeout=5).status_code == 200
            return False

        until(up, what="test merchant listens")

    def start_dispatcher(self, **settings: str) -> Process:
        """Start a dispatcher and wait until it works."""
        one = self.process("dispatcher", **settings)
        one.start()
        until(lambda: one.said("dispatcher.started"), what="dispatcher started")
        return one

    def close(self) -> None:
        """End every process."""
        for one in self._processes:
            one.close()


@contextlib.contextmanager
def stack(database_url: str, folder: Path, **settings: str) -> Iterator[Stack]:
    """A stack whose processes end with the block."""
    made = Stack(database_url, folder, **settings)
    try:
        yield made
    finally:
        made.close()
