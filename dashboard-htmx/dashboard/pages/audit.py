"""The audit log: who did what, to which object, when, from where."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from dashboard import subjects
from dashboard.admission import OWNER, visit_of
from dashboard.audit_words import NOUNS, SAYS
from dashboard.render import render
from gateway import audit, endpoints, users
from gateway.errors import BadRequestError
from kit import ids

AnyRequest = Request[Any, Any, Any]
_ID = ids.pattern("aud")
_A_PAGE = 50


@get("/dashboard/audit", opt=OWNER)
async def show_audit(request: AnyRequest) -> Response[Any]:
    """A page of it, the newest first.

    Raises:
        BadRequestError: a cursor or a filter that is none.
    """
    visit, query = visit_of(request), request.query_params
    after, noun, who = query.get("after"), query.get("about", ""), query.get("user", "")
    if (after is not None and not _ID.match(after)) or noun not in NOUNS:
        raise BadRequestError("The address of this page is not right.", reason="parameter_invalid")
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found, more = await audit.entries(
            conn, visit.merchant.scope, limit=_A_PAGE, after=after, action=noun or None, user_id=who or None
        )
        people = await users.members(conn, visit.merchant.merchant_id)
        known = {one.id for one in (await endpoints.page(conn, visit.merchant, disable_after=None)).data}
    days = request.app.state.gateway.config.event_retention
    return render(
        request,
        "audit.html",
        entries=found,
        says=SAYS,
        names={one.id: one.name for one in people},
        next=more,
        after=after,
        nouns=NOUNS,
        noun=noun,
        who=who,
        people=people,
        links={one.object: subjects.standing(one.object, known, days=days) for one in found},
        kept=request.app.state.gateway.config.audit_retention,
    )


HANDLERS = (show_audit,)
