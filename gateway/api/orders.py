"""Orders over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from gateway import idempotency, orders
from gateway.api.auth import authenticate
from gateway.api.common import PAGING, AnyRequest, CreatedFrom, CreatedTo, Key, WhichPage, respond, utc
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.wire import StrictJson
from gateway.errors import NotFoundError
from gateway.orders import CreateOrder, Order, OrderFilter, OrderPage, OrderStatus

ORDER_ID = orders.ID


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


@get("/orders", dependencies=PAGING, tags=["Orders"], summary="List orders", responses=READ_ERRORS)
async def list_orders(  # noqa: PLR0917 - the framework passes query parameters by name
    request: AnyRequest,
    paging: WhichPage,
    status: FromQuery[OrderStatus | None] = None,
    receipt: Annotated[str | None, QueryParameter(min_length=1, max_length=40)] = None,
    created_from: CreatedFrom = None,
    created_to: CreatedTo = None,
) -> OrderPage:
    """A page of orders, newest first.

    `receipt` and the range of time are found at once. With `status`, a page looks at 10,000 orders at most.
    """
    merchant = await authenticate(request, "read")
    where = OrderFilter(status=status, receipt=receipt, created_from=utc(created_from), created_to=utc(created_to))
    async with request.app.state.gateway.database.connection() as conn:
        return await orders.page(conn, merchant, where, paging)


@get("/orders/{order_id:str}", tags=["Orders"], summary="Read an order", responses=READ_ERRORS)
async def get_order(request: AnyRequest, order_id: FromPath[str]) -> Order:
    """One order, as it is now."""
    merchant = await authenticate(request, "read")
    if not ORDER_ID.match(order_id):
        raise NotFoundError("there is no such order")
    async with request.app.state.gateway.database.connection() as conn:
        return await orders.get(conn, merchant, order_id)


HANDLERS = (create_order, list_orders, get_order)
