"""`ledgate demo`: one payment against a running gateway, followed to its verified webhooks."""

from __future__ import annotations

import os

from gateway.cli import first_payment
from gateway.cli.screen import Screen
from gateway.config import load


def run() -> int:
    """Make the payment and follow it. The exit code.

    Raises:
        CliError: it does not get there; says how far it got.
    """
    config = load(dict(os.environ))
    first_payment.follow(
        first_payment.base_url(config.host, config.port),
        first_payment.base_url(config.host, config.test_merchant_port),
        seconds=first_payment.SECONDS,
        tell=Screen().tick,
    )
    return 0
