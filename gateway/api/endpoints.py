"""Webhook endpoints over HTTP: the several ones, and the default one of `/webhooks/config`."""

from __future__ import annotations

from litestar import Response, delete, get, patch, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from gateway import endpoints, idempotency
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Key, respond
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.wire import StrictJson
from gateway.endpoints import (
    ChangedEndpoint,
    ChangeEndpoint,
    CreateEndpoint,
    EndpointList,
    NewEndpoint,
    RegenerateSecret,
    SaveConfig,
    WebhookConfig,
)
from gateway.errors import NotFoundError
from kit import ids
from outbox.endpoints import Endpoint, Secret

ENDPOINT_ID = ids.pattern("whep")
_USUAL = RegenerateSecret()  # what a request without a body asks for


@post("/webhook-endpoints", dto=StrictJson[CreateEndpoint], return_dto=None, tags=["Webhook endpoints"],
      summary="Add an endpoint",
      responses={201: ResponseSpec(NewEndpoint, description="The endpoint with its secret"), **ERRORS})  # fmt: skip
async def create_endpoint(
    request: AnyRequest, data: JSONBody[CreateEndpoint], idempotency_key: Key = None
) -> Response[bytes]:
    """Add an endpoint, 50 at most, and get the secret that signs what it is sent."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    endpoints.check_create(data)
    await gateway.egress.check_url(data.url, "url")
    async with gateway.database.transaction() as conn:

        async def make() -> tuple[int, NewEndpoint]:
            return 201, await endpoints.create(conn, merchant, gateway.sealer, data)

        answer = await idempotency.once(
            conn, merchant, gateway.sealer, make, key=key, path="/webhook-endpoints", request=data, secret=True
        )
    return respond(request, answer)


@get("/webhook-endpoints", tags=["Webhook endpoints"], summary="List endpoints", responses=READ_ERRORS)
async def list_endpoints(request: AnyRequest) -> EndpointList:
    """All endpoints, the oldest first."""
    merchant = await authenticate(request, "read")
    gateway = request.app.state.gateway
    async with gateway.database.connection() as conn:
        return await endpoints.page(conn, merchant, disable_after=gateway.config.disabling)


@get("/webhook-endpoints/{endpoint_id:str}", tags=["Webhook endpoints"], summary="Read an endpoint",
     responses=READ_ERRORS)  # fmt: skip
async def get_endpoint(request: AnyRequest, endpoint_id: FromPath[str]) -> Endpoint:
    """One endpoint, as it is now."""
    merchant = await authenticate(request, "read")
    gateway = request.app.state.gateway
    async with gateway.database.connection() as conn:
        return await endpoints.get(conn, merchant, _known(endpoint_id), disable_after=gateway.config.disabling)


@patch("/webhook-endpoints/{endpoint_id:str}", dto=StrictJson[ChangeEndpoint], return_dto=None,
       tags=["Webhook endpoints"], summary="Change an endpoint", responses=ERRORS)  # fmt: skip
async def change_endpoint(
    request: AnyRequest, endpoint_id: FromPath[str], data: JSONBody[ChangeEndpoint]
) -> ChangedEndpoint:
    """Change what is given. Open deliveries go the new way too.

    Enabled again, or moved to another URL, an endpoint starts afresh: no `disabled_reason`, no failures, its circuit
    closed. With `recover` it also gets what it failed to get, and what it missed, since the trouble began.
    """
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    if data.url is not UNSET:
        await gateway.egress.check_url(data.url, "url")
    async with gateway.database.transaction() as conn:
        return await endpoints.change(
            conn, merchant, gateway.sealer, _known(endpoint_id), data, disable_after=gateway.config.disabling
        )


@delete("/webhook-endpoints/{endpoint_id:str}", tags=["Webhook endpoints"], summary="Delete an endpoint",
        responses=READ_ERRORS)  # fmt: skip
async def delete_endpoint(request: AnyRequest, endpoint_id: FromPath[str]) -> None:
    """Delete an endpoint, the default one too. What it still was owed ends as failed when it comes due."""
    merchant = await authenticate(request, "write")
    async with request.app.state.gateway.database.connection() as conn:
        await endpoints.remove(conn, merchant, _known(endpoint_id))


@get("/webhook-endpoints/{endpoint_id:str}/secret", tags=["Webhook endpoints"], summary="Read an endpoint's secret",
     responses=READ_ERRORS)  # fmt: skip
async def get_endpoint_secret(request: AnyRequest, endpoint_id: FromPath[str]) -> Secret:
    """The secret that signs now. Needs the scope `dashboard` or `write`."""
    merchant = await authenticate(request, "dashboard", "write")
    gateway = request.app.state.gateway
    async with gateway.database.connection() as conn:
        return await endpoints.read_secret(conn, merchant, gateway.sealer, _known(endpoint_id))


@post("/webhook-endpoints/{endpoint_id:str}/secret/regenerate", dto=StrictJson[RegenerateSecret], return_dto=None,
      status_code=200, tags=["Webhook endpoints"], summary="Give an endpoint a new secret",
      responses={200: ResponseSpec(Secret, description="The new secret"), **ERRORS})  # fmt: skip
async def regenerate_endpoint_secret(
    request: AnyRequest,
    endpoint_id: FromPath[str],
    data: JSONBody[RegenerateSecret] = _USUAL,
    idempotency_key: Key = None,
) -> Response[bytes]:
    """A new secret; the old one signs too until the overlap ends.

    `webhook-signature` then holds both; within an overlap, only the two newest sign. The older `X-Webhook-Signature`
    has room for one, and is the new secret's at once.
    """
    path = f"/webhook-endpoints/{endpoint_id}/secret/regenerate"
    return await _regenerate(request, path, endpoint_id, data, idempotency_key)


@get("/webhooks/secret", tags=["Webhooks"], summary="Read the default endpoint's secret", responses=READ_ERRORS)
async def get_secret(request: AnyRequest) -> Secret:
    """The secret that signs now. Needs the scope `dashboard` or `write`; 404 without a default endpoint."""
    merchant = await authenticate(request, "dashboard", "write")
    gateway = request.app.state.gateway
    async with gateway.database.connection() as conn:
        return await endpoints.read_secret(conn, merchant, gateway.sealer, None)


@post("/webhooks/secret/regenerate", dto=StrictJson[RegenerateSecret], return_dto=None, status_code=200,
      tags=["Webhooks"], summary="Give the default endpoint a new secret",
      responses={200: ResponseSpec(Secret, description="The new secret"), **ERRORS})  # fmt: skip
async def regenerate_secret(
    request: AnyRequest, data: JSONBody[RegenerateSecret] = _USUAL, idempotency_key: Key = None
) -> Response[bytes]:
    """A new secret; the old one signs too until the overlap ends.

    `webhook-signature` then holds both; within an overlap, only the two newest sign. The older `X-Webhook-Signature`
    has room for one, and is the new secret's at once.
    """
    return await _regenerate(request, "/webhooks/secret/regenerate", None, data, idempotency_key)


@get("/webhooks/config", tags=["Webhooks"], summary="Read the default endpoint", responses=READ_ERRORS)
async def get_config(request: AnyRequest) -> WebhookConfig:
    """The default endpoint; without a `webhook_url` when there is none."""
    merchant = await authenticate(request, "read")
    gateway = request.app.state.gateway
    async with gateway.database.connection() as conn:
        return await endpoints.read_config(conn, merchant, disable_after=gateway.config.disabling)


@put("/webhooks/config", dto=StrictJson[SaveConfig], return_dto=None, tags=["Webhooks"],
     summary="Set the default endpoint", responses=ERRORS)  # fmt: skip
async def save_config(request: AnyRequest, data: JSONBody[SaveConfig]) -> WebhookConfig:
    """Make the default endpoint, or change it; its secret stays. What is not given takes its default."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    await gateway.egress.check_url(data.webhook_url, "webhook_url")
    async with gateway.database.transaction() as conn:
        return await endpoints.save_config(conn, merchant, gateway.sealer, data, disable_after=gateway.config.disabling)


async def _regenerate(
    request: AnyRequest, path: str, endpoint_id: str | None, data: RegenerateSecret, idempotency_key: str | None
) -> Response[bytes]:
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    if endpoint_id is not None:
        _known(endpoint_id)
    async with gateway.database.transaction() as conn:

        async def rotate() -> tuple[int, Secret]:
            return 200, await endpoints.regenerate_secret(conn, merchant, gateway.sealer, endpoint_id, data)

        answer = await idempotency.once(
            conn, merchant, gateway.sealer, rotate, key=key, path=path, request=data, secret=True
        )
    return respond(request, answer)


def _known(endpoint_id: str) -> str:
    if not ENDPOINT_ID.match(endpoint_id):
        raise NotFoundError("there is no such endpoint")
    return endpoint_id


HANDLERS = (
    create_endpoint,
    list_endpoints,
    get_endpoint,
    change_endpoint,
    delete_endpoint,
    get_endpoint_secret,
    regenerate_endpoint_secret,
    get_secret,
    regenerate_secret,
    get_config,
    save_config,
)
