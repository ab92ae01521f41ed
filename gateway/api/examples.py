"""Examples of the calls, as the documentation shows them; `tests/e2e/test_description.py` replays every one."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.mistakes import WORDS


class Example(msgspec.Struct, frozen=True):
    """A call as it is made, and what it is answered."""

    status: int
    request: dict[str, dict[str, Any]] | None = None
    """Name -> body."""
    response: dict[str, Any] | None = None
    """The shape of the answer to the first request; ids and times differ."""


_ORDER = {
    "id": "order_01kaxe3v7cfz9v1tm1r2c3d4e5",
    "amount": 129900,
    "amount_paid": 0,
    "amount_due": 129900,
    "currency": "INR",
    "receipt": "invoice-7",
    "notes": {"cart": "42"},
    "reusable": False,
    "status": "created",
    "attempts": 0,
    "version": 1,
    "created_at": "2026-01-15T10:31:00.123456Z",
}
_PAYMENT = {
    "id": "pay_01kaxe3v7cfz9v1tm1r2c3d4e5",
    "order_id": "order_123",
    "amount": 50000,
    "currency": "INR",
    "method": "upi",
    "flow": "collect",
    "vpa": "user@paytm",
    "status": "pending",
    "captured": False,
    "amount_refunded": 0,
    "notes": {},
    "version": 1,
    "created_at": "2026-01-15T10:31:00.123456Z",
}
_CARD = {"number": "4111111111111111", "expiry_month": 12, "expiry_year": 2040, "cvv": "123", "name": "A Payer"}

_REFUND = {
    "id": "rfnd_01kaxe3v7cfz9v1tm1r2c3d4e5",
    "payment_id": "pay_01kaxe3v7cfz9v1tm1r2c3d4e5",
    "amount": 25000,
    "reason": "Customer request",
    "status": "pending",
    "version": 1,
    "created_at": "2026-01-15T10:32:00.123456Z",
}

EXAMPLES: dict[tuple[str, str], Example] = {
    ("post", "/api/v1/orders"): Example(
        201,
        {
            "order": {"amount": 129900, "currency": "INR", "receipt": "invoice-7", "notes": {"cart": "42"}},
            "reusable": {"amount": 10000, "currency": "INR", "reusable": True},
        },
        _ORDER,
    ),
    ("post", "/api/v1/payments"): Example(
        201,
        {
            "upi": {"order_id": "order_123", "method": "upi", "vpa": "user@paytm"},
            "card": {"order_id": "order_123", "method": "card", "card": _CARD},
            "upi_qr": {"order_id": "order_123", "method": "upi", "flow": "qr"},
            "opens_the_order": {
                "order_id": "cart-2026-0042",
                "method": "upi",
                "amount": 4500,
                "currency": "INR",
                "vpa": "user@paytm",
            },
        },
        _PAYMENT,
    ),
    ("post", "/api/v1/payments/{payment_id}/capture"): Example(
        200,
        {"all": {}, "part": {"amount": 40000}},
        _PAYMENT
        | {
            "status": "success",
            "captured": True,
            "amount_captured": 50000,
            "version": 3,
            "updated_at": "2026-01-15T10:31:30.5Z",
        },
    ),
    ("post", "/api/v1/payments/{payment_id}/refunds"): Example(
        201, {"part": {"amount": 25000, "reason": "Customer request"}, "all": {}}, _REFUND
    ),
    ("put", "/api/v1/webhooks/config"): Example(
        200, {"config": {"webhook_url": "https://shop.example/webhooks", "enabled": True, "events": ["payment.*"]}}
    ),
    ("post", "/api/v1/webhooks/test"): Example(
        202, {"default": {}, "payment": {"event": "payment.success"}, "own_data": {"data": {"hello": "world"}}}
    ),
    ("post", "/api/v1/webhooks/recover"): Example(
        202,
        {
            "what_was_lost": {"since": "2026-01-15T10:00:00Z", "until": "2026-01-16T10:00:00Z"},
            "only_count": {"since": "2026-01-15T10:00:00Z", "event": "payment.*", "dry_run": True},
        },
        {
            "id": "rcv_01kaxe3v7cfz9v1tm1r2c3d4e5",
            "status": "running",
            "total": 1840,
            "total_is": "exact",
            "scheduled": 0,
            "skipped": 0,
            "recovers": ["failed", "missed"],
            "endpoint": None,
            "event": None,
            "since": "2026-01-15T10:00:00Z",
            "until": "2026-01-16T10:00:00Z",
            "rate": 100,
            "created_at": "2026-01-16T10:05:00.123456Z",
            "updated_at": "2026-01-16T10:05:00.123456Z",
            "finished_at": None,
        },
    ),
    ("post", "/api/v1/webhooks/verify"): Example(
        200,
        {
            "re_serialised": {
                "body": '{"event_type": "ping", "data": {"success": true}}',
                "headers": {
                    "webhook-id": "msg_loFOjxBNrRLzqYUf",
                    "webhook-timestamp": "1731705121",
                    "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
                },
                "secret": "whsec_plJ3nmyCDGBKInavdOK15jsl",
                "received_at": 1731705122,
            }
        },
        {
            "valid": False,
            "reason": "body_reserialised",
            "description": WORDS["body_reserialised"].description,
            "hint": WORDS["body_reserialised"].hint,
            "mistakes": ["body_reserialised"],
            "marks": ["spaces after commas or colons"],
            "offset": None,
            "checks": {
                "webhook_signature": "wrong",
                "x_webhook_signature": "absent",
                "timestamp": "fresh",
                "age_seconds": 1,
                "body": "unknown",
                "secret": "none_of_yours",
                "secret_endpoint_id": None,
                "secret_until": None,
            },
        },
    ),
    ("post", "/api/v1/webhooks/secret/regenerate"): Example(200, {"a_day": {}, "at_once": {"overlap_seconds": 0}}),
    ("post", "/api/v1/webhook-endpoints"): Example(
        201,
        {
            "endpoint": {
                "url": "https://shop.example/refunds",
                "events": ["refund.*"],
                "description": "The bookkeeping",
                "headers": {"X-Shop": "7"},
                "retry_schedule": [0, 60, 3600],
                "rate": 20,
                "ordered": True,
            }
        },
    ),
    ("patch", "/api/v1/webhook-endpoints/{endpoint_id}"): Example(
        200,
        {
            "pause": {"enabled": False},
            "mended": {"enabled": True, "recover": True},
            "move": {"url": "https://shop.example/new", "headers": None},
        },
    ),
    ("post", "/api/v1/webhook-endpoints/{endpoint_id}/secret/regenerate"): Example(
        200, {"an_hour": {"overlap_seconds": 3600}}
    ),
    ("get", "/api/v1/checkout/origins"): Example(200, None, {"origins": ["https://shop.example"]}),
    ("put", "/api/v1/checkout/origins"): Example(
        200,
        {
            "one shop": {"origins": ["https://shop.example"]},
            "shop and test stand": {"origins": ["https://shop.example", "https://test.shop.example:8443"]},
            "nowhere, as a page of its own only": {"origins": []},
        },
        {"origins": ["https://shop.example"]},
    ),
    ("post", "/api/v1/api-keys"): Example(201, {"key": {"name": "reports", "scopes": ["read"]}}),
}
"""Method and path -> its example."""
