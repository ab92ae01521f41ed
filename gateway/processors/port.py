"""What a processor is asked and what it answers."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import msgspec


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """Take this money. `payment_id` is the idempotency key: the same id never moves money twice."""

    payment_id: str
    amount: int
    """Minor units."""
    currency: str
    method: str
    vpa: str | None = None
    card_number: str | None = None

    def __repr__(self) -> str:  # a log line or a traceback must not show what pays
        return f"Charge({self.payment_id})"


class MoneyBack(msgspec.Struct, frozen=True, kw_only=True):
    """Give this money back. `refund_id` is the idempotency key: the same id never moves money twice."""

    refund_id: str
    payment_id: str
    charge_reference: str | None
    """What the processor called the charge."""
    amount: int
    """Minor units; at most what is left of the payment."""
    currency: str


class Approved(msgspec.Struct, frozen=True):
    """The money has moved: taken by a charge, given back by a refund."""

    reference: str


class Declined(msgspec.Struct, frozen=True):
    """No money moved; `code` is for programs, `description` for people."""

    code: str
    description: str


Outcome: TypeAlias = Approved | Declined


class ProcessorUnreachableError(Exception):
    """No answer: money may have moved or not. Ask again, with the same key."""


class Processor(Protocol):
    """An acquirer."""

    async def charge(self, charge: Charge) -> Outcome:
        """Take money, once for each payment id however often it is called.

        Raises:
            ProcessorUnreachableError: no answer came.
        """
        ...

    async def find(self, payment_id: str) -> Outcome | None:
        """What became of an earlier charge; None when there was none.

        Raises:
            ProcessorUnreachableError: no answer came.
        """
        ...

    async def refund(self, asked: MoneyBack) -> Outcome:
        """Give money back, once for each refund id however often it is called.

        Raises:
            ProcessorUnreachableError: no answer came.
        """
        ...

    async def find_refund(self, refund_id: str) -> Outcome | None:
        """What became of an earlier refund; None when there was none.

        Raises:
            ProcessorUnreachableError: no answer came.
        """
        ...
