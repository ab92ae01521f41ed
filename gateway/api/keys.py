"""API keys over HTTP."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from gateway import idempotency, keys
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Key, respond
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.wire import StrictJson
from gateway.keys import ApiKey, CreateKey, KeyList, NewKey


@post("/api-keys", dto=StrictJson[CreateKey], return_dto=None, tags=["API keys"], summary="Make an API key",
      responses={201: ResponseSpec(NewKey, description="The key with its secret"), **ERRORS})  # fmt: skip
async def create_key(request: AnyRequest, data: JSONBody[CreateKey], idempotency_key: Key = None) -> Response[bytes]:
    """Make an API key. Its secret is in this answer and in no other; a key grants no scope that it lacks itself."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    keys.check_create(merchant, data)
    async with gateway.database.transaction() as conn:

        async def make() -> tuple[int, NewKey]:
            return 201, await keys.create(conn, merchant, data)

        answer = await idempotency.once(
            conn, merchant, gateway.sealer, make, key=key, path="/api-keys", request=data, secret=True
        )
    return respond(request, answer)


@get("/api-keys", tags=["API keys"], summary="List API keys", responses=READ_ERRORS)
async def list_keys(request: AnyRequest) -> KeyList:
    """All active keys, then those that were revoked; never a secret."""
    merchant = await authenticate(request, "read")
    async with request.app.state.gateway.database.connection() as conn:
        return await keys.page(conn, merchant)


@post("/api-keys/{key_id:str}/revoke", status_code=200, tags=["API keys"], summary="Revoke an API key",
      responses={200: ResponseSpec(ApiKey, description="The key, with the time of its end"), **ERRORS})  # fmt: skip
async def revoke_key(request: AnyRequest, key_id: FromPath[str], idempotency_key: Key = None) -> Response[bytes]:
    """End an API key: at once in the process that answers, within 3 seconds in every other. It may be the caller's."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    async with gateway.database.transaction() as conn:

        async def end() -> tuple[int, ApiKey]:
            return 200, await keys.revoke(conn, merchant, key_id)

        path = f"/api-keys/{key_id}/revoke"
        answer = await idempotency.once(conn, merchant, gateway.sealer, end, key=key, path=path)
    gateway.credentials.forget(key_id)
    return respond(request, answer)


HANDLERS = (create_key, list_keys, revoke_key)
