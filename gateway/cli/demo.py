"""`ledgate demo`: one payment against a running gateway, followed to its verified webhooks; and a past to look at."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

import psycopg

from gateway import figures
from gateway.cli import database, first_payment
from gateway.cli.errors import CliError
from gateway.cli.operators.session import find
from gateway.cli.screen import Screen
from gateway.config import load
from gateway.growth.grow import grow
from gateway.secrets import make_sealer
from kit.db import PLANS


def run(api: str | None, test_merchant: str | None, *, past: int, seed: int, again: bool) -> int:
    """Make the payment and follow it, then make up a past. The exit code.

    Args:
        api: base URL; the API of this machine without it.
        test_merchant: base URL; the test merchant of this machine without it.
        past: about how many payments of the last 30 days to make up; none for 0.
        seed: another one, another past.
        again: make up one more, also where there is one.

    Raises:
        CliError: it does not get there; says how far it got.
    """
    config = load(dict(os.environ))
    screen = Screen()
    first_payment.follow(
        (api or first_payment.base_url(config.host, config.port)).rstrip("/"),
        (test_merchant or first_payment.base_url(config.host, config.test_merchant_port)).rstrip("/"),
        seconds=first_payment.SECONDS + config.test_processing_delay / 1000,
        tell=screen.tick,
    )
    if past:
        _make_up(screen, past, seed, again=again)
    return 0


def _make_up(screen: Screen, past: int, seed: int, *, again: bool) -> None:
    try:
        target = find()
    except CliError:
        screen.say("  No past was made up: that takes the database (DATABASE_URL, or a `make run` in this directory).")
        return
    if not target.config.test_mode:
        screen.say("  No past was made up: that is done in test mode only.")
        return
    try:
        grown = grow(
            target.url,
            target.config,
            make_sealer(target.config),
            now=datetime.now(UTC),
            payments=past,
            seed=seed,
            again=again,
        )
        if grown is not None:
            asyncio.run(_count(target.url))
    except psycopg.Error as error:
        raise CliError(f"No past could be made up: {database.first_line(error)}") from error
    if grown is None:
        screen.say("  A past was made up before; --again adds another.")
        return
    screen.tick(
        f"30 days made up: {grown.payments:,} payments, {grown.events:,} events, {grown.deliveries:,} deliveries",
        grown.seconds,
    )


async def _count(url: str) -> None:
    """Dispatchers would in a minute; who looks at once sees it all."""
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=5, options=f"-c timezone=UTC -c jit=off {PLANS}"
    ) as conn:
        await figures.catch_up(conn)
