"""The user's own account: name, password, where they are signed in."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from dashboard import cookies, forms, sessions, signing_in
from dashboard.admission import USER, Visit, visit_of
from dashboard.render import go, render, say
from gateway import audit, passwords, users
from gateway.audit import OPERATORS
from gateway.errors import BadRequestError, LedgateError, NotFoundError, RateLimitedError
from kit.db import fetch

AnyRequest = Request[Any, Any, Any]
Short = Annotated[str, Meta(max_length=300)]
HERE = "/dashboard/account"


class Name(msgspec.Struct, frozen=True):
    """How others see the user."""

    name: Short = ""


class Password(msgspec.Struct, frozen=True):
    """A new password, and the one before."""

    password: Short = ""
    new_password: Short = ""


def scope_of(visit: Visit) -> Any:
    """Where what a user does to the own account is noted."""
    return visit.merchant.scope if visit.me.role is not None else OPERATORS


async def confirmed(request: AnyRequest, password: str) -> users.User:
    """Who is signed in, once they have typed their password again.

    Raises:
        RefusedError: it is not theirs.
        RateLimitedError: too many tries.
    """
    visit = visit_of(request)
    browser = signing_in.Browser(visit.address, request.headers.get("user-agent", ""))
    return await signing_in.confirm(request.app.state.gateway, browser, visit.me.user_id or "", password)


async def show(request: AnyRequest, *, error: LedgateError | None = None, at: str = "") -> Response[Any]:
    """The page; `error` stands in the form `at`."""
    gateway, visit = request.app.state.gateway, visit_of(request)
    user_id = visit.me.user_id or ""
    async with gateway.database.connection(reading=True) as conn:
        listed = await sessions.listed(conn, gateway.config, user_id)
        own = await users.memberships(conn, user_id)
        codes = await users.count_recovery_codes(conn, user_id)
    return render(
        request, "account.html", sessions=listed, memberships=own, codes=codes, least=passwords.LEAST,
        error=error, at=at,
    )  # fmt: skip


@get("/dashboard/{rest:path}", opt=USER)
async def show_nothing(rest: FromPath[str]) -> Response[Any]:
    """Paths that no page has, in the look of those that there are.

    Raises:
        NotFoundError: always.
    """
    raise NotFoundError(f"there is nothing at {rest}")


@get(HERE, opt=USER)
async def show_account(request: AnyRequest) -> Response[Any]:
    """Name, password, second factor, sessions."""
    return await show(request)


@post(f"{HERE}/name", opt=USER)
async def change_name(request: AnyRequest) -> Response[Any]:
    """Change how others see the user."""
    form = await forms.read(request, Name)
    visit = visit_of(request)
    try:
        name = users.read_name(form.name)
    except BadRequestError as error:
        return await show(request, error=error, at="name")
    async with request.app.state.gateway.database.transaction() as conn:
        await users.rename(conn, visit.me.user_id or "", name)
        await audit.note(conn, scope_of(visit), visit.actor, "user.renamed", visit.me.user_id or "")
    say(request, "Your name is saved.")
    return go(request, HERE)


@post(f"{HERE}/password", opt=USER)
async def change_password(request: AnyRequest) -> Response[Any]:
    """Change the password: all other sessions end, and this one gets a new token."""
    form = await forms.read(request, Password)
    gateway, visit = request.app.state.gateway, visit_of(request)
    me = visit.me
    try:
        await confirmed(request, form.password)
        passwords.check(form.new_password, about=(me.email or "", me.user_name or ""), field="new_password")
    except (BadRequestError, RateLimitedError) as error:
        return await show(request, error=error, at="password")
    hashed = await passwords.make(form.new_password)
    async with gateway.database.transaction() as conn:
        await users.set_password(conn, me.user_id or "", hashed)
        await fetch(conn, sessions.SQL["end_other_sessions"], {"user_id": me.user_id, "id": me.id})
        token = await sessions.renew(conn, me)
        await audit.note(conn, scope_of(visit), visit.actor, "user.password_changed", me.user_id or "")
    say(request, "Your password is changed. You are signed out everywhere else.")
    response = go(request, HERE)
    response.cookies.append(cookies.session(gateway.config, token))
    return response


@post(f"{HERE}/sessions/{{session_id:str}}/end", opt=USER)
async def end_session(request: AnyRequest, session_id: FromPath[str]) -> Response[Any]:
    """Sign out another browser of the user's.

    Raises:
        NotFoundError: there is none, or it is somebody else's.
    """
    visit = visit_of(request)
    async with request.app.state.gateway.database.transaction() as conn:
        values = {"id": session_id, "user_id": visit.me.user_id}
        if not await fetch(conn, sessions.SQL["end_own_session"], values):
            raise NotFoundError("there is no such session")
        await audit.note(
            conn, scope_of(visit), visit.actor, "session.ended", visit.me.user_id or "", session=session_id
        )
    say(request, "That browser is signed out.")
    return go(request, HERE)


@post(f"{HERE}/sessions/end", opt=USER)
async def end_other_sessions(request: AnyRequest) -> Response[Any]:
    """Sign out everywhere but here."""
    visit = visit_of(request)
    async with request.app.state.gateway.database.transaction() as conn:
        values = {"user_id": visit.me.user_id, "id": visit.me.id}
        ended = await fetch(conn, sessions.SQL["end_other_sessions"], values)
        await audit.note(conn, scope_of(visit), visit.actor, "session.others_ended", visit.me.user_id or "")
    say(request, f"Signed out of {len(ended)} other browser{'' if len(ended) == 1 else 's'}.")
    return go(request, HERE)


HANDLERS = (show_nothing, show_account, change_name, change_password, end_session, end_other_sessions)
