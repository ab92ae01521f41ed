"""Where the checkout may be shown in frames, over HTTP."""

from __future__ import annotations

from litestar import get, put
from litestar.params import JSONBody

from gateway import origins
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.wire import StrictJson
from gateway.origins import Origins


@get("/checkout/origins", tags=["Checkout"], summary="Read the checkout's origins", responses=READ_ERRORS)
async def get_origins(request: AnyRequest) -> Origins:
    """Where your pages may show the checkout in a frame."""
    merchant = await authenticate(request, "read")
    async with request.app.state.gateway.database.connection() as conn:
        return await origins.get(conn, merchant.merchant_id)


@put("/checkout/origins", dto=StrictJson[Origins], return_dto=None, tags=["Checkout"],
     summary="Set the checkout's origins", responses=ERRORS)  # fmt: skip
async def save_origins(request: AnyRequest, data: JSONBody[Origins]) -> Origins:
    """Replace them all, from the next time on that a page is opened. Browsers show the checkout in no other frame."""
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    async with gateway.database.connection() as conn:
        return await origins.put(conn, merchant.merchant_id, data, test_mode=gateway.config.test_mode)


HANDLERS = (get_origins, save_origins)
