"""Trouble that a command expects: one clear message, no traceback."""

from __future__ import annotations


class CliError(Exception):
    """A command cannot do what it was asked; the message says why and what to do.

    `code` is the exit code: 1 for what went wrong, 2 for what was asked wrongly.
    """

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Interrupted(KeyboardInterrupt):
    """Somebody asked us to stop: Ctrl-C, SIGTERM, or the terminal was closed."""
