"""What the calls have in common: parameters, answers, times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import MediaType, Request, Response
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter, QueryParameter

from gateway.idempotency import Answer
from gateway.listing import Paging

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Objects a page")]
Offset = Annotated[int, QueryParameter(ge=0, le=100_000, description="Objects to skip; not with a cursor")]
After = Annotated[
    str | None,
    QueryParameter(max_length=64, description="Cursor, the id of an object: what comes after it in the list"),
]
Before = Annotated[
    str | None,
    QueryParameter(max_length=64, description="Cursor, the id of an object: what comes before it in the list"),
]
CreatedFrom = Annotated[datetime | None, QueryParameter(description="Made at that time or later; UTC without a zone")]
CreatedTo = Annotated[datetime | None, QueryParameter(description="Made before that time; UTC without a zone")]
Key = Annotated[
    str | None,
    HeaderParameter(name="Idempotency-Key", description="1 to 255 characters; makes a retry safe for 24 hours"),
]
AnyRequest = Request[Any, Any, Any]


def _paging(limit: Limit = 10, offset: Offset = 0, after: After = None, before: Before = None) -> Paging:
    return Paging(limit=limit, offset=offset, after=after, before=before)


PAGING = {"paging": Provide(_paging, sync_to_thread=False)}
"""Which page: a list names this as its dependencies, and takes a `paging: WhichPage`."""
WhichPage = NamedDependency[Paging]


def respond(request: AnyRequest, answer: Answer) -> Response[bytes]:
    """The answer of a POST, new or replayed."""
    headers = {}
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
        request.scope["state"]["replayed"] = True
    return Response(answer.body, status_code=answer.status, media_type=MediaType.JSON, headers=headers)


def utc(time: datetime | None) -> datetime | None:
    """A time without a zone is UTC, as all of the API's are."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time
