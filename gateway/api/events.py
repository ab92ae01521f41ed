"""The ledger of events over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from gateway import logs
from gateway.api.auth import authenticate
from gateway.api.common import AnyRequest, Limit
from gateway.api.docs import READ_ERRORS
from gateway.errors import NotFoundError
from gateway.listing import Paging
from gateway.logs import EventPage, FullEvent
from outbox.endpoints import EventType

From = Annotated[
    str | None, QueryParameter(max_length=64, description="Cursor, the id of an event: what was committed after it")
]


@get("/events", tags=["Events"], summary="Read the ledger", responses=READ_ERRORS)
async def list_events(
    request: AnyRequest,
    after: From = None,
    limit: Limit = 10,
    type: Annotated[EventType | None, QueryParameter(description="Events of this type only")] = None,  # noqa: A002
) -> EventPage:
    """Every fact, oldest first, in the order in which they were committed: a late commit is never skipped.

    Keep `next` and send it as `after`: each event comes exactly once, however long you were away. With `type`, a page
    looks at 10,000 events at most.
    """
    merchant = await authenticate(request, "read")
    async with request.app.state.gateway.database.connection() as conn:
        return await logs.events(conn, merchant, type, Paging(limit=limit, after=after))


@get("/events/{event_id:str}", tags=["Events"], summary="Read an event", responses=READ_ERRORS)
async def get_event(request: AnyRequest, event_id: FromPath[str]) -> FullEvent:
    """One fact, with the very bytes that its webhooks are signed over."""
    merchant = await authenticate(request, "read")
    if not logs.EVENT_ID.match(event_id):
        raise NotFoundError("there is no such event")
    async with request.app.state.gateway.database.connection() as conn:
        return await logs.event(conn, merchant, event_id)


HANDLERS = (list_events, get_event)
