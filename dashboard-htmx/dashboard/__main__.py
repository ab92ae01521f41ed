"""Serve the dashboard: `python -m dashboard`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from gateway import hosting

if TYPE_CHECKING:
    from collections.abc import Callable


def make_app(leaving: Callable[[], bool]) -> Callable[..., Any]:
    """Called in each worker process, from its environment."""
    hosting.enter()  # before the imports, which take a second
    from dashboard.app import make_app as build  # noqa: PLC0415 - the parent process needs none of it
    from dashboard.warm import warm  # noqa: PLC0415

    warm()
    return hosting.make(functools.partial(build, rehearsing=True), leaving, service="dashboard")


def main() -> None:
    """Run until SIGTERM."""
    hosting.run(
        "dashboard.__main__:make_app",
        service="dashboard",
        port=lambda config: config.dashboard_port,
        streams=lambda config: config.dashboard_streams,
    )


if __name__ == "__main__":
    main()
