"""The acquirers behind a payment, through one port; its id or its refund's is the idempotency key of every call."""

from gateway.processors.port import Approved, Charge, Declined, MoneyBack, Outcome, Processor, ProcessorUnreachableError

__all__ = ["Approved", "Charge", "Declined", "MoneyBack", "Outcome", "Processor", "ProcessorUnreachableError"]
