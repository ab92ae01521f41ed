"""Payments over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from gateway import idempotency, payments
from gateway.api.auth import authenticate
from gateway.api.common import PAGING, AnyRequest, CreatedFrom, CreatedTo, Key, WhichPage, respond, utc
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.orders import ORDER_ID
from gateway.api.wire import StrictJson
from gateway.errors import BadRequestError, NotFoundError
from gateway.instruments import Method
from gateway.payments import CreatePayment, Payment, PaymentFilter, PaymentPage, PaymentStatus

PAYMENT_ID = payments.ID


@post("/payments", dto=StrictJson[CreatePayment], return_dto=None, tags=["Payments"], summary="Start a payment",
      responses={201: ResponseSpec(Payment, description="The payment, pending"), **ERRORS})  # fmt: skip
async def create_payment(
    request: AnyRequest, data: JSONBody[CreatePayment], idempotency_key: Key = None
) -> Response[bytes]:
    """Start a payment; it is processed asynchronously, and webhooks tell how it ends."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    async with gateway.database.connection() as conn:
        answer = await payments.create(conn, merchant, data, key=key, sealer=gateway.sealer)
    if not answer.replayed:
        gateway.doorbell.ring()
    return respond(request, answer)


@get("/payments", dependencies=PAGING, tags=["Payments"], summary="List payments", responses=READ_ERRORS)
async def list_payments(  # noqa: PLR0917 - the framework passes query parameters by name
    request: AnyRequest,
    paging: WhichPage,
    status: FromQuery[PaymentStatus | None] = None,
    order_id: Annotated[str | None, QueryParameter(pattern=ORDER_ID.pattern)] = None,
    method: FromQuery[Method | None] = None,
    created_from: CreatedFrom = None,
    created_to: CreatedTo = None,
) -> PaymentPage:
    """A page of payments, newest first.

    `order_id`, `status=pending` and the range of time are found at once. With other filters, a page looks at 10,000
    payments at most.
    """
    merchant = await authenticate(request, "read")
    if order_id is not None and not ORDER_ID.match(order_id):
        raise BadRequestError("order_id is not an order's id", field="order_id", reason="parameter_invalid")
    where = PaymentFilter(
        status=status,
        order_id=order_id,
        method=method,
        created_from=utc(created_from),
        created_to=utc(created_to),
    )
    async with request.app.state.gateway.database.connection() as conn:
        return await payments.page(conn, merchant, where, paging)


@get("/payments/{payment_id:str}", tags=["Payments"], summary="Read a payment", responses=READ_ERRORS)
async def get_payment(request: AnyRequest, payment_id: FromPath[str]) -> Payment:
    """One payment, as it is now."""
    merchant = await authenticate(request, "read")
    if not PAYMENT_ID.match(payment_id):
        raise NotFoundError("there is no such payment")
    async with request.app.state.gateway.database.connection() as conn:
        return await payments.get(conn, merchant, payment_id)


HANDLERS = (create_payment, list_payments, get_payment)
