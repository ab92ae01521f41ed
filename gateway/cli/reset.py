"""`ledgate reset`: remove the embedded database, when nobody uses it and somebody means it."""

from __future__ import annotations

import os
import sys

from gateway.cli.errors import CliError
from gateway.cli.lock import Lock, own
from gateway.cli.place import Place
from gateway.config import load
from kit import embedded


def run(*, yes: bool) -> int:
    """Ask unless `yes`, then remove it. The exit code.

    Raises:
        CliError: it is in use, or there is nobody to ask.
        EmbeddedError: the database cannot be removed.
    """
    place = Place.of(load(dict(os.environ)))
    if not place.root.exists():
        print(f"There is no database in {place.root}.")  # noqa: T201 - the command's answer
        return 0
    with Lock(place.lock) as lock:
        lock.acquire(own("", ""))
        if pid := embedded.running(place.postgres):
            raise embedded.AlreadyRunningError(pid, place.postgres)
        if not yes and not _agreed(f"Remove the database in {place.root}, with all payments in it?"):
            print("Nothing was removed.")  # noqa: T201
            return 1
        for gone in embedded.remove(place.postgres):
            print(f"Removed {gone}")  # noqa: T201
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise CliError("Nobody is here to be asked; `ledgate reset --yes` removes the database.", code=2)
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
