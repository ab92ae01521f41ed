"""Refunds: money back from a payment, never more than is left of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

RefundStatus = Literal["pending", "processed", "failed"]


class Refund(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refund as the API and the events show it. Amounts in minor units, times in UTC."""

    # `amount` stands behind nothing but ids: the statement that makes a refund cuts the text there.
    id: str
    payment_id: str
    amount: int
    reason: str | None
    """Why, in the merchant's words; always there, null when none was given."""
    status: RefundStatus
    error_code: str | None = None
    """Why it failed, for programs; only then."""
    error_description: str | None = None
    created_at: datetime
    processed_at: datetime | None = None
    """When the processor had answered, with success or failure; not there while pending."""


def from_row(row: dict[str, Any]) -> Refund:
    """A row of the `refunds` queries as it is shown; columns named like the fields."""
    return msgspec.convert(row, Refund)
