"""Payments for pages to show: made by the write path, settled and delivered by hands, in this process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway import captures, payments, refunds
from gateway.captures import CapturePayment
from gateway.config import Config
from gateway.payments import CreatePayment
from gateway.refunds import CreateRefund
from gateway.secrets import make_sealer
from kit.db import Connection
from tests.support.paying import MERCHANT
from tests.support.working import hands

GOOD_CARD = {"number": "4111 1111 1111 1111", "expiry_month": 12, "expiry_year": 2040, "cvv": "123"}
BAD_CARD = GOOD_CARD | {"number": "4000 0000 0000 9995"}


class Till:
    """Takes payments for the demo merchant."""

    def __init__(self, db: Connection, config: Config) -> None:
        self.db = db
        self.config = config
        self.sealer = make_sealer(config)

    async def pay(self, *, settled: bool = True, amount: int | None = None, **more: Any) -> str:
        """A payment by UPI, or as it is asked for; its id."""
        if "card" in more:
            more = {"method": "card", **more}
        elif "flow" not in more:
            more = {"vpa": "asha@okaxis", **more}
        if amount is not None:
            more = {"currency": "INR", "order_id": f"order_{amount}", **more}
        asked = {"order_id": "order_test_123", "method": "upi", "amount": amount, **more}
        request = msgspec.convert(asked, CreatePayment)
        answer = await payments.create(self.db, MERCHANT, request, key=None, sealer=self.sealer)
        if settled:
            await self.settle()
        return str(msgspec.json.decode(answer.body)["id"])

    async def settle(self) -> None:
        """Ask the processor about whatever is pending."""
        async with hands(self.config) as working:
            for kind in ("payment.process", "refund.process"):
                await working.work_off(kind)

    async def refund(self, payment_id: str, amount: int | None = None, reason: str | None = None) -> str:
        request = CreateRefund(amount=amount, reason=reason)
        answer = await refunds.create(self.db, MERCHANT, payment_id, request, key=None, sealer=self.sealer)
        return str(msgspec.json.decode(answer.body)["id"])

    async def capture(self, payment_id: str, amount: int | None = None) -> None:
        request = CapturePayment(amount=amount)
        await captures.capture(self.db, MERCHANT, payment_id, request, key=None, sealer=self.sealer)

    async def now(self) -> datetime:
        cursor = await self.db.execute("SELECT clock_timestamp()")
        row = await cursor.fetchone()
        assert row is not None
        return row[0].astimezone(UTC)  # type: ignore[index]
