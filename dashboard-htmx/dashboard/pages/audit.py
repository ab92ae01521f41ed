"""The audit log: who did what, to which object, when, from where."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from dashboard.admission import OWNER, visit_of
from dashboard.render import render
from gateway import audit, users
from gateway.errors import BadRequestError
from kit import ids

AnyRequest = Request[Any, Any, Any]
NOUNS = {
    "": "Everything",
    "session": "Sign-ins",
    "user": "Users",
    "api_key": "API keys",
    "payment": "Payments",
    "refund": "Refunds",
    "endpoint": "Webhook endpoints",
    "delivery": "Deliveries",
    "recovery": "Recoveries",
    "checkout": "Checkout",
}
"""What the log can be narrowed to: the noun of an action."""
SAYS = {
    "session.began": "Signed in",
    "session.ended": "Signed out",
    "session.others_ended": "Signed out of all other browsers",
    "session.turned": "Turned to this merchant",
    "sign_in.by_key": "Came in with an API key",
    "user.created": "User made",
    "user.invited": "User invited",
    "user.removed": "User removed",
    "user.renamed": "Name changed",
    "user.role_changed": "Role changed",
    "user.operator_changed": "Operator mark changed",
    "user.password_changed": "Password changed",
    "user.second_factor_added": "Second factor set up",
    "user.second_factor_removed": "Second factor removed",
    "user.recovery_codes_made": "Recovery codes made",
    "user.disabled": "User shut out",
    "user.enabled": "User let in again",
    "api_key.created": "API key made",
    "api_key.revoked": "API key revoked",
    "endpoint.created": "Webhook endpoint made",
    "endpoint.changed": "Webhook endpoint changed",
    "endpoint.enabled": "Webhook endpoint turned on",
    "endpoint.disabled": "Webhook endpoint turned off",
    "endpoint.deleted": "Webhook endpoint deleted",
    "endpoint.tested": "Test event sent",
    "endpoint.secret_shown": "Webhook secret looked at",
    "endpoint.secret_regenerated": "Webhook secret made anew",
    "delivery.retried": "Webhook sent again",
    "recovery.started": "Recovery begun",
    "recovery.paused": "Recovery paused",
    "recovery.resumed": "Recovery resumed",
    "recovery.cancelled": "Recovery cancelled",
    "checkout.origins_changed": "Checkout's origins changed",
}
"""Actions in words; one that is not here is shown as it is called."""
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
    )


HANDLERS = (show_audit,)
