"""The acquirers behind a payment, through one port; the payment's id is the idempotency key of every call."""

from gateway.processors.port import Approved, Charge, Declined, Outcome, Processor, ProcessorUnreachableError

__all__ = ["Approved", "Charge", "Declined", "Outcome", "Processor", "ProcessorUnreachableError"]
