"""Where to read of what an event tells of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gateway import payments
from gateway.logs import DELIVERY_ID, EVENT_ID
from kit import ids

if TYPE_CHECKING:
    from collections.abc import Container


def address(subject_id: str) -> str:
    """A payment's page; of a refund or an order a search, which finds the payment; an endpoint's webhooks."""
    if payments.ID.match(subject_id):
        return f"/dashboard/payments/{subject_id}"
    if subject_id.startswith("whep_"):
        return f"/dashboard/webhooks?{urlencode({'endpoint': subject_id})}"
    return f"/dashboard/payments?{urlencode({'q': subject_id})}"


def page(object_id: str) -> str:
    """The page of anything that has one; empty for all else."""
    prefix = object_id.partition("_")[0]
    if prefix in {"pay", "rfnd", "order"}:
        return address(object_id)
    within = {"whep": "/webhooks/endpoints/", "dlv": "/webhooks/", "rcv": "/webhooks/recoveries/", "evt": "/events/"}
    return f"/dashboard{within[prefix]}{object_id}" if prefix in within else ""


def standing(object_id: str, endpoints: Container[str], *, days: int) -> str:
    """The page of what may have gone since; empty, if it has.

    Args:
        object_id: of anything.
        endpoints: those that there are.
        days: that events and deliveries are kept; 0 for ever.
    """
    if object_id.startswith("whep_") and object_id not in endpoints:
        return ""
    ends = days and (DELIVERY_ID.match(object_id) or EVENT_ID.match(object_id))
    if ends and ids.made_at(object_id) < time.time() - days * 86_400:
        return ""
    return page(object_id)
