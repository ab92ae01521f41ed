"""Ask whether a process works, as a container's health check: `python -m kit.probe URL` or `… FILE`.

Exit code 0 when the URL answers 200 within 3 seconds, or when the file was touched within the last 10. Imports next to
nothing: it runs every few seconds beside every process.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_ANSWER = 3.0  # seconds
_BEAT = 10.0  # seconds; ten beats of a dispatcher


def ask(target: str) -> str | None:
    """Say what is wrong; None when all is well.

    Args:
        target: an HTTP URL, or the path of a file that is touched at each beat.
    """
    if target.startswith("http://"):
        return _http(target)
    try:
        age = time.time() - Path(target).stat().st_mtime
    except OSError as error:
        return f"{target}: {error.strerror}"
    return f"{target}: no beat for {age:.0f} s" if age > _BEAT else None


def _http(url: str) -> str | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment
    try:
        with direct.open(url, timeout=_ANSWER) as answer:
            return None if answer.status == 200 else f"{url}: {answer.status}"  # noqa: PLR2004
    except urllib.error.HTTPError as error:
        return f"{url}: {error.code} {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return f"{url}: {error}"


def main() -> None:
    """Read the one argument."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its argument
        sys.exit("usage: python -m kit.probe URL|FILE")
    sys.exit(ask(sys.argv[1]))


if __name__ == "__main__":
    main()
