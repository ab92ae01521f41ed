"""Run `ledgate` within the test's process, and build a ledger for it to look at."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
import pytest

from gateway import captures, demo, refunds
from gateway.captures import CapturePayment
from gateway.cli import main
from gateway.config import Config, load
from gateway.merchants import add_merchant
from gateway.payments import CreatePayment, create
from gateway.refunds import CreateRefund
from gateway.secrets import make_sealer
from outbox import deliveries, work
from outbox.deliveries import Attempt, Outcome
from tests.support.paying import ALL, MERCHANT, pay
from tests.support.working import work_off

OTHER = "mer_other"
CARD = "4111111111111111"
NASTY = "boom \x1b[31m[red]\n\u202egnihton"
"""An answer that would steer a terminal, or rich's markup, if it were let through."""


class Said(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Ledgate:
    """The command line, in this process, with a clean environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.url = url

    def __call__(self, *args: str, columns: int = 80, **settings: str) -> Said:
        with self._monkeypatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("LEDGATE_", "TEST_MODE")) or name in {"DATABASE_URL", "FORCE_COLOR"}:
                    patch.delenv(name)
            for name, value in ({"DATABASE_URL": self.url, "COLUMNS": str(columns)} | settings).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["ledgate", *args])
            self._capsys.readouterr()
            code: Any = 0
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
            out, err = self._capsys.readouterr()
        return Said(code, out, err)


class Ledger(NamedTuple):
    """A database of which tests only read, and what is in it."""

    config: Config
    paid: str
    """A card payment of an order of its own: captured, and refunded in part."""
    pending: str
    """A payment that nobody has processed."""
    failed_delivery: str
    """Of `paid`, with one attempt that was answered 500 with `NASTY`."""
    delivered: str
    """Of `paid`, delivered at the first attempt."""
    endpoint: str


def settings(url: str) -> Config:
    return load({"DATABASE_URL": url, "TEST_MODE": "true", "TEST_PROCESSING_DELAY": "0"})


def build(url: str) -> Ledger:
    """Make it, as merchants, dispatchers and receivers would."""
    return asyncio.run(_build(settings(url)))


async def _build(config: Config) -> Ledger:
    await demo.seed(config.database_url, config)
    sealer = make_sealer(config)
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as db:
        await add_merchant(db, "Another [bold]Shop", merchant_id=OTHER)
        card = {"number": CARD, "expiry_month": 12, "expiry_year": 2040, "cvv": "123"}
        request = CreatePayment(order_id="cart-1", method="card", amount=4500, currency="INR", card=_card(card))
        paid = json.loads((await create(db, MERCHANT, request, key=None, sealer=sealer)).body)["id"]
        await work_off(config)
        await captures.capture(db, MERCHANT, paid, CapturePayment(), key=None, sealer=sealer)
        await refunds.create(db, MERCHANT, paid, CreateRefund(amount=1000, reason="too big"), key=None, sealer=sealer)
        await work_off(config)
        claimed = await work.claim(db, "webhook.deliver", ALL, limit=100, lease=30.0, dispatcher="one")
        (failing, *others) = sorted(claimed, key=lambda one: one.id)
        await deliveries.settle(
            db, [_outcome(failing, "failed", 500), *(_outcome(one, "success", 200) for one in others)], dispatcher="one"
        )
        (pending,) = await pay(db, config)
        (endpoint,) = await (await db.execute("SELECT id FROM endpoints")).fetchone() or ("",)
    return Ledger(config, paid, pending, failing.id, others[0].id, endpoint)


def _card(values: dict[str, Any]) -> Any:
    import msgspec

    from gateway.instruments import CardInput

    return msgspec.convert(values, CardInput)


def _outcome(one: work.Work, status: str, code: int) -> Outcome:
    attempt = Attempt(
        number=1,
        started_at=datetime.now(UTC),
        duration_ms=7,
        request_headers='{"webhook-id":"evt","X-Webhook-Attempt":"1"}',
        response_code=code,
        response_headers='{"Server":"shop"}',
        response_body=NASTY.encode(),
    )
    return Outcome(work=one, status=status, attempt=attempt)  # type: ignore[arg-type]
