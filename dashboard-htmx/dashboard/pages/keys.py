"""API keys, made and revoked; and the origins where their checkout may be shown."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from dashboard import forms
from dashboard.admission import visit_of
from dashboard.reading import keys as reading
from dashboard.render import go, render, say
from gateway import audit, idempotency, keys, origins
from gateway.errors import BadRequestError, IdempotencyKeyReusedError, LedgateError
from gateway.keys import CreateKey, NewKey
from gateway.merchants import Scope
from gateway.origins import MOST, Origins

AnyRequest = Request[Any, Any, Any]
HERE = "/dashboard/keys"
SCOPES: tuple[tuple[Scope, str, str], ...] = (
    ("read", "Read", "look at orders, payments, refunds, events and deliveries"),
    ("write", "Write", "take payments, refund, change webhooks, make keys"),
    ("dashboard", "Dashboard", "open the dashboard for the first time, where nobody has an account yet"),
)
_TOLD = 500  # characters of origins in the audit log


class Wanted(msgspec.Struct, frozen=True):
    """A new key. `once` is the shown form's own, so that sending it twice makes one key."""

    name: Annotated[str, Meta(max_length=100)] = ""
    scopes: list[Scope] = []
    once: Annotated[str, Meta(max_length=100)] = ""


class Framing(msgspec.Struct, frozen=True):
    """Origins, one on each line."""

    origins: str = ""


class _Made(msgspec.Struct, frozen=True):
    """What is kept of a new key for a form that comes twice: not its secret."""

    id: str


@get(HERE)
async def show_keys(request: AnyRequest) -> Response[Any]:
    """All keys, never a secret; and the origins."""
    return await _page(request)


@post(HERE)
async def create(request: AnyRequest) -> Response[Any]:
    """Make a key. This answer shows its secret, and no other ever does: it is kept nowhere."""
    try:
        form = await forms.read(request, Wanted)
    except BadRequestError as error:
        return await _page(request, error=error)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    made: list[NewKey] = []
    try:
        wanted = _wanted(form)
        keys.check_create(merchant, wanted)
        async with gateway.database.transaction() as conn:

            async def make() -> tuple[int, _Made]:
                made[:] = [await keys.create(conn, merchant, wanted, by=visit.actor.name)]
                (new,) = made
                scopes = " ".join(new.scopes)
                await audit.note(
                    conn, merchant.scope, visit.actor, "api_key.created", new.id, name=new.name, scopes=scopes
                )
                return 201, _Made(new.id)

            key = f"dashboard {form.once}" if form.once else None
            answer = await idempotency.once(conn, merchant, gateway.sealer, make, key=key, path=HERE, request=wanted)
    except IdempotencyKeyReusedError:
        say(request, "This form was sent before, and made a key. Here is a new one.", "info")
        return go(request, HERE)
    except BadRequestError as error:
        return await _page(request, error=error, form=form)
    if answer.replayed:
        say(request, "The key was made already. Its secret was shown then, and cannot be shown again.", "info")
        return go(request, HERE)
    return await _page(request, made=made[0])


@post(f"{HERE}/{{key_id:str}}/revoke")
async def revoke(request: AnyRequest, key_id: FromPath[str]) -> Response[Any]:
    """End a key: here at once, in other processes within 3 seconds.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    async with gateway.database.transaction() as conn:
        active = {one.id for one in (await keys.page(conn, merchant)).data if one.revoked_at is None}
        ended = await keys.revoke(conn, merchant, key_id)
        if ended.id in active:
            await audit.note(conn, merchant.scope, visit.actor, "api_key.revoked", ended.id, name=ended.name)
    gateway.credentials.forget(key_id)
    say(request, f"{ended.name or ended.id} is revoked. Nothing opens with it within 3 seconds.")
    return go(request, HERE)


@post(f"{HERE}/origins")
async def save_origins(request: AnyRequest) -> Response[Any]:
    """Replace the origins: the checkout is shown in no other frame."""
    form = await forms.read(request, Framing)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    try:
        wanted = _origins(form.origins, test_mode=gateway.config.test_mode)
        async with gateway.database.transaction() as conn:
            before = await origins.get(conn, merchant.merchant_id)
            kept = await origins.put(conn, merchant.merchant_id, wanted, test_mode=gateway.config.test_mode)
            if kept != before:
                told = " ".join(kept.origins)[:_TOLD]
                await audit.note(
                    conn, merchant.scope, visit.actor, "checkout.origins_changed", merchant.merchant_id, origins=told
                )
    except BadRequestError as error:
        return await _page(request, error=error, typed=form.origins)
    say(request, "Saved. It holds from the next time on that a checkout is opened.")
    return go(request, f"{HERE}#origins")


def _wanted(form: Wanted) -> CreateKey:
    name = form.name.strip()
    if not name:
        text = "Say what it is for: one day you ask whether it can go."
        raise BadRequestError(text, field="name", reason="field_missing")
    if not form.scopes:
        raise BadRequestError("Choose what it may do.", field="scopes", reason="field_missing")
    return CreateKey([scope for scope, _, _ in SCOPES if scope in form.scopes], name)


def _origins(text: str, *, test_mode: bool) -> Origins:
    lines = text.replace(",", " ").split()
    if len(lines) > MOST:
        raise BadRequestError(f"At most {MOST} origins.", field="origins", reason="too_many_origins")
    try:
        return Origins([origins.check(line, field=f"“{line[:100]}”", test_mode=test_mode) for line in lines])
    except BadRequestError as error:
        raise BadRequestError(f"{error.description}.", field="origins", reason=error.reason) from None


async def _page(
    request: AnyRequest,
    *,
    error: LedgateError | None = None,
    form: Wanted | None = None,
    made: NewKey | None = None,
    typed: str | None = None,
) -> Response[Any]:
    gateway, merchant = request.app.state.gateway, visit_of(request).merchant
    async with gateway.database.connection(reading=True) as conn:
        found = await reading.keys(conn, merchant)
        framed = await origins.get(conn, merchant.merchant_id)
    return render(
        request, "keys.html",
        active=[one for one in found if one.revoked_at is None],
        revoked=[one for one in found if one.revoked_at is not None],
        scopes=SCOPES, made=made, error=error, most=keys.MAX_ACTIVE, once=secrets.token_urlsafe(16),
        form=form or Wanted(scopes=["read", "write"]),
        origins=framed.origins, typed="\n".join(framed.origins) if typed is None else typed,
    )  # fmt: skip


HANDLERS = (show_keys, create, revoke, save_origins)
