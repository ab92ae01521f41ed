"""What an event says of a subject that moved, as the bytes that receivers get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kit import ids

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.orders import Order
    from gateway.payments import Payment
    from gateway.refunds import Refund
    from outbox.endpoints import Endpoint


def fact(event_type: str, kind: str, subject: Payment | Refund | Order | Endpoint, now: datetime) -> dict[str, str]:
    """An event of `subject`, for the settling statements' `facts`; `data` shows it under `kind`."""
    event_id = ids.new("evt", spare=True)
    body = {"id": event_id, "event": event_type, "timestamp": int(now.timestamp()), "data": {kind: subject}}
    text = msgspec.json.encode(body).decode()
    return {"event_id": event_id, "type": event_type, "subject_id": subject.id, "body": text}
