"""Refunds over HTTP."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from gateway import idempotency, refunds
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Key, respond
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.payments import PAYMENT_ID
from gateway.api.wire import StrictJson
from gateway.errors import NotFoundError
from gateway.refunds import CreateRefund, Refund
from kit import ids

REFUND_ID = ids.pattern("rfnd")
_ALL = CreateRefund()  # what a request without a body asks for


@post("/payments/{payment_id:str}/refunds", dto=StrictJson[CreateRefund], return_dto=None,
      tags=["Refunds"], summary="Refund a payment",
      responses={201: ResponseSpec(Refund, description="The refund, pending"), **ERRORS})  # fmt: skip
async def create_refund(
    request: AnyRequest, payment_id: FromPath[str], data: JSONBody[CreateRefund] = _ALL, idempotency_key: Key = None
) -> Response[bytes]:
    """Give back all that is left of a successful payment, or a part; webhooks tell how it ends."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    if not PAYMENT_ID.match(payment_id):
        raise NotFoundError("there is no such payment")
    async with gateway.database.connection() as conn:
        answer = await refunds.create(conn, merchant, payment_id, data, key=key, sealer=gateway.sealer)
    if not answer.replayed:
        gateway.doorbell.ring()
    return respond(request, answer)


@get("/refunds/{refund_id:str}", tags=["Refunds"], summary="Read a refund", responses=READ_ERRORS)
async def get_refund(request: AnyRequest, refund_id: FromPath[str]) -> Refund:
    """One refund, as it is now."""
    merchant = await authenticate(request, "read")
    if not REFUND_ID.match(refund_id):
        raise NotFoundError("there is no such refund")
    async with request.app.state.gateway.database.connection() as conn:
        return await refunds.get(conn, merchant, refund_id)


HANDLERS = (create_refund, get_refund)
