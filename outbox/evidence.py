"""What the ledger knows of a webhook that is said not to verify: secrets, the event's bytes, when it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kit import ids
from kit.db import fetch
from kit.seal import SealError
from outbox import SQL
from outbox.endpoints import unseal_secret

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from kit.db import Connection
    from kit.seal import Sealer

_EVENT, _DELIVERY = ids.pattern("evt"), ids.pattern("dlv")


class Signer(NamedTuple):
    """A secret of a merchant; `until` only for one that was replaced, also where that is over."""

    endpoint_id: str
    secret: str
    own: bool
    """Of the endpoint that was asked about."""
    until: datetime | None


async def signers(
    conn: Connection, sealer: Sealer, *, endpoint_id: str | None, delivery_id: str | None, bucket: int, merchant_id: str
) -> list[Signer]:
    """A merchant's secrets. The endpoint asked about is the named one, else the delivery's, else the default.

    Raises:
        SealError: the secret of the endpoint that was asked about cannot be opened.
    """
    known = delivery_id if delivery_id is not None and _DELIVERY.match(delivery_id) else None
    whose = {"bucket": bucket, "merchant_id": merchant_id}
    found: list[Signer] = []
    for row in await fetch(conn, SQL["evidence_secrets"], whose | {"endpoint_id": endpoint_id, "delivery_id": known}):
        replaced = (row["previous_secret_expires_at"], row["sealed_previous_secret"])
        for until, value in ((None, row["sealed_secret"]), replaced):
            if value is None:
                continue
            try:
                secret = unseal_secret(sealer, merchant_id, value)
            except SealError:
                if row["own"]:
                    raise
                continue  # sealed with a key that is gone: nobody can sign with it either
            found.append(Signer(row["endpoint_id"], secret, row["own"], until))
    return found


async def events(conn: Connection, candidates: Iterable[str], *, bucket: int, merchant_id: str) -> dict[str, bytes]:
    """The bytes of those of the merchant's events that are kept; what is no event's id is none."""
    found = {}
    for event_id in candidates:
        if _EVENT.match(event_id):
            values = {"bucket": bucket, "merchant_id": merchant_id, "id": event_id}
            for row in await fetch(conn, SQL["evidence_event"], values):
                found[event_id] = row["body"].encode()
    return found


async def timestamps(conn: Connection, event_id: str, *, bucket: int, merchant_id: str) -> list[str]:
    """The `webhook-timestamp` of an event's attempts that are kept, to all endpoints."""
    if not _EVENT.match(event_id):
        return []
    values = {"bucket": bucket, "merchant_id": merchant_id, "id": event_id}
    return [row["signed_at"] for row in await fetch(conn, SQL["evidence_timestamps"], values) if row["signed_at"]]
