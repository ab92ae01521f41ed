"""The merchant's users: who they are, what they may do; invited, changed and removed by owners."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from dashboard import addresses, forms
from dashboard.admission import OWNER, visit_of
from dashboard.render import go, render, say
from gateway import audit, users
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from gateway.users import Role
from kit.db import Connection

AnyRequest = Request[Any, Any, Any]
Short = Annotated[str, Meta(max_length=300)]
HERE = "/dashboard/team"
ROLES = (
    ("viewer", "Viewer", "sees everything but secrets, changes nothing"),
    ("developer", "Developer", "works with payments, webhooks and API keys"),
    ("owner", "Owner", "may do everything, users and the audit log too"),
)


class Invite(msgspec.Struct, frozen=True):
    """Somebody who shall work for the merchant."""

    email: Short = ""
    name: Short = ""
    role: Role = "viewer"


class Change(msgspec.Struct, frozen=True):
    """What they may do from now on."""

    role: Role


@get(HERE, opt=OWNER)
async def show_team(request: AnyRequest) -> Response[Any]:
    """Everybody who works for the merchant."""
    return await _page(request)


@post(HERE, opt=OWNER)
async def invite(request: AnyRequest) -> Response[Any]:
    """Add somebody. Who is new gets a link, which the owner hands over: it is shown once."""
    form = await forms.read(request, Invite)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    try:
        email = users.read_email(form.email)
        async with gateway.database.transaction() as conn:
            known = await users.find(conn, email)
            if known is None:
                user_id = await users.add(conn, email=email, name=users.read_name(form.name or email.partition("@")[0]))
            else:
                user_id = known.id
                await _check_joined(conn, known, merchant.merchant_id)
            await _check_new(conn, user_id, merchant.merchant_id)
            await users.grant(conn, merchant.merchant_id, user_id, form.role)
            token = await users.add_link(conn, user_id) if known is None else None
            await audit.note(conn, merchant.scope, visit.actor, "user.invited", user_id, role=form.role, email=email)
    except BadRequestError as error:
        return await _page(request, error=error, form=form)
    if token is None:
        say(request, f"{email} was added as {form.role}.")
        return go(request, HERE)
    return await _page(request, link=_link(request, token), invited=email)


@post(f"{HERE}/{{user_id:str}}/role", opt=OWNER)
async def change_role(request: AnyRequest, user_id: FromPath[str]) -> Response[Any]:
    """Change what somebody may do; it holds from their next click on.

    Raises:
        NotFoundError: they do not work for this merchant.
    """
    form = await forms.read(request, Change)
    visit = visit_of(request)
    merchant = visit.merchant
    try:
        async with request.app.state.gateway.database.transaction() as conn:
            before = await users.grant(conn, merchant.merchant_id, user_id, form.role, only_members=True)
            if before != form.role:
                await audit.note(
                    conn, merchant.scope, visit.actor, "user.role_changed", user_id, role=form.role, before=before
                )
    except BadRequestError as error:
        say(request, error.description, "bad")
        return go(request, HERE)
    say(request, "The role is changed.")
    return go(request, HERE if user_id != visit.me.user_id or form.role == "owner" else addresses.HOME)


@post(f"{HERE}/{{user_id:str}}/link", opt=OWNER)
async def renew_link(request: AnyRequest, user_id: FromPath[str]) -> Response[Any]:
    """A new link for somebody who has not joined yet.

    Raises:
        NotFoundError: they do not work for this merchant.
    """
    visit = visit_of(request)
    merchant = visit.merchant
    async with request.app.state.gateway.database.transaction() as conn:
        member = next((one for one in await users.members(conn, merchant.merchant_id) if one.id == user_id), None)
        if member is None:
            raise NotFoundError("there is no such user")
        user = await users.get(conn, user_id)
        if user is None or user.password_hash is not None:
            say(request, "They have joined already.", "info")
            return go(request, HERE)
        await _check_joined(conn, user, merchant.merchant_id)
        token = await users.add_link(conn, user_id)
        await audit.note(conn, merchant.scope, visit.actor, "user.invited", user_id, email=user.email)
    return await _page(request, link=_link(request, token), invited=user.email)


@post(f"{HERE}/{{user_id:str}}/remove", opt=OWNER)
async def remove(request: AnyRequest, user_id: FromPath[str]) -> Response[Any]:
    """They work for this merchant no longer; it holds from their next click on.

    Raises:
        NotFoundError: they do not.
    """
    visit = visit_of(request)
    merchant = visit.merchant
    try:
        async with request.app.state.gateway.database.transaction() as conn:
            before = await users.revoke(conn, merchant.merchant_id, user_id)
            await audit.note(conn, merchant.scope, visit.actor, "user.removed", user_id, before=before)
    except BadRequestError as error:
        say(request, error.description, "bad")
        return go(request, HERE)
    if user_id == visit.me.user_id:
        return go(request, "/dashboard/account")
    say(request, "They were removed.")
    return go(request, HERE)


async def _check_new(conn: Connection, user_id: str, merchant_id: str) -> None:
    if any(one.merchant_id == merchant_id for one in await users.memberships(conn, user_id)):
        text = "They work for this merchant already; change their role in the list."
        raise BadRequestError(text, field="email", reason="member_already")


async def _check_joined(conn: Connection, user: users.User, merchant_id: str) -> None:
    """Whoever has a user's first link is that user: two merchants must not both have one."""
    if user.password_hash is None and any(
        one.merchant_id != merchant_id for one in await users.memberships(conn, user.id)
    ):
        text = "They were invited elsewhere and have not joined yet. Try again when they have."
        raise BadRequestError(text, field="email", reason="not_joined")


async def _page(
    request: AnyRequest,
    *,
    error: LedgateError | None = None,
    form: Invite | None = None,
    link: str | None = None,
    invited: str = "",
) -> Response[Any]:
    merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found = await users.members(conn, merchant.merchant_id)
    return render(
        request, "team.html", members=found, roles=ROLES, error=error,
        form=form or Invite(), link=link, invited=invited, hours=users.LINK_LIFE // 3600,
    )  # fmt: skip


def _link(request: AnyRequest, token: str) -> str:
    return addresses.public(request, request.app.state.gateway.config, f"/login/link?token={token}")


HANDLERS = (show_team, invite, change_role, renew_link, remove)
