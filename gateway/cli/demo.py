"""`ledgate demo`: one payment against a running gateway, followed to its verified webhooks."""

from __future__ import annotations

import os

from gateway.cli import first_payment
from gateway.cli.screen import Screen
from gateway.config import load


def run(api: str | None, test_merchant: str | None) -> int:
    """Make the payment and follow it. The exit code.

    Args:
        api: base URL; the API of this machine without it.
        test_merchant: base URL; the test merchant of this machine without it.

    Raises:
        CliError: it does not get there; says how far it got.
    """
    config = load(dict(os.environ))
    first_payment.follow(
        (api or first_payment.base_url(config.host, config.port)).rstrip("/"),
        (test_merchant or first_payment.base_url(config.host, config.test_merchant_port)).rstrip("/"),
        seconds=first_payment.SECONDS + config.test_processing_delay / 1000,
        tell=Screen().tick,
    )
    return 0
