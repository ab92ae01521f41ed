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


class Approved(msgspec.Struct, frozen=True):
    """The money is taken."""

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
        """What became of an earlier call; None when there was none.

        Raises:
            ProcessorUnreachableError: no answer came.
        """
        ...
