"""A health check tells a process that works from one that only runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kit.probe import ask


@pytest.fixture
def server() -> Iterator[str]:
    """Answers 200 at /health and 503 everywhere else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 503)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def test_a_url_must_answer_200(server: str) -> None:
    assert ask(f"{server}/health") is None
    assert "503" in (ask(f"{server}/health/ready") or "")


def test_nobody_at_the_url_is_unhealthy() -> None:
    assert "refused" in (ask("http://127.0.0.1:9") or "")


def test_one_who_hangs_up_is_unhealthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def hang_up() -> None:
            door.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        said = ask(f"http://127.0.0.1:{door.getsockname()[1]}/health")
        thread.join()
    assert said


def test_a_file_must_have_been_touched_within_ten_seconds(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    assert "No such file" in (ask(str(beat)) or "")
    beat.touch()
    assert ask(str(beat)) is None
    os.utime(beat, (time.time() - 11, time.time() - 11))
    assert "no beat for 11 s" in (ask(str(beat)) or "")


def test_the_exit_code_tells_it_and_a_reason_stands_on_standard_error(tmp_path: Path, server: str) -> None:
    def code(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "kit.probe", *arguments], capture_output=True, text=True, timeout=20, check=False
        )
        return done.returncode, done.stderr

    assert code(f"{server}/health") == (0, "")
    assert code(str(tmp_path / "beat"))[0] == 1
    assert "No such file" in code(str(tmp_path / "beat"))[1]
    assert code()[0] == 1
