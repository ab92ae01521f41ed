"""What a test event says: the merchant's own data, if JavaScript would write it back byte for byte, or a sample."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from gateway import notes
from gateway.errors import BadRequestError
from gateway.money import MAX_AMOUNT
from gateway.orders import Order
from gateway.payments import Payment
from gateway.refunds import Refund
from kit import ids
from outbox.endpoints import Endpoint
from outbox.health import EndpointHealth

if TYPE_CHECKING:
    from datetime import datetime

    from outbox.endpoints import EventType

MAX_DEPTH = 8
MAX_SIZE = 16 * 1024


def check_data(data: dict[str, Any]) -> dict[str, Any]:
    """Accept a JSON object of which the bytes we send are what `JSON.stringify(JSON.parse(body))` gives.

    Receivers in JavaScript verify signatures over that. Returns the object in JavaScript's order: integer-like keys
    first, ascending, at every depth.

    Raises:
        BadRequestError: naming the place and why it cannot be.
    """
    ordered = _check(data, "data", 1)
    if len(msgspec.json.encode(ordered)) > MAX_SIZE:
        raise _refusal("data", f"is larger than {MAX_SIZE} bytes", "data_too_large")
    return ordered  # type: ignore[no-any-return]


def _check(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, dict | list) and depth > MAX_DEPTH:
        raise _refusal(path, f"is nested deeper than {MAX_DEPTH} levels", "data_too_deep")
    match value:
        case dict():
            for key in value:
                _check(key, path, depth)
            checked = {key: _check(item, f"{path}.{key}"[:80], depth + 1) for key, item in value.items()}
            return notes.in_javascript_order(checked)
        case list():
            return [_check(item, f"{path}[{n}]"[:80], depth + 1) for n, item in enumerate(value)]
        case str() if "\0" in value:
            raise _refusal(path, "holds a NUL character", "nul_character")
        case float():
            why = "has a fraction or an exponent, which JavaScript may write differently; send a string"
            raise _refusal(path, why, "number_not_integer")
        case int() if abs(value) > MAX_AMOUNT:
            raise _refusal(path, "is beyond 2^53 - 1, which JavaScript rounds; send a string", "number_too_large")
    return value


def _refusal(path: str, why: str, reason: str) -> BadRequestError:
    return BadRequestError(f"{path} {why}", field=path.replace("\0", "�"), reason=reason)


_STATUS: dict[str, Any] = {
    "payment.created": "pending",
    "payment.pending": "pending",
    "payment.success": "success",
    "payment.failed": "failed",
    "payment.captured": "success",
    "refund.created": "pending",
    "refund.processed": "processed",
    "refund.failed": "failed",
}
"""What the subject of such an event is."""


def sample(event_type: EventType, now: datetime) -> dict[str, Any]:
    """Data such as an event of that type has; its ids belong to nothing."""
    match event_type.partition(".")[0]:
        case "payment":
            return {"payment": _payment(_STATUS[event_type], now, captured=event_type == "payment.captured")}
        case "refund":
            return {"refund": _refund(_STATUS[event_type], now)}
        case "order":
            return {"order": _order(now)}
        case "endpoint":
            return {"endpoint": _endpoint(now, disabled=event_type == "endpoint.disabled")}
        case _:
            return {"message": "This is a test event. Your endpoint receives webhooks from Ledgate."}


def _payment(status: Any, now: datetime, *, captured: bool) -> Payment:
    failed = status == "failed"
    return Payment(
        id=ids.new("pay"),
        order_id=ids.new("order"),
        amount=50_000,
        currency="INR",
        method="upi",
        flow="collect",
        vpa="user@paytm",
        status=status,
        error_code="payment_declined" if failed else None,
        error_description="The payment was declined" if failed else None,
        captured=captured,
        amount_captured=50_000 if captured else 0,
        amount_refunded=0,
        notes={},
        created_at=now,
        version=1 if status == "pending" else 3 if captured else 2,
        updated_at=None if status == "pending" else now,
    )


def _refund(status: Any, now: datetime) -> Refund:
    failed = status == "failed"
    return Refund(
        id=ids.new("rfnd"),
        payment_id=ids.new("pay"),
        amount=25_000,
        reason="Customer request",
        status=status,
        error_code="refund_declined" if failed else None,
        error_description="The refund was declined" if failed else None,
        created_at=now,
        version=1 if status == "pending" else 2,
        processed_at=None if status == "pending" else now,
    )


def _order(now: datetime) -> Order:
    return Order(
        id=ids.new("order"),
        amount=50_000,
        amount_paid=50_000,
        amount_due=0,
        currency="INR",
        receipt=None,
        notes={},
        reusable=False,
        status="paid",
        attempts=1,
        version=2,
        created_at=now,
    )


def _endpoint(now: datetime, *, disabled: bool) -> Endpoint:
    days = 5 if disabled else 1
    health = EndpointHealth(
        state="failing",
        circuit="half_open",
        failures=42,
        failing_since=now - timedelta(days=days),
        last_failure_at=now,
        last_error="HTTP 503",
        probe_at=now,
        will_be_disabled_at=None if disabled else now + timedelta(days=5 - days),
        warnings=3 if disabled else 1,
    )
    return Endpoint(
        id=ids.new("whep"),
        url="https://shop.example/webhooks",
        events=["*"],
        description=None,
        retry_schedule=None,
        rate=None,
        ordered=False,
        header_names=[],
        enabled=not disabled,
        disabled_reason="every attempt failed for 5 days (last: HTTP 503)" if disabled else None,
        disabled_at=now if disabled else None,
        default=False,
        health=health,
        version=5 if disabled else 2,
        created_at=now - timedelta(days=90),
        updated_at=now if disabled else now - timedelta(days=90),
    )
