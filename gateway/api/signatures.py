"""Why a signature failed, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta

from gateway import idempotency, signatures
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Key, respond
from gateway.api.docs import ERRORS
from gateway.api.endpoints import ENDPOINT_ID
from gateway.api.wire import StrictJson
from gateway.errors import BadRequestError, NotFoundError
from gateway.evidence import gather
from gateway.signatures import TOLERANCE, Diagnosis, Given

MAX_BODY = 40_960
"""Characters; the largest event of ours is half of it. As JSON text or base64 it fits into what a request may have."""
MAX_HEADERS = 50
_AT_ONCE = 2

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Value = Annotated[str, Meta(max_length=8192)]


class VerifySignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook as it came to a receiver, with what the receiver checks it with."""

    headers: Annotated[dict[_Name, _Value], Meta(max_length=MAX_HEADERS)]
    """As they came, names in any case."""
    body: Annotated[str, Meta(max_length=MAX_BODY)] | None = None
    """The text that your code verifies: pass on what it has, not what should be there."""
    body_base64: Annotated[str, Meta(max_length=MAX_BODY * 4 // 3)] | None = None
    """The same as base64, for bytes that are no text."""
    secret: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    """As it is configured at the receiver; what signs now when absent."""
    computed: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    """The signature that your code computes, if you can print it: how it came about is told."""
    endpoint_id: str | None = None
    """The one that it was sent to; else the one of X-Webhook-Id, else the default."""
    received_at: Annotated[int, Meta(ge=0, le=253_402_300_799)] | None = None
    """When it came, in unix seconds as webhook-timestamp has them; now when absent."""
    tolerance_seconds: Annotated[int, Meta(ge=1, le=604_800)] = TOLERANCE


@post("/webhooks/verify", dto=StrictJson[VerifySignature], return_dto=None, status_code=200, tags=["Webhooks"],
      summary="Find out why a signature fails",
      responses={200: ResponseSpec(Diagnosis, description="What is wrong, if anything"), **ERRORS})  # fmt: skip
async def verify_signature(
    request: AnyRequest, data: JSONBody[VerifySignature], idempotency_key: Key = None
) -> Response[bytes]:
    """Check body, headers and secret as a receiver should, and say which of the known mistakes it is.

    The answer never holds a secret, nor a signature that could be used.
    """
    merchant = await authenticate(request, "write", "dashboard")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    body = _bytes(data)
    if data.endpoint_id is not None and not ENDPOINT_ID.match(data.endpoint_id):
        raise NotFoundError("there is no such endpoint", field="endpoint_id")
    given = Given(body, data.headers, data.secret, data.computed)
    # Told byte by byte, a difference reads the event: only to keys that could read it anyway.
    reads = not merchant.scopes.isdisjoint({"read", "dashboard"})
    async with turns(request), gateway.database.transaction() as conn:

        async def look() -> tuple[int, Diagnosis]:
            known = await gather(conn, merchant, gateway.sealer, given, endpoint_id=data.endpoint_id)
            # A large body is hashed some hundred times: not in the loop that answers everybody else.
            found = await asyncio.to_thread(
                signatures.diagnose,
                given,
                known,
                now=time.time() if data.received_at is None else data.received_at,
                tolerance=data.tolerance_seconds,
                tells_offset=reads,
            )
            return 200, found

        answer = await idempotency.once(
            conn, merchant, gateway.sealer, look, key=key, path="/webhooks/verify", request=data
        )
    return respond(request, answer)


def turns(request: AnyRequest) -> asyncio.Semaphore:
    """Two questions at once in a process: they cost time, and must not take connections while they wait for it."""
    found: asyncio.Semaphore | None = request.app.state.get("signature_turns")
    if found is None:
        found = request.app.state.signature_turns = asyncio.Semaphore(_AT_ONCE)
    return found


def _bytes(data: VerifySignature) -> bytes:
    if (data.body is None) == (data.body_base64 is None):
        raise BadRequestError("give body or body_base64", field="body", reason="body_or_base64")
    if data.body is not None:
        return data.body.encode()
    try:
        return base64.b64decode(data.body_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("body_base64 is not base64", field="body_base64", reason="base64_invalid") from None


HANDLERS = (verify_signature,)
