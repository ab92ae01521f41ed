"""Why a receiver refuses a webhook: the diagnosis of `gateway.signatures` as steps, one of which fails."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from dashboard import durations, endpoint_forms, zones
from gateway.api.signatures import turns
from gateway.evidence import gather
from gateway.mistakes import WORDS, Reason
from gateway.signatures import Checks, Diagnosis, Given, diagnose, normalised

if TYPE_CHECKING:
    from litestar import Request

    from gateway.merchants import Merchant
    from outbox.deliveries import Delivery

_HINTS: dict[Reason, str] = {
    "secret_wrong": "read it anew on the endpoint's page, and give it to the receiver",
    "signature_unknown": "compare what the receiver has with what the attempt was asked with, above",
}
"""Where the API's words name its own calls."""

Result = Literal["good", "bad", "open"]


class Check(msgspec.Struct, frozen=True):
    """What a receiver has. Empty fields mean: as it was sent, with the secret that signs."""

    secret: Annotated[str, Meta(max_length=512)] = ""
    body: str = ""
    headers: Annotated[str, Meta(max_length=16_000)] = ""
    computed: Annotated[str, Meta(max_length=512)] = ""


class Step(NamedTuple):
    """One of the things that must be right."""

    title: str
    result: Result
    told: str


class Found(NamedTuple):
    """The answer."""

    diagnosis: Diagnosis
    steps: list[Step]
    others: list[str]
    """Mistakes besides the first."""


async def check(request: Request[Any, Any, Any], merchant: Merchant, delivery: Delivery, form: Check) -> Found:
    """Check what a receiver has against what was sent to it.

    A timestamp of one of the attempts is judged as of that attempt: nobody pastes within five minutes.

    Raises:
        BadRequestError: the headers are none; or the endpoint is gone, and no secret was given.
        NotFoundError: the endpoint is gone.
    """
    gateway = request.app.state.gateway
    newest = delivery.history[0] if delivery.history else None
    headers = endpoint_forms.read_headers(form.headers, "headers")
    if not headers and newest is not None:
        headers = newest.request_headers
    # A form's text has CRLF line ends, whatever was pasted.
    body = form.body.replace("\r\n", "\n") or delivery.body or ""
    given = Given(body.encode(), headers, form.secret or None, form.computed.strip() or None)
    signed_at = normalised(headers).get("webhook-timestamp", "")
    at = next(
        (one.started_at for one in delivery.history if one.request_headers.get("webhook-timestamp") == signed_at), None
    )
    endpoint_id = delivery.endpoint.id if delivery.endpoint.url is not None else None
    async with turns(request), gateway.database.connection(reading=True) as conn:
        known = await gather(conn, merchant, gateway.sealer, given, endpoint_id=endpoint_id)
        # A large body is hashed some hundred times: not in the loop that answers everybody else.
        found = await asyncio.to_thread(diagnose, given, known, now=at.timestamp() if at else time.time())
    others = [WORDS[one].description for one in found.mistakes if one != found.reason]
    if found.reason in _HINTS:
        found = msgspec.structs.replace(found, hint=_HINTS[found.reason])
    return Found(found, steps(found, as_of_attempt=at is not None), others)


def steps(found: Diagnosis, *, as_of_attempt: bool = False) -> list[Step]:
    """A diagnosis as a receiver goes through it: headers, body, secret, signatures, time."""
    checks = found.checks
    return [
        _headers(checks),
        _body(found),
        _secret(checks),
        _signature("webhook-signature", checks.webhook_signature, "the Standard Webhooks libraries look at this one"),
        _signature("X-Webhook-Signature", checks.x_webhook_signature, "the simple one, over the body alone"),
        _time(checks, as_of_attempt=as_of_attempt),
    ]


def _headers(checks: Checks) -> Step:
    if {checks.webhook_signature, checks.x_webhook_signature} == {"absent"}:
        return Step("Headers", "bad", "No signature is among them. A proxy may have dropped it.")
    return Step("Headers", "good", "A signature is there.")


def _body(found: Diagnosis) -> Step:
    match found.checks.body:
        case "same":
            return Step("Body", "good", "Byte for byte what was sent.")
        case "different":
            where = f" The first other byte is number {found.offset:,}." if found.offset is not None else ""
            signs = f" Signs of it: {', '.join(found.marks)}." if found.marks else ""
            return Step("Body", "bad", f"Not what was sent.{where}{signs}")
        case _:
            return Step("Body", "open", "webhook-id names no event of yours, so there is nothing to compare it with.")


def _secret(checks: Checks) -> Step:
    until = f" until {zones.minute(checks.secret_until)}" if checks.secret_until else ""
    told: dict[str | None, tuple[Result, str]] = {
        "current": ("good", "It is the one that signs now."),
        "previous": ("open", f"It is the one before; it signs, or signed, beside the new one{until}."),
        "other_endpoint": ("bad", f"It is another endpoint's: {checks.secret_endpoint_id}."),
        "none_of_yours": ("bad", "It is none of yours, or of none any more."),
        "unknown": ("open", "There is nothing to compare it with."),
        None: ("open", "None was given; what signs now was taken."),
    }
    return Step("Secret", *told[checks.secret])


def _signature(name: str, verdict: str, about: str) -> Step:
    told: dict[str, tuple[Result, str]] = {
        "right": ("good", f"Right; {about}."),
        "wrong": ("bad", f"It does not fit body and secret; {about}."),
        "absent": ("open", f"Not there; {about}."),
        "unknown": ("open", "Made with the new secret alone; this one is the one before."),
    }
    return Step(name, *told[verdict])


def _time(checks: Checks, *, as_of_attempt: bool) -> Step:
    age = durations.span(abs(checks.age_seconds or 0))
    told: dict[str, tuple[Result, str]] = {
        "fresh": ("good", "The attempt's own." if as_of_attempt else f"{age} away; five minutes are allowed."),
        "stale": ("bad", f"{age} old; five minutes are allowed. Pasted later than it came, that is to be expected."),
        "future": ("bad", f"{age} ahead; the receiver's clock is behind."),
        "malformed": ("bad", "It is no number of unix seconds."),
        "absent": ("open", "There is none."),
    }
    return Step("Time", *told[checks.timestamp])
