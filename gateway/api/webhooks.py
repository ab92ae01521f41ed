"""Webhooks over HTTP: one delivery, sending it again, test events."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from gateway import idempotency, webhooks
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Key, respond
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.endpoints import ENDPOINT_ID
from gateway.api.wire import StrictJson
from gateway.errors import NotFoundError
from gateway.webhooks import Retried, SendTest, SentTest
from kit import ids
from outbox.deliveries import Delivery

DELIVERY_ID = ids.pattern("dlv")
_USUAL = SendTest()  # what a request without a body asks for


@get("/webhooks/{delivery_id:str}", tags=["Webhooks"], summary="Read a delivery", responses=READ_ERRORS)
async def get_delivery(request: AnyRequest, delivery_id: FromPath[str]) -> Delivery:
    """One delivery, open or finished, with the exact body that is sent and its attempts, the newest first."""
    merchant = await authenticate(request, "read")
    async with request.app.state.gateway.database.connection() as conn:
        return await webhooks.get(conn, merchant, _known(delivery_id))


@post("/webhooks/{delivery_id:str}/retry", status_code=200, tags=["Webhooks"], summary="Send a delivery again",
      responses={200: ResponseSpec(Retried, description="It is due now"), **ERRORS})  # fmt: skip
async def retry_delivery(
    request: AnyRequest, delivery_id: FromPath[str], idempotency_key: Key = None
) -> Response[bytes]:
    """Send again now, whatever its state; attempts start over.

    An attempt that is under way counts as the one asked for: only if it fails, the next one follows at once.
    """
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    path = f"/webhooks/{_known(delivery_id)}/retry"
    async with gateway.database.transaction() as conn:

        async def again() -> tuple[int, Retried]:
            return 200, await webhooks.retry(conn, merchant, delivery_id)

        answer = await idempotency.once(conn, merchant, gateway.sealer, again, key=key, path=path)
    if not answer.replayed:
        gateway.doorbell.ring()
    return respond(request, answer)


@post("/webhooks/test", dto=StrictJson[SendTest], return_dto=None, status_code=202, tags=["Webhooks"],
      summary="Send a test event",
      responses={202: ResponseSpec(SentTest, description="The delivery, on its way"), **ERRORS})  # fmt: skip
async def send_test(
    request: AnyRequest, data: JSONBody[SendTest] = _USUAL, idempotency_key: Key = None
) -> Response[bytes]:
    """Send a test event to the default endpoint or the named one, whatever its filter; its body says `"test": true`."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    wanted = webhooks.check_test(data)
    if wanted.endpoint_id is not None and not ENDPOINT_ID.match(wanted.endpoint_id):
        raise NotFoundError("there is no such endpoint", field="endpoint_id")
    async with gateway.database.transaction() as conn:

        async def send() -> tuple[int, SentTest]:
            return 202, await webhooks.send_test(conn, merchant, wanted)

        answer = await idempotency.once(
            conn, merchant, gateway.sealer, send, key=key, path="/webhooks/test", request=wanted
        )
    if not answer.replayed:
        gateway.doorbell.ring()
    return respond(request, answer)


def _known(delivery_id: str) -> str:
    if not DELIVERY_ID.match(delivery_id):
        raise NotFoundError("there is no such delivery")
    return delivery_id


HANDLERS = (get_delivery, retry_delivery, send_test)
