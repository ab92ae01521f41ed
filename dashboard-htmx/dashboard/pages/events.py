"""Events: the ledger of what happened, the newest first, and each one's very body with what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from dashboard import forms, paging, typed
from dashboard.admission import visit_of
from dashboard.reading import webhooks
from dashboard.reading.webhooks import EventFilter, EventList
from dashboard.render import render
from gateway.errors import BadRequestError, NotFoundError
from gateway.listing import Paging
from gateway.logs import EVENT_ID
from outbox.endpoints import EventType

AnyRequest = Request[Any, Any, Any]
HERE = "/dashboard/events"
A_PAGE = 25
_TEXT_MOST = 100  # characters
_NAMES = get_args(EventType)
_FAMILIES = tuple(dict.fromkeys(name.partition(".")[0] for name in _NAMES))
TYPES = (
    ("", "Every type"),
    *((f"{family}.*", f"All of {family}") for family in _FAMILIES),
    *((name, name) for name in _NAMES),
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The address's query, as it was typed."""

    type: str = ""
    about: str = ""
    since: str = ""
    until: str = ""

    def where(self) -> EventFilter:
        """What is asked for.

        Raises:
            BadRequestError: a field that cannot be right, by its name.
        """
        if self.type not in dict(TYPES):
            raise BadRequestError("There is no such type.", field="type", reason="field_invalid")
        return EventFilter(
            type=self.type or None,
            subject=self.about.strip() or None,
            created_from=_moment(self.since, "since"),
            created_to=_moment(self.until, "until"),
        )

    @property
    def given(self) -> dict[str, str]:
        """Without what is empty."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}


@get(HERE)
async def show_events(request: AnyRequest) -> Response[Any]:
    """A page of them."""
    query = request.query_params
    known = Asked.__struct_fields__
    given = {name: value[:_TEXT_MOST] for name, value in query.items() if name in known}
    asked = forms.convert(given, Asked)
    which = paging.asked(query, limit=A_PAGE)
    merchant = visit_of(request).merchant
    found, error = EventList(data=[], limit=A_PAGE, offset=0, has_more=False, next=None), None
    try:
        where = asked.where()
    except BadRequestError as refusal:
        error = refusal
    else:
        async with request.app.state.gateway.database.connection(reading=True) as conn:
            found = await webhooks.events(conn, merchant, where, which)
            if which.before is not None and not found.has_more:  # the first page, and perhaps not a whole one
                which = Paging(limit=A_PAGE)
                found = await webhooks.events(conn, merchant, where, which)
    beside = paging.neighbours(HERE, asked.given, found, which, [one.id for one in found.data])
    return render(
        request, "events.html", found=found.data, more=found.has_more, asked=asked, types=TYPES,
        first=which.after is None and which.before is None, older=beside.older, newer=beside.newer, error=error,
    )  # fmt: skip


@get(f"{HERE}/{{event_id:str}}")
async def show_event(request: AnyRequest, event_id: FromPath[str]) -> Response[Any]:
    """One event: its body as it is sent, and its deliveries.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    if not EVENT_ID.match(event_id):
        raise NotFoundError("there is no such event")
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found = await webhooks.event(conn, visit_of(request).merchant, event_id)
    size = len(found.event.body.encode())
    return render(request, "event.html", event=found.event, deliveries=found.deliveries, size=size)


def _moment(text: str, field: str) -> datetime | None:
    return typed.read_moment(text, field) if text else None


HANDLERS = (show_events, show_event)
