"""Run tests on the oldest PostgreSQL that works: `python -m tests.support.oldest [--long] [pytest's arguments]`.

Two tests at a time, unless told otherwise (`-n 0`).

The server, and those that tests start for themselves, are of its programs where they are installed, else the run's one
is a container. Where neither can be had, one line says so and nothing fails: not every machine has an old server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kit.oldest import OLDEST
from tests.support import sources

PROGRAMS = Path(f"/usr/lib/postgresql/{OLDEST}/bin")
"""Where Debian has them."""

SHORT = (
    "tests/schema",  # every statement is PREPAREd; migrations both ways; invariants; retention
    "tests/outbox/test_work.py",  # claims, settling, leases
    "tests/gateway/test_payments_api.py",
    "tests/gateway/test_idempotency.py",
    "tests/gateway/test_list_plans.py",
    "tests/dispatcher/test_delivery.py",
)
LONG = ("tests/schema", "tests/outbox", "tests/gateway", "tests/checkout_page/test_paying.py", "tests/dispatcher")


def main() -> None:
    """Find a server, then become pytest."""
    given = sys.argv[1:]
    long = "--long" in given
    chosen = LONG if long else SHORT
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    if (PROGRAMS / "postgres").is_file():
        env |= {sources.FORCE: "embedded", "TEST_POSTGRES_PROGRAMS": str(PROGRAMS)}
    else:
        image = f"postgres:{OLDEST}"
        try:
            sources.need_image(image)
        except sources.SourceError as error:
            sys.stdout.write(
                f"!!! NOTHING WAS TESTED ON POSTGRESQL {OLDEST}: no programs in {PROGRAMS} (Debian: apt-get install "
                f"postgresql-{OLDEST}), and {error}\n"
            )
            return
        env |= {sources.FORCE: "container", "TEST_POSTGRES_IMAGE": image}
    os.execve(
        sys.executable,
        [sys.executable, "-m", "pytest", "-n", "2", *(one for one in given if one != "--long"), *chosen],
        env,
    )


if __name__ == "__main__":
    main()
