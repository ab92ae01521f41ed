"""Run the receiver until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys

from aiohttp import web

from test_merchant.app import log, make_app


def main() -> None:
    """Read the environment, listen, stop on SIGTERM or SIGINT without waiting for held requests.

    Raises:
        SystemExit: with one line, if the port is no port or cannot be had.
    """
    secret = os.environ.get("WEBHOOK_SECRET") or "whsec_test_abc123"
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("LEDGATE_TEST_MERCHANT_PORT") or "4000"
    if not (port.isdecimal() and 1 <= int(port) <= 65535):  # noqa: PLR2004 - the range of ports
        sys.exit(f"test merchant: LEDGATE_TEST_MERCHANT_PORT must be from 1 to 65535, not {port!r}")

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        web.run_app(
            make_app(secret),
            host=host,
            port=int(port),
            shutdown_timeout=0.5,
            access_log=None,
            print=lambda *_: log.info("test merchant listens on http://%s:%s", host, port),
        )
    except OSError as error:
        hint = "LEDGATE_TEST_MERCHANT_PORT chooses another port"
        sys.exit(f"test merchant: cannot listen on {host}:{port} ({error.strerror}); {hint}")


if __name__ == "__main__":
    main()
