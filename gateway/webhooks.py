"""Webhooks as merchants look after them: one delivery with its attempts, sent again, and test events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway import samples
from gateway.errors import BadRequestError, NotFoundError
from kit import ids
from outbox import deliveries, endpoints
from outbox.endpoints import EventType

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from kit.db import Connection
    from outbox.deliveries import Delivery

_REFUSALS = {
    "event_gone": "the event is past its retention, so that there is nothing to send any more",
    "endpoint_gone": "the endpoint of this delivery was deleted",
    "endpoint_disabled": "the endpoint of this delivery is disabled; enable it first",
}


class SendTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test event to send."""

    event: EventType = "webhook.test"
    data: (
        Annotated[
            dict[str, Any],
            Meta(description="Up to 16 KiB, 8 levels deep, without fractions and integers beyond 2^53 - 1"),
        ]
        | None
    ) = None
    """A sample of that event type when absent."""
    endpoint_id: str | None = None
    """The default endpoint when absent; its filter is not asked."""


class SentTest(msgspec.Struct, frozen=True):
    """A test event on its way."""

    id: str
    event_id: str
    status: Literal["pending"] = "pending"


class Retried(msgspec.Struct, frozen=True):
    """A delivery that is sent again."""

    id: str
    status: Literal["pending"] = "pending"
    message: str = "Webhook retry scheduled"


class _TestBody(msgspec.Struct, frozen=True):
    """The body of a test event: as every event's, and `test`, which no other has."""

    id: str
    event: str
    timestamp: int
    test: Literal[True]
    data: dict[str, Any]


async def get(conn: Connection, merchant: Merchant, delivery_id: str) -> Delivery:
    """Read one delivery.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    found = await deliveries.read(conn, delivery_id, bucket=merchant.bucket, merchant_id=merchant.merchant_id)
    if found is None:
        raise NotFoundError(f"delivery {delivery_id} does not exist")
    return found


async def retry(conn: Connection, merchant: Merchant, delivery_id: str) -> Retried:
    """Send a delivery again now, whatever its state; attempts start over (see `outbox.deliveries.retry`).

    Raises:
        BadRequestError: its event or endpoint is gone, or the endpoint is disabled.
        NotFoundError: there is none, or it is another merchant's.
    """
    verdict = await deliveries.retry(conn, delivery_id, bucket=merchant.bucket, merchant_id=merchant.merchant_id)
    if verdict == "unknown":
        raise NotFoundError(f"delivery {delivery_id} does not exist")
    if verdict != "ok":
        raise BadRequestError(_REFUSALS[verdict], reason=verdict)
    return Retried(delivery_id)


def check_test(request: SendTest) -> SendTest:
    """Check a test event's data, and put it into JavaScript's order. Raises `BadRequestError` naming the place."""
    if request.data is None:
        return request
    return msgspec.structs.replace(request, data=samples.check_data(request.data))


async def send_test(conn: Connection, merchant: Merchant, request: SendTest) -> SentTest:
    """Send a checked test event to one endpoint through the path of every event; it shows in the ledger and the log.

    Its body says `"test": true`, and its subject is the endpoint: no receiver can take it for a payment.

    Raises:
        BadRequestError: there is no default endpoint, or the endpoint is disabled.
        NotFoundError: the named endpoint is not there, or is another merchant's.
    """
    whose: dict[str, Any] = {"bucket": merchant.bucket, "merchant_id": merchant.merchant_id}
    endpoint = await endpoints.get(conn, request.endpoint_id, **whose)
    if endpoint is None and request.endpoint_id is None:
        description = "there is no default endpoint; make one with PUT /webhooks/config, or name one"
        raise BadRequestError(description, reason="no_endpoint")
    if endpoint is None:
        raise NotFoundError("there is no such endpoint", field="endpoint_id")
    if not endpoint.enabled:
        raise BadRequestError("the endpoint is disabled; enable it first", reason="endpoint_disabled")
    now = datetime.now(UTC)
    event_id = ids.new("evt", spare=True)
    data = samples.sample(request.event, now) if request.data is None else request.data
    body = _TestBody(event_id, request.event, int(now.timestamp()), test=True, data=data)
    delivery_id = await deliveries.append_test(
        conn,
        event_id,
        event_type=request.event,
        body=msgspec.json.encode(body).decode(),
        created_at=now,
        endpoint_id=endpoint.id,
        **whose,
    )
    return SentTest(delivery_id, event_id)
