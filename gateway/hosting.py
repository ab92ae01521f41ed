"""Host the API or the checkout in worker processes: the same limits, signals and settings for both."""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings

from gateway import config as settings
from gateway.secrets import make_sealer
from gateway.server import Server, heed_parent_alone
from kit import files, logs
from kit.children import die_with_parent
from kit.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar import Litestar

    from gateway.config import Config

_CONNECTIONS = 2048
_SPARE = 1  # seconds on top of the longest that a request may take, for the worker's own end


def enter() -> None:
    """First thing in a worker: a killed parent must not leave one that holds the port, not even one just started."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)


def make(
    build: Callable[[Config, Callable[[], bool]], Litestar], leaving: Callable[[], bool], *, service: str
) -> Callable[..., Any]:
    """The application of a worker, from its environment; `service` is what its log lines are of."""
    config = settings.load(dict(os.environ))
    logs.setup(level=config.log_level, style=config.log_format, service=service)
    app = build(config, leaving)
    app.on_startup.append(heed_parent_alone)
    # What stands now stays. Looked through again and again, its 100,000 objects would hold up somebody's request for
    # 30 ms each time.
    gc.collect()
    gc.freeze()
    return app


def run(
    target: str, *, service: str, port: Callable[[Config], int], streams: Callable[[Config], int] = lambda _: 0
) -> None:
    """Run until SIGTERM: then leave, finish the requests, take no new ones.

    Args:
        target: `module:function`, called in each worker.
        service: what a message names that the settings cannot be used.
        port: which of the settings it listens on.
        streams: how many answers of a worker may take long.
    """
    try:
        config = settings.load_service(dict(os.environ))
        make_sealer(config)
    except ConfigError as error:
        sys.exit(f"ledgate {service}: {error}")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    files.allow_many()
    serving(target, config, port=port(config), streams=streams(config)).run()


def serving(target: str, config: Config, *, port: int, streams: int) -> Server:
    """The server, which has not started.

    A worker takes `_CONNECTIONS` connections besides those that streams hold: whoever fills the one leaves the other.
    """
    return Server(
        target,
        leave=config.leave,
        address=config.host,
        port=port,
        interface=Interfaces.ASGI,
        # Where it must first find out which HTTP is spoken, it waits for ever for somebody who says nothing.
        http=HTTPModes.http1,
        loop=Loops.uvloop,
        workers=config.api_workers,
        backlog=_CONNECTIONS,
        backpressure=_CONNECTIONS + streams,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=math.ceil(config.request_timeout) + _SPARE,
        http1_settings=HTTP1Settings(header_read_timeout=round(config.head_timeout * 1000), max_buffer_size=64 * 1024),
        log_enabled=True,
        log_level="warning",
    )
