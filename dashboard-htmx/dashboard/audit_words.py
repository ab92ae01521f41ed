"""The audit log in words: what an action is called, and what stands with it."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import TYPE_CHECKING

from dashboard import durations, zones
from gateway.checkout.amounts import shown as amount

if TYPE_CHECKING:
    from gateway.audit import Entry

NOUNS = {
    "": "Everything",
    "session": "Sign-ins",
    "user": "Users",
    "api_key": "API keys",
    "payment": "Payments",
    "refund": "Refunds",
    "endpoint": "Webhook endpoints",
    "delivery": "Deliveries",
    "recovery": "Recoveries",
    "checkout": "Checkout",
}
"""What the log can be narrowed to: the noun of an action."""
SAYS = {
    "session.began": "Signed in",
    "session.ended": "Signed out",
    "session.others_ended": "Signed out of all other browsers",
    "session.turned": "Turned to this merchant",
    "session.left": "Turned away from this merchant",
    "sign_in.by_key": "Came in with an API key",
    "user.created": "User made",
    "user.invited": "User invited",
    "user.removed": "User removed",
    "user.renamed": "Name changed",
    "user.role_changed": "Role changed",
    "user.operator_changed": "Operator mark changed",
    "user.password_changed": "Password changed",
    "user.second_factor_added": "Second factor set up",
    "user.second_factor_removed": "Second factor removed",
    "user.recovery_codes_made": "Recovery codes made",
    "user.disabled": "User shut out",
    "user.enabled": "User let in again",
    "payment.captured": "Payment captured",
    "refund.created": "Refund asked for",
    "api_key.created": "API key made",
    "api_key.revoked": "API key revoked",
    "endpoint.created": "Webhook endpoint made",
    "endpoint.changed": "Webhook endpoint changed",
    "endpoint.enabled": "Webhook endpoint turned on",
    "endpoint.disabled": "Webhook endpoint turned off",
    "endpoint.deleted": "Webhook endpoint deleted",
    "endpoint.tested": "Test event sent",
    "endpoint.secret_shown": "Webhook secret looked at",
    "endpoint.secret_regenerated": "Webhook secret made anew",
    "delivery.retried": "Webhook sent again",
    "recovery.started": "Recovery begun",
    "recovery.paused": "Recovery paused",
    "recovery.resumed": "Recovery resumed",
    "recovery.cancelled": "Recovery cancelled",
    "checkout.origins_changed": "Checkout's origins changed",
}
"""Actions in words; one that is not here is shown as it is called."""
_SECONDS = "_seconds"
_LONG_ID = re.compile(r"\b([a-z]{2,6})_[0-9a-z]{12,}([0-9a-z]{8})\Z")
_MOMENTS = frozenset({"since", "until"})


def details(entry: Entry) -> list[tuple[str, str]]:
    """What stands with an entry, by name: money with its currency, times and spans of time as people write them."""
    kept = {name: value for name, value in entry.detail.items() if value is not None}
    if isinstance(kept.get("amount"), int) and isinstance(kept.get("currency"), str):
        kept["amount"] = amount(kept["amount"], kept.pop("currency"))
    return [_detail(name, value) for name, value in kept.items()]


def _detail(name: str, value: object) -> tuple[str, str]:
    label = "with" if name == "by" else name.removesuffix(_SECONDS).replace("_", " ")
    if name.endswith(_SECONDS) and isinstance(value, int):
        return label, durations.span(value) if value else "none"
    if name in _MOMENTS and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return label, zones.minute(datetime.fromisoformat(value))
    if isinstance(value, bool):
        return label, "yes" if value else "no"
    if isinstance(value, list):
        return label, ", ".join(map(str, value))
    return label, _LONG_ID.sub(r"\1_…\2", str(value))
