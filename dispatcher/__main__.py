"""Run a dispatcher: `python -m dispatcher`."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys

import uvloop

from dispatcher.app import Dispatcher
from gateway import config as settings
from gateway.secrets import make_sealer
from kit import logs
from kit.config import ConfigError

_FILES = 65_536


async def serve(dispatcher: Dispatcher) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, dispatcher.stop)
    await dispatcher.run()


def _open_files() -> None:
    """Every webhook in flight is a socket: allow as many as the machine lets us, 65,536 at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Read the settings and run."""
    try:
        config = settings.load_service(dict(os.environ))
        make_sealer(config)
    except ConfigError as error:
        sys.exit(f"ledgate dispatcher: {error}")
    _open_files()
    logs.setup(level=config.log_level, style=config.log_format, service="dispatcher")

    async def run() -> None:
        await serve(Dispatcher(config))

    uvloop.run(run())


if __name__ == "__main__":
    main()
