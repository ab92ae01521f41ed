"""Run a dispatcher: `python -m dispatcher`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from dispatcher.app import Dispatcher
from gateway import config as settings
from gateway.secrets import make_sealer
from kit import files, logs
from kit.config import ConfigError


async def serve(dispatcher: Dispatcher) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, dispatcher.stop)
    await dispatcher.run()


def main() -> None:
    """Read the settings and run."""
    try:
        config = settings.load_service(dict(os.environ))
        make_sealer(config)
    except ConfigError as error:
        sys.exit(f"ledgate dispatcher: {error}")
    files.allow_many()  # every webhook in flight is a socket
    logs.setup(level=config.log_level, style=config.log_format, service="dispatcher")

    async def run() -> None:
        await serve(Dispatcher(config))

    uvloop.run(run())


if __name__ == "__main__":
    main()
