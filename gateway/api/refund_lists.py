"""Lists of refunds over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from gateway import refund_lists
from gateway.api.auth import authenticate
from gateway.api.common import PAGING, AnyRequest, CreatedFrom, CreatedTo, WhichPage, utc
from gateway.api.docs import READ_ERRORS
from gateway.api.payments import PAYMENT_ID
from gateway.errors import BadRequestError, NotFoundError
from gateway.refund_lists import RefundFilter, RefundPage
from gateway.refunds import RefundStatus


@get("/refunds", dependencies=PAGING, tags=["Refunds"], summary="List refunds", responses=READ_ERRORS)
async def list_refunds(  # noqa: PLR0917 - the framework passes query parameters by name
    request: AnyRequest,
    paging: WhichPage,
    status: FromQuery[RefundStatus | None] = None,
    payment_id: Annotated[
        str | None, QueryParameter(pattern=f"^{PAYMENT_ID.pattern}", description="Of this payment")
    ] = None,
    created_from: CreatedFrom = None,
    created_to: CreatedTo = None,
) -> RefundPage:
    """A page of refunds, newest first.

    `payment_id`, `status=pending` and the range of time are found at once. With another status, a page looks at 10,000
    refunds at most.
    """
    merchant = await authenticate(request, "read")
    if payment_id is not None and not PAYMENT_ID.match(payment_id):
        raise BadRequestError("payment_id is not a payment's id", field="payment_id", reason="parameter_invalid")
    where = RefundFilter(
        status=status, payment_id=payment_id, created_from=utc(created_from), created_to=utc(created_to)
    )
    async with request.app.state.gateway.database.connection() as conn:
        return await refund_lists.page(conn, merchant, where, paging)


@get("/payments/{payment_id:str}/refunds", dependencies=PAGING, tags=["Refunds"], summary="List a payment's refunds",
     responses=READ_ERRORS)  # fmt: skip
async def list_refunds_of_payment(request: AnyRequest, payment_id: FromPath[str], paging: WhichPage) -> RefundPage:
    """A page of one payment's refunds, newest first."""
    merchant = await authenticate(request, "read")
    if not PAYMENT_ID.match(payment_id):
        raise NotFoundError("there is no such payment")
    async with request.app.state.gateway.database.connection() as conn:
        return await refund_lists.of_payment(conn, merchant, payment_id, paging)


HANDLERS = (list_refunds, list_refunds_of_payment)
