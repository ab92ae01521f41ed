"""The docs: from a key to verified webhooks, with the merchant's own key in code that runs as it stands."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from dashboard import addresses
from dashboard.admission import visit_of
from dashboard.reading import keys as reading
from dashboard.render import render
from dashboard.snippets import Place, snippets
from gateway import demo, origins

AnyRequest = Request[Any, Any, Any]
_NO_KEY = "your_key"


@get("/dashboard/docs")
async def show_docs(request: AnyRequest) -> Response[Any]:
    """All on one page. `key`: which of the merchant's keys the code names."""
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant, config = visit.merchant, gateway.config
    async with gateway.database.connection(reading=True) as conn:
        active = [one for one in await reading.keys(conn, merchant) if one.revoked_at is None]
        framed = await origins.get(conn, merchant.merchant_id)
    known = [one.id for one in active]
    usable = [one.id for one in active if "write" in one.scopes] or known  # the checkout takes payments with it
    wanted = (request.query_params.get("key", ""), demo.KEY_ID if config.test_mode else "", *usable)
    key = next((one for one in wanted if one in known), "")
    place = Place(
        api=addresses.api(request, config),
        checkout=addresses.checkout(request, config),
        key=key or _NO_KEY,
        is_demo=config.test_mode and key == demo.KEY_ID,
    )
    return render(request, "docs.html", place=place, keys=active, key=key, code=snippets(place), origins=framed.origins)


HANDLERS = (show_docs,)
