"""One endpoint: how it fares and why, its settings, its secret, a test; and how one comes to be and goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from dashboard import addresses, durations, endpoint_forms, forms, trouble
from dashboard.admission import DEVELOPER, visit_of
from dashboard.cookies import new_token
from dashboard.endpoint_forms import Shown
from dashboard.pages import webhooks
from dashboard.render import go, render, say
from gateway import audit, endpoint_rules, endpoints, idempotency
from gateway import webhooks as sending
from gateway.api.endpoints import ENDPOINT_ID
from gateway.endpoints import ChangeEndpoint, NewEndpoint, RegenerateSecret, SaveConfig
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from gateway.webhooks import SendTest, SentTest
from outbox.endpoints import EventType, Secret

AnyRequest = Request[Any, Any, Any]
HERE = f"{webhooks.HERE}/endpoints"


class Place(msgspec.Struct, frozen=True):
    """On which page a form stood."""

    on: Literal["webhooks", "endpoint"] = "endpoint"


class Save(msgspec.Struct, frozen=True):
    """The default endpoint's URL."""

    webhook_url: Annotated[str, Meta(max_length=endpoint_rules.MAX_URL)] = ""


class Enable(msgspec.Struct, frozen=True):
    """On again."""

    recover: bool = False
    on: Literal["webhooks", "endpoint", "overview"] = "endpoint"


class Regenerate(msgspec.Struct, frozen=True):
    """A new secret."""

    overlap: Annotated[int, Meta(ge=0, le=604_800)] = 86_400
    on: Literal["webhooks", "endpoint"] = "endpoint"


class Test(msgspec.Struct, frozen=True):
    """A test event. `key` makes a second click harmless."""

    event: EventType = "webhook.test"
    key: Annotated[str, Meta(max_length=100)] = ""
    on: Literal["webhooks", "endpoint"] = "endpoint"


@post(f"{webhooks.HERE}/config")
async def save_config(request: AnyRequest) -> Response[Any]:
    """Make the default endpoint, or point it elsewhere; everything else about it stays."""
    form = await forms.read(request, Save)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant, url = visit.merchant, form.webhook_url.strip()
    try:
        endpoint_forms.check_url(url, "webhook_url")
        await gateway.egress.check_url(url, "webhook_url")
        async with gateway.database.transaction() as conn:
            before = await endpoints.read_config(conn, merchant, disable_after=None)
            asked = SaveConfig(
                webhook_url=url,
                enabled=before.enabled or before.webhook_url is None,
                events=before.events,
            )
            saved = await endpoints.save_config(conn, merchant, gateway.sealer, asked, disable_after=None)
            action = "endpoint.changed" if before.webhook_url else "endpoint.created"
            await audit.note(conn, merchant.scope, visit.actor, action, saved.endpoint_id or "", url=url)
    except BadRequestError as error:
        return await webhooks.show(request, error=endpoint_forms.in_place(error), url=form.webhook_url)
    say(request, "Saved. Webhooks go there from now on." if saved.enabled else "Saved. It is still off.")
    return go(request, webhooks.HERE)


@get(f"{HERE}/new", opt=DEVELOPER)
async def new_endpoint(request: AnyRequest) -> Response[Any]:
    """An empty form."""
    return _form(request, Shown())


@post(HERE)
async def create_endpoint(request: AnyRequest) -> Response[Any]:
    """One more endpoint."""
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    try:
        asked, key = await endpoint_forms.read_new(request)
        endpoints.check_create(asked)
        await gateway.egress.check_url(asked.url, "url")
        async with gateway.database.transaction() as conn:

            async def make() -> tuple[int, NewEndpoint]:
                made = await endpoints.create(conn, merchant, gateway.sealer, asked)
                await audit.note(conn, merchant.scope, visit.actor, "endpoint.created", made.id, url=made.url)
                return 201, made

            answer = await idempotency.once(
                conn, merchant, gateway.sealer, make, key=_key(key), path=HERE, request=asked, secret=True
            )
    except BadRequestError as error:
        return _form(request, await endpoint_forms.as_sent(request), error=endpoint_forms.in_place(error))
    made = msgspec.json.decode(answer.body, type=NewEndpoint)
    say(request, "The endpoint is there. Give its secret to your receiver, then send a test.")
    return go(request, f"{HERE}/{made.id}")


