"""The second factor: set up with a code that proves it, recovery codes shown once, taken away with the password."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from msgspec import Meta

from dashboard import cookies, forms, sessions, signing_in
from dashboard.admission import USER, visit_of
from dashboard.pages import account
from dashboard.render import go, render, say
from gateway import audit, totp, users
from gateway.checkout import codes
from gateway.errors import BadRequestError, LedgateError, RateLimitedError
from kit.db import fetch

AnyRequest = Request[Any, Any, Any]
Short = Annotated[str, Meta(max_length=300)]
HERE = f"{account.HERE}/second-factor"


class Begin(msgspec.Struct, frozen=True):
    """The password once more: whoever found the browser open must not lock its owner out."""

    password: Short = ""


class Prove(msgspec.Struct, frozen=True):
    """The first code of the app."""

    code: Annotated[str, Meta(max_length=60)] = ""


class Remove(msgspec.Struct, frozen=True):
    """Password and a code."""

    password: Short = ""
    code: Annotated[str, Meta(max_length=60)] = ""


@post(HERE, opt=USER)
async def begin(request: AnyRequest) -> Response[Any]:
    """Make a secret for the app; it counts once a code of it was typed."""
    form = await forms.read(request, Begin)
    gateway, visit = request.app.state.gateway, visit_of(request)
    try:
        user = await account.confirmed(request, form.password)
    except (BadRequestError, RateLimitedError) as error:
        return await account.show(request, error=error, at="second_factor")
    if user.sealed_totp is not None:
        return go(request, account.HERE)
    sealed = gateway.sealer.seal(totp.new_secret(), context=f"totp:{user.id}")
    async with gateway.database.connection() as conn:
        await conn.execute(sessions.SQL["prepare_totp"], {"id": visit.me.id, "sealed_totp": sealed})
    return go(request, HERE)


@get(HERE, opt=USER)
async def show_begun(request: AnyRequest) -> Response[Any]:
    """The secret as a QR code and as text, and the field for the first code."""
    secret = await _prepared(request)
    return go(request, account.HERE) if secret is None else _page(request, secret)


@post(f"{HERE}/prove", opt=USER)
async def prove(request: AnyRequest) -> Response[Any]:
    """Turn it on, with a code that shows that the app has the secret; shows the recovery codes."""
    form = await forms.read(request, Prove)
    gateway, visit = request.app.state.gateway, visit_of(request)
    secret = await _prepared(request)
    if secret is None:
        return go(request, account.HERE)
    step = totp.match(secret, form.code, now=time.time(), after=0)
    if step is None:
        wrong = BadRequestError("That is not the code of now. Is the telephone's clock right?", field="code")
        return _page(request, secret, wrong)
    me = visit.me
    async with gateway.database.transaction() as conn:
        sealed = gateway.sealer.seal(secret, context=f"totp:{me.user_id}")
        await users.set_totp(conn, me.user_id or "", sealed, step=step)
        fresh = await users.new_recovery_codes(conn, me.user_id or "")
        token = await sessions.renew(conn, me)
        await audit.note(conn, account.scope_of(visit), visit.actor, "user.second_factor_added", me.user_id or "")
    response = render(request, "recovery_codes.html", codes=fresh)
    response.cookies.append(cookies.session(gateway.config, token))
    return response


@post(f"{HERE}/recovery-codes", opt=USER)
async def renew_codes(request: AnyRequest) -> Response[Any]:
    """New recovery codes in place of the old ones; shown once."""
    form = await forms.read(request, Begin)
    gateway, visit = request.app.state.gateway, visit_of(request)
    try:
        user = await account.confirmed(request, form.password)
    except (BadRequestError, RateLimitedError) as error:
        return await account.show(request, error=error, at="codes")
    if user.sealed_totp is None:
        return go(request, account.HERE)
    async with gateway.database.transaction() as conn:
        fresh = await users.new_recovery_codes(conn, user.id)
        await audit.note(conn, account.scope_of(visit), visit.actor, "user.recovery_codes_made", user.id)
    return render(request, "recovery_codes.html", codes=fresh)


@post(f"{HERE}/remove", opt=USER)
async def remove(request: AnyRequest) -> Response[Any]:
    """Take it away, with password and code."""
    form = await forms.read(request, Remove)
    gateway, visit = request.app.state.gateway, visit_of(request)
    me = visit.me
    try:
        user = await account.confirmed(request, form.password)
        browser = signing_in.Browser(visit.address, request.headers.get("user-agent", ""))
        tries = await signing_in.count_code(gateway, browser, user.id)
    except (BadRequestError, RateLimitedError) as error:
        return await account.show(request, error=error, at="second_factor_off")
    async with gateway.database.transaction() as conn:
        right = await signing_in.use_code(conn, gateway, user, form.code, tries)
        if right:
            await users.set_totp(conn, user.id, None, step=user.totp_step)
            token = await sessions.renew(conn, me)
            await audit.note(conn, account.scope_of(visit), visit.actor, "user.second_factor_removed", user.id)
    if not right:
        wrong = BadRequestError(signing_in.CODE_WRONG, field="code", reason="code_wrong")
        return await account.show(request, error=wrong, at="second_factor_off")
    say(request, "The second factor is off.")
    response = go(request, account.HERE)
    response.cookies.append(cookies.session(gateway.config, token))
    return response


async def _prepared(request: AnyRequest) -> bytes | None:
    gateway, me = request.app.state.gateway, visit_of(request).me
    async with gateway.database.connection(reading=True) as conn:
        rows = await fetch(conn, sessions.SQL["read_prepared_totp"], {"id": me.id})
    sealed = rows[0]["sealed_totp"] if rows else None
    return gateway.sealer.unseal(sealed, context=f"totp:{me.user_id}") if sealed else None


def _page(request: AnyRequest, secret: bytes, error: LedgateError | None = None) -> Response[Any]:
    code = codes.draw(totp.link(secret, account=visit_of(request).me.email or ""))
    return render(request, "second_factor.html", secret=totp.text(secret), code=code, error=error)


HANDLERS = (begin, show_begun, prove, renew_codes, remove)
