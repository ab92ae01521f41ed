"""The overview: how the merchant's business goes, and what is in trouble."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from dashboard.admission import visit_of
from dashboard.render import render
from gateway import payments
from gateway.listing import Paging
from gateway.payments import PaymentFilter

AnyRequest = Request[Any, Any, Any]


@get("/dashboard")
async def show_overview(request: AnyRequest) -> Response[Any]:
    """The latest payments."""
    merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        latest = await payments.page(conn, merchant, PaymentFilter(), Paging(limit=10))
    return render(request, "overview.html", latest=latest.data)


HANDLERS = (show_overview,)
