"""Payments written straight through the write path, as the demo merchant."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway import payments
from gateway.config import Config
from gateway.demo import MERCHANT_ID
from gateway.merchants import Merchant, bucket_of
from gateway.payments import CreatePayment
from gateway.secrets import make_sealer
from kit.db import Connection

MERCHANT = Merchant(MERCHANT_ID, bucket_of(MERCHANT_ID), "Ledgate Demo", "key", frozenset({"read", "write"}))
ALL = dict.fromkeys(range(64), datetime(1970, 1, 1, tzinfo=UTC))


async def pay(
    db: Connection, config: Config, count: int = 1, order_id: str = "order_test_123", amount: int | None = None
) -> list[str]:
    """Write payments with one batch; returns their ids."""
    sealer = make_sealer(config)
    request = CreatePayment(
        order_id=order_id, method="upi", vpa="a1@psp", amount=amount, currency=None if amount is None else "INR"
    )
    drafts = [payments.draft(MERCHANT, request, key=None, sealer=sealer, now=datetime.now(UTC)) for _ in range(count)]
    verdicts = await payments.create_batch(db, drafts)
    assert [one.verdict for one in verdicts] == ["created"] * count
    return [one.item["id"] for one in drafts]