@get(f"{HERE}/{{endpoint_id:str}}")
async def show_endpoint(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """One endpoint.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    return await show(request, endpoint_id)


@post(f"{HERE}/{{endpoint_id:str}}")
async def change_endpoint(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """Its settings as they are to be; what is on its way goes the new way too.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    known(endpoint_id)
    try:
        asked = await endpoint_forms.read_change(request)
        await gateway.egress.check_url(str(asked.url), "url")
        async with gateway.database.transaction() as conn:
            before = await endpoints.get(conn, merchant, endpoint_id, disable_after=None)
            after = await endpoints.change(
                conn, merchant, gateway.sealer, endpoint_id, asked, disable_after=gateway.config.disabling
            )
            changed = [
                name
                for name in ("url", "events", "description", "retry_schedule", "rate", "ordered")
                if getattr(before, name) != getattr(after, name)
            ]
            if asked.headers is not msgspec.UNSET:
                changed.append("headers")
            told = ", ".join(changed) or "nothing"
            await audit.note(conn, merchant.scope, visit.actor, "endpoint.changed", endpoint_id, changed=told)
    except BadRequestError as error:
        sent = await endpoint_forms.as_sent(request)
        return await show(request, endpoint_id, shown=sent, error=endpoint_forms.in_place(error))
    say(request, "Saved. What is on its way goes the new way too." if changed else "Nothing was changed.")
    return go(request, f"{HERE}/{endpoint_id}")


@post(f"{HERE}/{{endpoint_id:str}}/enable")
async def enable(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """It is mended: on again, its failures forgotten; with `recover` it also gets what it missed.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    form = await forms.read(request, Enable)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    asked = ChangeEndpoint(enabled=True, recover=form.recover)
    try:
        async with gateway.database.transaction() as conn:
            after = await endpoints.change(
                conn, merchant, gateway.sealer, known(endpoint_id), asked, disable_after=gateway.config.disabling
            )
            recovery_id = after.recovery_id if after.recovery_id is not msgspec.UNSET else None
            detail = {"recovery": recovery_id} if recovery_id else {}
            await audit.note(conn, merchant.scope, visit.actor, "endpoint.enabled", endpoint_id, **detail)
            if recovery_id:
                await audit.note(
                    conn, merchant.scope, visit.actor, "recovery.started", recovery_id, endpoint=endpoint_id
                )
    except BadRequestError as error:
        say(request, _sentence(error), "bad")
        return go(request, _place(form.on, endpoint_id))
    gateway.doorbell.ring()
    if recovery_id:
        say(request, "It is on. What it missed is being sent.")
        return go(request, f"{webhooks.HERE}/recoveries/{recovery_id}")
    say(request, "It is on, and what waited is sent now.")
    return go(request, _place(form.on, endpoint_id))


@post(f"{HERE}/{{endpoint_id:str}}/disable")
async def disable(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """Off; what happens meanwhile can be recovered.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    async with gateway.database.transaction() as conn:
        await endpoints.change(
            conn, merchant, gateway.sealer, known(endpoint_id), ChangeEndpoint(enabled=False), disable_after=None
        )
        await audit.note(conn, merchant.scope, visit.actor, "endpoint.disabled", endpoint_id)
    say(request, "It is off. Its events are kept, and can be recovered.")
    return go(request, f"{HERE}/{endpoint_id}")


@post(f"{HERE}/{{endpoint_id:str}}/delete")
async def delete_endpoint(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """Gone for good.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    visit = visit_of(request)
    merchant = visit.merchant
    async with request.app.state.gateway.database.transaction() as conn:
        gone = await endpoints.get(conn, merchant, known(endpoint_id), disable_after=None)
        await endpoints.remove(conn, merchant, endpoint_id)
        await audit.note(conn, merchant.scope, visit.actor, "endpoint.deleted", endpoint_id, url=gone.url)
    say(request, "The endpoint was deleted.")
    return go(request, webhooks.HERE)


@post(f"{HERE}/{{endpoint_id:str}}/secret")
async def show_secret(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """The secret that signs now, on the page that was asked from; it is noted who has seen it.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    form = await forms.read(request, Place)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    async with gateway.database.transaction() as conn:
        secret = await endpoints.read_secret(conn, merchant, gateway.sealer, known(endpoint_id))
        await audit.note(conn, merchant.scope, visit.actor, "endpoint.secret_shown", endpoint_id)
    return await _with_secret(request, endpoint_id, form.on, secret, fresh=False)


@post(f"{HERE}/{{endpoint_id:str}}/secret/regenerate")
async def regenerate_secret(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """A new secret, shown at once; the old one signs too until the overlap ends.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    form = await forms.read(request, Regenerate)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    async with gateway.database.transaction() as conn:
        secret = await endpoints.regenerate_secret(
            conn, merchant, gateway.sealer, known(endpoint_id), RegenerateSecret(form.overlap)
        )
        await audit.note(
            conn, merchant.scope, visit.actor, "endpoint.secret_regenerated", endpoint_id, overlap_seconds=form.overlap
        )
    return await _with_secret(request, endpoint_id, form.on, secret, fresh=True)


@post(f"{HERE}/{{endpoint_id:str}}/test")
async def send_test(request: AnyRequest, endpoint_id: FromPath[str]) -> Response[Any]:
    """A test event through the path of every event; the page then shows what the receiver answered.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    form = await forms.read(request, Test)
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    asked = SendTest(event=form.event, endpoint_id=known(endpoint_id))
    where = _place(form.on, endpoint_id)
    try:
        async with gateway.database.transaction() as conn:

            async def send() -> tuple[int, SentTest]:
                sent = await sending.send_test(conn, merchant, asked)
                await audit.note(
                    conn, merchant.scope, visit.actor, "endpoint.tested", endpoint_id,
                    event=form.event, delivery=sent.id,
                )  # fmt: skip
                return 202, sent

            answer = await idempotency.once(
                conn, merchant, gateway.sealer, send, key=_key(form.key), path=f"{HERE}/test", request=asked
            )
    except BadRequestError as error:
        say(request, _sentence(error), "bad")
        return go(request, where)
    gateway.doorbell.ring()
    delivery_id = msgspec.json.decode(answer.body, type=SentTest).id
    await webhooks.answer_of(request, delivery_id)
    return go(request, f"{where}?test={delivery_id}")


async def show(
    request: AnyRequest,
    endpoint_id: str,
    *,
    shown: Shown | None = None,
    error: LedgateError | None = None,
    secret: Secret | None = None,
    fresh_secret: bool = False,
) -> Response[Any]:
    """The page of one endpoint.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    read = await webhooks.read_cards(request)
    card = webhooks.card_of(read["cards"], known(endpoint_id))
    if card is None:
        raise NotFoundError("there is no such endpoint")
    form = shown or endpoint_forms.of_endpoint(card.endpoint)
    rules = webhooks.default_schedule(request.app.state.gateway.config)
    return render(
        request, "endpoint.html", **read | _of_form(form, rules), error=error, card=card,
        trouble=trouble.of(card, datetime.now(UTC)), secret=secret, fresh_secret=fresh_secret,
        tested=await webhooks.read_test(request), schedule=card.endpoint.retry_schedule or rules,
    )  # fmt: skip


def known(endpoint_id: str) -> str:
    """An id that may be an endpoint's.

    Raises:
        NotFoundError: it cannot.
    """
    if not ENDPOINT_ID.match(endpoint_id):
        raise NotFoundError("there is no such endpoint")
    return endpoint_id


async def _with_secret(request: AnyRequest, endpoint_id: str, on: str, secret: Secret, *, fresh: bool) -> Response[Any]:
    if on == "webhooks":
        return await webhooks.show(request, secret=secret, fresh_secret=fresh)
    return await show(request, endpoint_id, secret=secret, fresh_secret=fresh)


def _form(request: AnyRequest, shown: Shown, error: LedgateError | None = None) -> Response[Any]:
    rules = webhooks.default_schedule(request.app.state.gateway.config)
    return render(request, "endpoint_new.html", **_of_form(shown, rules), error=error, key=new_token())


def _of_form(shown: Shown, rules: Sequence[int]) -> dict[str, Any]:
    return {
        "shown": shown,
        "families": endpoint_forms.families(),
        "default_schedule": durations.written(rules),
    }


def _place(on: str, endpoint_id: str) -> str:
    return {"webhooks": webhooks.HERE, "overview": addresses.HOME}.get(on, f"{HERE}/{endpoint_id}")


def _key(key: str) -> str | None:
    return f"dashboard {key}" if key and key.isprintable() else None


def _sentence(error: LedgateError) -> str:
    return error.description[:1].upper() + error.description[1:] + "."


HANDLERS = (
    save_config,
    new_endpoint,
    create_endpoint,
    show_endpoint,
    change_endpoint,
    enable,
    disable,
    delete_endpoint,
    show_secret,
    regenerate_secret,
    send_test,
)
