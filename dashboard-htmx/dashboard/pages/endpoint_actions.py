"""What is done to one endpoint: on, off, gone; its secret, shown or made anew; a test event."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath
from msgspec import Meta

from dashboard import addresses, forms
from dashboard.admission import visit_of
from dashboard.pages import webhooks
from dashboard.pages.endpoints import HERE, form_key, known, show
from dashboard.render import go, say
from gateway import audit, endpoints, idempotency
from gateway import webhooks as sending
from gateway.endpoints import ChangeEndpoint, RegenerateSecret
from gateway.errors import BadRequestError, LedgateError
from gateway.webhooks import SendTest, SentTest
from outbox.endpoints import EventType, Secret

AnyRequest = Request[Any, Any, Any]


class Place(msgspec.Struct, frozen=True):
    """On which page a form stood."""

    on: Literal["webhooks", "endpoint"] = "endpoint"


class Enable(msgspec.Struct, frozen=True):
    """On again."""

    recover: bool = False
    on: Literal["webhooks", "endpoint", "overview"] = "endpoint"


class Regenerate(msgspec.Struct, frozen=True):
    """A new secret. `key` makes a second click harmless: it would end the secret that receivers still have."""

    overlap: Annotated[int, Meta(ge=0, le=604_800)] = 86_400
    key: Annotated[str, Meta(max_length=100)] = ""
    on: Literal["webhooks", "endpoint"] = "endpoint"


class Made(msgspec.Struct, frozen=True):
    """What is kept of a form that may come twice: for whom it was, never the secret."""

    endpoint: str


class Test(msgspec.Struct, frozen=True):
    """A test event. `key` makes a second click harmless."""

    event: EventType = "webhook.test"
    key: Annotated[str, Meta(max_length=100)] = ""
    on: Literal["webhooks", "endpoint"] = "endpoint"


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
    asked, place = RegenerateSecret(form.overlap), f"{HERE}/{known(endpoint_id)}/secret"
    async with gateway.database.transaction() as conn:

        async def make() -> tuple[int, Made]:
            await endpoints.regenerate_secret(conn, merchant, gateway.sealer, endpoint_id, asked)
            await audit.note(
                conn, merchant.scope, visit.actor, "endpoint.secret_regenerated", endpoint_id,
                overlap_seconds=form.overlap,
            )  # fmt: skip
            return 200, Made(endpoint_id)

        key = form_key(form.key, asked)
        await idempotency.once(conn, merchant, gateway.sealer, make, key=key, path=place, request=asked)
        secret = await endpoints.read_secret(conn, merchant, gateway.sealer, endpoint_id)
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
                conn, merchant, gateway.sealer, send, key=form_key(form.key, asked), path=f"{HERE}/test", request=asked
            )
    except BadRequestError as error:
        say(request, _sentence(error), "bad")
        return go(request, where)
    gateway.doorbell.ring()
    delivery_id = msgspec.json.decode(answer.body, type=SentTest).id
    await webhooks.answer_of(request, delivery_id)
    return go(request, f"{where}?test={delivery_id}")


async def _with_secret(request: AnyRequest, endpoint_id: str, on: str, secret: Secret, *, fresh: bool) -> Response[Any]:
    if on == "webhooks":
        return await webhooks.show(request, secret=secret, fresh_secret=fresh)
    return await show(request, endpoint_id, secret=secret, fresh_secret=fresh)


def _place(on: str, endpoint_id: str) -> str:
    return {"webhooks": webhooks.HERE, "overview": addresses.HOME}.get(on, f"{HERE}/{endpoint_id}")


def _sentence(error: LedgateError) -> str:
    return error.description[:1].upper() + error.description[1:] + "."


HANDLERS = (enable, disable, delete_endpoint, show_secret, regenerate_secret, send_test)
