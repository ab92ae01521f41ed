"""Serve the REST API: `python -m gateway`."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings

from gateway import config as settings
from gateway.secrets import make_sealer
from gateway.server import Server, heed_parent_alone
from kit import logs
from kit.children import die_with_parent
from kit.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_SPARE = 1  # seconds on top of the longest that a request may take, for the worker's own end


def make_app(leaving: Callable[[], bool]) -> Callable[..., Any]:
    """Called in each worker process, from its environment."""
    _end_with_parent()  # before the imports, which take a second
    from gateway.api.app import make_app as make  # noqa: PLC0415 - the parent process needs none of it

    config = settings.load(dict(os.environ))
    logs.setup(level=config.log_level, style=config.log_format, service="api")
    app = make(config, leaving)
    app.on_startup.append(heed_parent_alone)
    return app


def _end_with_parent() -> None:
    """A killed parent must not leave a worker that holds the port, not even one that has just been started."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)


def main() -> None:
    """Run until SIGTERM: then leave, finish the requests, take no new ones."""
    try:
        config = settings.load_service(dict(os.environ))
        make_sealer(config)
    except ConfigError as error:
        sys.exit(f"ledgate api: {error}")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    Server(
        "gateway.__main__:make_app",
        leave=config.leave,
        address=config.host,
        port=config.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=config.api_workers,
        backlog=2048,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=math.ceil(config.request_timeout) + _SPARE,
        http1_settings=HTTP1Settings(header_read_timeout=round(config.head_timeout * 1000), max_buffer_size=64 * 1024),
        log_enabled=True,
        log_level="warning",
    ).run()


if __name__ == "__main__":
    main()
