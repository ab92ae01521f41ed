"""What a browser remembers: the theme, and whose pages are shown."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Request, Response, post

from dashboard import addresses, cookies, forms, sessions
from dashboard.admission import ANYBODY, USER, visit_of
from dashboard.render import go, say
from gateway import audit, users
from gateway.errors import NotFoundError

AnyRequest = Request[Any, Any, Any]


class Theme(msgspec.Struct, frozen=True):
    """Light, dark, or as the system has it."""

    theme: Literal["light", "dark", ""] = ""
    next: str = ""


class Turn(msgspec.Struct, frozen=True):
    """Whose pages."""

    merchant_id: str


@post("/theme", opt=ANYBODY)
async def choose_theme(request: AnyRequest) -> Response[Any]:
    """Remember the theme."""
    form = await forms.read(request, Theme)
    home = addresses.SIGN_IN if form.next.startswith(addresses.SIGN_IN) else addresses.HOME
    where = addresses.safe(form.next, home)
    response = go(request, where)
    response.cookies.append(cookies.theme(request.app.state.gateway.config, form.theme))
    return response


@post("/dashboard/merchant", opt=USER)
async def turn_to_merchant(request: AnyRequest) -> Response[Any]:
    """Show another merchant's pages: one that the user works for. The session gets a new token: it means another thing.

    Raises:
        NotFoundError: the user does not work for it.
    """
    form = await forms.read(request, Turn)
    gateway, visit = request.app.state.gateway, visit_of(request)
    me = visit.me
    async with gateway.database.transaction() as conn:
        own = await users.memberships(conn, me.user_id or "")
        chosen = next((one for one in own if one.merchant_id == form.merchant_id), None)
        if chosen is None:
            raise NotFoundError("there is no such merchant")
        await conn.execute(sessions.SQL["turn_session"], {"id": me.id, "merchant_id": chosen.merchant_id})
        await users.choose(conn, chosen.merchant_id, me.user_id or "")
        token = await sessions.renew(conn, me)
        await audit.note(conn, chosen.scope, visit.actor, "session.turned", me.user_id or "", role=chosen.role)
    say(request, f"You are at {chosen.name} now.", "info")
    response = go(request, addresses.HOME)
    response.cookies.append(cookies.session(gateway.config, token))
    return response


HANDLERS = (choose_theme, turn_to_merchant)
