"""Run the shop until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys

from aiohttp import web

from demo_shop.app import Settings, log, make_app

PUBLIC_KEY, PUBLIC_SECRET = "key_test_shop123", "secret_test_shop789"  # of test mode alone


def main() -> None:
    """Read the environment, listen, stop on SIGTERM or SIGINT.

    Raises:
        SystemExit: with one line, if the port is no port or cannot be had.
    """
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("LEDGATE_DEMO_SHOP_PORT") or "3002"
    if not (port.isdecimal() and 1 <= int(port) <= 65535):  # noqa: PLR2004 - the range of ports
        sys.exit(f"demo shop: LEDGATE_DEMO_SHOP_PORT must be from 1 to 65535, not {port!r}")
    key, secret = (os.environ.get(f"LEDGATE_DEMO_SHOP_{name}") or "" for name in ("KEY", "SECRET"))
    if not (key or secret) and os.environ.get("TEST_MODE", "true").strip().lower() in {"true", "1", "yes", "on", ""}:
        key, secret = PUBLIC_KEY, PUBLIC_SECRET
    settings = Settings(
        api_url=os.environ.get("LEDGATE_API_URL") or "http://localhost:8000",
        checkout_url=(os.environ.get("LEDGATE_CHECKOUT_URL") or "http://localhost:3001").rstrip("/"),
        webhook_url=os.environ.get("LEDGATE_DEMO_SHOP_WEBHOOK_URL") or f"http://localhost:{port}/webhook",
        key=key,
        secret=secret,
    )

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        web.run_app(
            make_app(settings),
            host=host,
            port=int(port),
            shutdown_timeout=0.5,
            access_log=None,
            print=lambda *_: log.info("demo shop listens on http://%s:%s", host, port),
        )
    except OSError as error:
        hint = "LEDGATE_DEMO_SHOP_PORT chooses another port"
        sys.exit(f"demo shop: cannot listen on {host}:{port} ({error.strerror}); {hint}")


if __name__ == "__main__":
    main()
