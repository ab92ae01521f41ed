"""Orders over HTTP."""

from __future__ import annotations

import re

from litestar import Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from gateway import idempotency, orders
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Key, Limit, Offset, respond
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.wire import StrictJson
from gateway.errors import NotFoundError
from gateway.orders import CreateOrder, Order, OrderPage

ORDER_ID = re.compile(orders.ID_PATTERN.rstrip("$") + r"\Z")


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
    return respond(request, answer)


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
    if not ORDER_ID.match(order_id):
        raise NotFoundError("there is no such order")
    async with request.app.state.gateway.database.connection() as conn:
        return await orders.get(conn, merchant, order_id)


HANDLERS = (create_order, list_orders, get_order)
