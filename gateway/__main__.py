"""Serve the REST API: `python -m gateway`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway import hosting

if TYPE_CHECKING:
    from collections.abc import Callable


def make_app(leaving: Callable[[], bool]) -> Callable[..., Any]:
    """Called in each worker process, from its environment."""
    hosting.enter()  # before the imports, which take a second
    from gateway.api.app import make_app as build  # noqa: PLC0415 - the parent process needs none of it

    return hosting.make(build, leaving, service="api")


def main() -> None:
    """Run until SIGTERM."""
    hosting.run("gateway.__main__:make_app", service="api", port=lambda config: config.port)


if __name__ == "__main__":
    main()
