"""Clean up however a run ends: by itself, by Ctrl-C, by SIGTERM, by kill -9."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping

_PATIENCE = 60.0  # seconds


@contextlib.contextmanager
def guarded(*command: str, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """Have a command run after the block, or after our death.

    A shell waits for the end of a pipe of which we alone hold the other end. It is in a session of its own, so that
    what the terminal or CI sends to our group does not reach it.
    """
    guard = subprocess.Popen(
        ["/bin/sh", "-c", 'cat > /dev/null; exec "$@"', "guard", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(_PATIENCE)
