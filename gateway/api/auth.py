"""Who is calling: `X-Api-Key` and `X-Api-Secret`, or HTTP Basic with the two."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from gateway.api import query
from gateway.errors import UnauthorizedError

if TYPE_CHECKING:
    from litestar import Request

    from gateway.merchants import Merchant, Scope

_MAX_LENGTH = 255


async def authenticate(request: Request[Any, Any, Any], *scopes: Scope) -> Merchant:
    """Find the merchant that a request acts for, count the request, check its query string.

    Raises:
        UnauthorizedError: no or wrong credentials.
        ForbiddenError: the key has none of `scopes`.
        BadRequestError: a query parameter that the call does not have, or twice.
        RateLimitedError: too many requests of this key, or too many wrong ones from this address.
    """
    gateway, state = request.app.state.gateway, request.scope["state"]
    try:
        merchant = await _check(request)
    except UnauthorizedError:
        # By address: by key, anybody who has seen a key could use up its owner's share.
        gateway.guesses.take(request.client.host if request.client else "")
        raise
    state["merchant_id"] = merchant.merchant_id
    if "rate" not in state:  # it is not run again after an outage
        state["rate"] = gateway.rates.take(merchant.key_id)
    merchant.need(*scopes)
    query.check(request, request.app.state.query_parameters)
    return merchant


async def _check(request: Request[Any, Any, Any]) -> Merchant:
    key_id, secret = _read(request)
    if not key_id or not secret or len(key_id) > _MAX_LENGTH or len(secret) > _MAX_LENGTH or "\0" in key_id:
        raise UnauthorizedError(
            "send X-Api-Key and X-Api-Secret, or HTTP Basic with the two", reason="credentials_missing"
        )
    return await request.app.state.gateway.credentials.check(key_id, secret)  # type: ignore[no-any-return]


def _read(request: Request[Any, Any, Any]) -> tuple[str, str]:
    headers = request.headers
    if (key_id := headers.get("x-api-key")) is not None:
        return key_id, headers.get("x-api-secret", "")
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        key_id, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return key_id, secret
