"""Captures over HTTP."""

from __future__ import annotations

from litestar import Response, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from gateway import captures, idempotency
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Key, respond
from gateway.api.docs import ERRORS
from gateway.api.payments import PAYMENT_ID
from gateway.api.wire import StrictJson
from gateway.captures import CapturePayment
from gateway.errors import NotFoundError
from gateway.payments import Payment

_ALL = CapturePayment()  # what a request without a body asks for


@post("/payments/{payment_id:str}/capture", dto=StrictJson[CapturePayment], return_dto=None, status_code=200,
      tags=["Payments"], summary="Capture a payment",
      responses={200: ResponseSpec(Payment, description="The payment, captured"), **ERRORS})  # fmt: skip
async def capture_payment(
    request: AnyRequest, payment_id: FromPath[str], data: JSONBody[CapturePayment] = _ALL, idempotency_key: Key = None
) -> Response[bytes]:
    """Take all or a part of the money of a successful payment, once."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    if not PAYMENT_ID.match(payment_id):
        raise NotFoundError("there is no such payment")
    async with gateway.database.connection() as conn:
        answer = await captures.capture(conn, merchant, payment_id, data, key=key, sealer=gateway.sealer)
    if not answer.replayed:
        gateway.doorbell.ring()
    return respond(request, answer)


HANDLERS = (capture_payment,)
