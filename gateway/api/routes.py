"""Orders and payments over HTTP: check who calls, call the domain, answer its bytes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import MediaType, Request, Response, Router, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from gateway import idempotency, orders, payments
from gateway.api.auth import authenticate
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.wire import StrictJson
from gateway.errors import BadRequestError, NotFoundError
from gateway.instruments import Method  # noqa: TC001 - Litestar reads the annotations
from gateway.orders import CreateOrder, Order, OrderPage
from gateway.payments import CreatePayment, Payment, PaymentFilter, PaymentPage, PaymentStatus
from kit import ids

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Objects a page")]
Offset = Annotated[int, QueryParameter(ge=0, le=100_000, description="Objects to skip")]
Key = Annotated[
    str | None,
    HeaderParameter(name="Idempotency-Key", description="1 to 255 characters; makes a retry safe for 24 hours"),
]
AnyRequest = Request[Any, Any, Any]

_ORDER_ID = re.compile(orders.ID_PATTERN.rstrip("$") + r"\Z")
_PAYMENT_ID = ids.pattern("pay")


def _answer(request: AnyRequest, answer: idempotency.Answer) -> Response[bytes]:
    headers = {}
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
        request.scope["state"]["replayed"] = True
    return Response(answer.body, status_code=answer.status, media_type=MediaType.JSON, headers=headers)


@post("/orders", dto=StrictJson[CreateOrder], return_dto=None, tags=["Orders"], summary="Open an order",
      responses={201: ResponseSpec(Order, description="The order"), **ERRORS})  # fmt: skip
async def create_order(
    request: AnyRequest, data: JSONBody[CreateOrder], idempotency_key: Key = None
) -> Response[bytes]:
    """Open an order: what is to be paid."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    async with gateway.database.connection() as conn:
        answer = await orders.create(conn, merchant, data, key=key, sealer=gateway.sealer)
    return _answer(request, answer)


@get("/orders", tags=["Orders"], summary="List orders", responses=READ_ERRORS)
async def list_orders(request: AnyRequest, limit: Limit = 10, offset: Offset = 0) -> OrderPage:
    """A page of orders, newest first."""
    merchant = await authenticate(request, "read")
    async with request.app.state.gateway.database.connection() as conn:
        return await orders.page(conn, merchant, limit=limit, offset=offset)


@get("/orders/{order_id:str}", tags=["Orders"], summary="Read an order", responses=READ_ERRORS)
async def get_order(request: AnyRequest, order_id: FromPath[str]) -> Order:
    """One order, as it is now."""
    merchant = await authenticate(request, "read")
    if not _ORDER_ID.match(order_id):
        raise NotFoundError("there is no such order")
    async with request.app.state.gateway.database.connection() as conn:
        return await orders.get(conn, merchant, order_id)


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
    return _answer(request, answer)


@get("/payments", tags=["Payments"], summary="List payments", responses=READ_ERRORS)
async def list_payments(  # noqa: PLR0917 - the framework passes query parameters by name
    request: AnyRequest,
    status: FromQuery[PaymentStatus | None] = None,
    order_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
    method: FromQuery[Method | None] = None,
    created_from: FromQuery[datetime | None] = None,
    created_to: FromQuery[datetime | None] = None,
    limit: Limit = 10,
    offset: Offset = 0,
) -> PaymentPage:
    """A page of payments, newest first; `created_to` is exclusive."""
    merchant = await authenticate(request, "read")
    if order_id is not None and not _ORDER_ID.match(order_id):
        raise BadRequestError("order_id is not an order's id", field="order_id", reason="parameter_invalid")
    where = PaymentFilter(
        status=status,
        order_id=order_id,
        method=method,
        created_from=_utc(created_from),
        created_to=_utc(created_to),
    )
    async with request.app.state.gateway.database.connection() as conn:
        return await payments.page(conn, merchant, where, limit=limit, offset=offset)


@get("/payments/{payment_id:str}", tags=["Payments"], summary="Read a payment", responses=READ_ERRORS)
async def get_payment(request: AnyRequest, payment_id: FromPath[str]) -> Payment:
    """One payment, as it is now."""
    merchant = await authenticate(request, "read")
    if not _PAYMENT_ID.match(payment_id):
        raise NotFoundError("there is no such payment")
    async with request.app.state.gateway.database.connection() as conn:
        return await payments.get(conn, merchant, payment_id)


def _utc(time: datetime | None) -> datetime | None:
    """A time without a zone is UTC, as all of the API's are."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def v1() -> Router:
    """All of them, under the path that integrations know."""
    handlers = [create_order, list_orders, get_order, create_payment, list_payments, get_payment]
    return Router("/api/v1", route_handlers=handlers)
