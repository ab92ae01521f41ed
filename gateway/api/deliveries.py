"""The delivery log over HTTP."""

from __future__ import annotations

import re
from typing import Annotated

from litestar import get
from litestar.params import FromQuery, QueryParameter

from gateway import logs
from gateway.api.auth import authenticate
from gateway.api.common import PAGING, AnyRequest, CreatedFrom, CreatedTo, WhichPage, utc
from gateway.api.docs import READ_ERRORS
from gateway.errors import BadRequestError
from gateway.logs import DeliveryFilter, DeliveryPage, DeliveryStatus
from outbox.endpoints import EventType

_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


@get("/webhooks", dependencies=PAGING, tags=["Webhooks"], summary="List deliveries", responses=READ_ERRORS)
async def list_deliveries(  # noqa: PLR0917 - the framework passes query parameters by name
    request: AnyRequest,
    paging: WhichPage,
    status: FromQuery[DeliveryStatus | None] = None,
    event: Annotated[EventType | None, QueryParameter(description="Of this event type")] = None,
    endpoint: Annotated[
        str | None, QueryParameter(pattern=f"^{_ID.pattern}", description="To the endpoint of this id")
    ] = None,
    payment: Annotated[
        str | None, QueryParameter(pattern=f"^{_ID.pattern}", description="Of the payment, refund or order of this id")
    ] = None,
    created_from: CreatedFrom = None,
    created_to: CreatedTo = None,
) -> DeliveryPage:
    """A page of the delivery log, newest first, open and finished deliveries in one.

    Each filter by itself is found at once, whatever there is.
    """
    merchant = await authenticate(request, "read")
    for name, given in (("endpoint", endpoint), ("payment", payment)):
        if given is not None and not _ID.match(given):
            raise BadRequestError(f"{name} is not an id", field=name, reason="parameter_invalid")
    where = DeliveryFilter(
        status=status,
        event=event,
        endpoint=endpoint,
        payment=payment,
        created_from=utc(created_from),
        created_to=utc(created_to),
    )
    async with request.app.state.gateway.database.connection() as conn:
        return await logs.deliveries(conn, merchant, where, paging)


HANDLERS = (list_deliveries,)
