"""`ledgate` commands in processes of their own, and what the tests look at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from kit.children import alive, descendants
from tests.support.ports import steady_port

LEDGATE = str(Path(sys.executable).with_name("ledgate"))
UP = "Ctrl-C stops everything"
KEYS = {"X-Api-Key": "key_test_abc123", "X-Api-Secret": "secret_test_xyz789"}
PATIENCE = 90.0  # seconds; bounds, not expectations


def until(condition: Callable[[], object], what: Callable[[], str], *, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to pass:\n{what()}"
        time.sleep(0.02)


def who(pids: list[int]) -> str:
    """The command lines of those that live."""
    return "\n".join(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids if alive(pid))


class Run:
    """One `ledgate` command in a process of its own."""

    def __init__(self, folder: Path, ports: tuple[int, ...], *args: str, **settings: str) -> None:
        self.folder = folder
        self.ports = ports
        self.said = ""
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LEDGATE_", "TEST_", "WEBHOOK_")) and name not in {"DATABASE_URL", "PORT"}
        }
        self.process = subprocess.Popen(
            [LEDGATE, *args],
            cwd=folder,
            env={
                **clean,
                "LEDGATE_DATA_DIR": str(folder / "data"),
                "PORT": str(ports[0]),
                "LEDGATE_TEST_MERCHANT_PORT": str(ports[1]),
                "LEDGATE_CHECKOUT_PORT": str(ports[2]),
                "LEDGATE_DEMO_SHOP_PORT": str(ports[3]),
                "LEDGATE_DASHBOARD_PORT": str(ports[4]),
                "TEST_PROCESSING_DELAY": "50",
                "COLUMNS": "80",
                **settings,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said += line.decode()

    def until_said(self, text: str) -> None:
        until(lambda: text in self.said or self.process.poll() is not None, lambda: self.said)
        assert text in self.said, self.said

    def ended(self) -> int:
        """Its exit code, once it has ended and everything it said is read."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        return code

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def everybody(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    def child(self, module: str) -> int:
        """The pid of the direct child that runs `module`."""
        for pid in descendants(self.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if command[1:3] == [b"-m", module.encode()]:
                return pid
        raise AssertionError(f"no {module} among the children")

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.ports[0]}{path}", headers=KEYS, trust_env=False)

    @property
    def payment_id(self) -> str:
        found = re.search(r"payment (pay_\w+) accepted", self.said)
        assert found, self.said
        return found[1]


def some_ports() -> tuple[int, ...]:
    """For the API, the test merchant, the checkout, the demo shop and the dashboard."""
    found: set[int] = set()
    while len(found) < 5:
        found.add(steady_port())
    return tuple(found)


def make_folder() -> Path:
    """A folder that every user may enter; pytest's own are private, which would have root move the data."""
    path = Path(tempfile.mkdtemp(prefix="ledgate-up-"))
    path.chmod(0o755)
    return path
