"""Gather what the ledger knows of a webhook that is said not to verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.errors import BadRequestError, NotFoundError
from gateway.signatures import normalised
from gateway.trials import Known, KnownSecret, id_in
from outbox import evidence

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from gateway.signatures import Given
    from kit.db import Connection
    from kit.seal import Sealer


async def gather(
    conn: Connection, merchant: Merchant, sealer: Sealer, given: Given, *, endpoint_id: str | None
) -> Known:
    """Read a merchant's secrets, the event that body or headers name, and when it was sent.

    Raises:
        NotFoundError: the named endpoint is not there, or is another merchant's.
        BadRequestError: neither a secret was given nor is there an endpoint whose secret would be meant.
    """
    headers = normalised(given.headers)
    whose: dict[str, Any] = {"bucket": merchant.bucket, "merchant_id": merchant.merchant_id}
    signers = await evidence.signers(
        conn, sealer, endpoint_id=endpoint_id, delivery_id=headers.get("x-webhook-id"), **whose
    )
    own = any(one.own for one in signers)
    if endpoint_id is not None and not own:
        raise NotFoundError("there is no such endpoint", field="endpoint_id")
    if given.secret is None and not own:
        description = "there is no default endpoint whose secret could be meant; give a secret or an endpoint_id"
        raise BadRequestError(description, field="secret", reason="no_endpoint")
    webhook_id = headers.get("webhook-id", "")
    events = await evidence.events(conn, {webhook_id, id_in(given.body) or ""}, **whose)
    timestamps = await evidence.timestamps(conn, webhook_id, **whose) if webhook_id in events else []
    return Known([KnownSecret(*one) for one in signers], events, timestamps)
