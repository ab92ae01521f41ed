"""Ask whether a process works, as a container's health check: `python -m kit.probe URL` or `… FILE`.

Exit code 0 when the URL answers 200 within 3 seconds, or when the file was touched within the last 10. Imports next to
nothing: it runs every few seconds beside every process, and with an HTTP client it cost three times as much.
"""

from __future__ import annotations

import os
import socket
import sys
import time

_ANSWER = 3.0  # seconds
_BEAT = 10.0  # seconds; ten beats of a dispatcher
_MOST = 4096  # bytes of an answer that are looked at


def ask(target: str) -> str | None:
    """Say what is wrong; None when all is well.

    Args:
        target: an `http://` URL, or the path of a file that is touched at each beat.
    """
    if target.startswith("http://"):
        return _http(target)
    try:
        age = time.time() - os.stat(target).st_mtime  # noqa: PTH116 - pathlib would take as long as all the rest
    except OSError as error:
        return f"{target}: {error.strerror}"
    return f"{target}: no beat for {age:.0f} s" if age > _BEAT else None


def _http(url: str) -> str | None:
    where, _, path = url.removeprefix("http://").partition("/")
    host, _, port = where.partition(":")
    try:
        with socket.create_connection((host, int(port or 80)), timeout=_ANSWER) as conn:
            conn.sendall(f"GET /{path} HTTP/1.1\r\nHost: {where}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while len(answer) < _MOST and (more := conn.recv(_MOST)):
                answer += more
    except OSError as error:
        return f"{url}: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status == [b"200"]:
        return None
    return f"{url}: {b''.join(status).decode(errors='replace') or 'no answer'} {body[:300].decode(errors='replace')}"


def main() -> None:
    """Read the one argument."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its argument
        sys.exit("usage: python -m kit.probe URL|FILE")
    sys.exit(ask(sys.argv[1]))


if __name__ == "__main__":
    main()
