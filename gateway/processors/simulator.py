"""A processor that decides by itself: rates, delays, magic values. Its memory plays another company's database."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from gateway.merchants import SQL
from gateway.processors.port import Approved, Charge, Declined, MoneyBack, Outcome, ProcessorUnreachableError
from kit.db import AWAY

if TYPE_CHECKING:
    from gateway.config import Config
    from kit.db import Database

log = structlog.get_logger()

RATES = {"upi": 0.90, "card": 0.95}
DELAY = (5.0, 10.0)
"""Seconds, outside of test mode."""

DECLINES = {
    "card_declined": "The card was declined by its issuer",
    "insufficient_funds": "The account has not enough money",
    "card_expired": "The issuer says that the card has expired",
    "cvv_incorrect": "The issuer says that the CVV is wrong",
    "payment_declined": "The payer's bank declined the payment",
}

MAGIC_CARDS: dict[str, str | None] = {
    "4111111111111111": None,
    "5555555555554444": None,
    "4000000000000002": "card_declined",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "card_expired",
    "4000000000000127": "cvv_incorrect",
    "4000000000005126": None,
}
"""Card number -> why it is declined, or None for success."""

REFUNDS_FAIL_CARD = "4000000000005126"
REFUNDS_FAIL_VPA = "refund-failure@"
SUCCESS_VPAS = ("success@", REFUNDS_FAIL_VPA)


def decide(charge: Charge, *, fixed: bool | None, test_mode: bool, roll: float) -> Outcome:
    """Decide a charge: magic values first, then a fixed outcome, then chance.

    Args:
        charge: what to decide.
        fixed: test mode's outcome of everything else; success when it is not set.
        test_mode: without chance.
        roll: chance, 0 to 1.
    """
    code: str | None = "payment_declined" if charge.method == "upi" else "card_declined"
    if charge.card_number in MAGIC_CARDS:
        code = MAGIC_CARDS[charge.card_number]
    elif charge.vpa is not None and charge.vpa.lower().startswith(SUCCESS_VPAS):
        code = None
    elif charge.vpa is not None and charge.vpa.lower().startswith("failure@"):
        pass
    elif test_mode:
        code = code if fixed is False else None
    elif roll < RATES[charge.method]:
        code = None
    return Declined(code, DECLINES[code]) if code else Approved(_reference(charge.payment_id))


def keeps_money(charge: Charge) -> bool:
    """Whether every refund of this charge fails, by magic value."""
    return charge.card_number == REFUNDS_FAIL_CARD or (
        charge.vpa is not None and charge.vpa.lower().startswith(REFUNDS_FAIL_VPA)
    )


class Simulator:
    """The processor of demos and tests."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._test_mode = config.test_mode
        self._fixed = config.test_payment_success
        self._delay = config.test_processing_delay / 1000

    async def charge(self, charge: Charge) -> Outcome:
        """Wait as a bank would, decide once, remember."""
        await self._think()
        outcome = decide(charge, fixed=self._fixed, test_mode=self._test_mode, roll=random.random())  # noqa: S311
        values = {
            "amount": charge.amount,
            "currency": charge.currency,
            "approved": isinstance(outcome, Approved),
            "code": outcome.code if isinstance(outcome, Declined) else None,
            "description": outcome.description if isinstance(outcome, Declined) else None,
            "refunds_fail": keeps_money(charge),
        }
        return await self._ask("charge", charge.payment_id, values) or outcome

    async def find(self, payment_id: str) -> Outcome | None:
        """Look an earlier decision up."""
        return await self._ask("find_charge", payment_id, {})

    async def refund(self, asked: MoneyBack) -> Outcome:
        """Wait as a bank would; give back what was charged, unless a magic value forbids it."""
        await self._think()
        values = {"refund_of": asked.payment_id, "amount": asked.amount, "currency": asked.currency}
        outcome = await self._ask("give_back", asked.refund_id, values)
        assert outcome is not None  # noqa: S101 - the statement always gives a row
        return outcome

    async def find_refund(self, refund_id: str) -> Outcome | None:
        """Look an earlier decision up."""
        return await self._ask("find_charge", refund_id, {})

    async def _think(self) -> None:
        await asyncio.sleep(self._delay if self._test_mode else random.uniform(*DELAY))  # noqa: S311 - a simulation

    async def _ask(self, query: str, key: str, values: dict[str, object]) -> Outcome | None:
        try:
            async with self._database.connection() as conn:
                row = await (await conn.execute(SQL[query], values | {"key": key})).fetchone()
        except AWAY as error:
            raise ProcessorUnreachableError(type(error).__name__) from error
        if row is None:
            return None
        approved, code, description = row
        return Approved(_reference(key)) if approved else Declined(code, description)


def _reference(key: str) -> str:
    return f"sim_{key.partition('_')[2]}"
