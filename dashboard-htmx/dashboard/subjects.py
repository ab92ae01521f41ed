"""Where to read of what an event tells of."""

from __future__ import annotations

from urllib.parse import urlencode

from gateway import payments


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
