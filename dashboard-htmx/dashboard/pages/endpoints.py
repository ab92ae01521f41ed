"""One endpoint: how it fares and why, its settings, its secret, a test; and how one comes to be and goes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from dashboard import durations, endpoint_forms, forms, trouble
from dashboard.admission import DEVELOPER, visit_of
from dashboard.cookies import new_token
from dashboard.endpoint_forms import Shown
from dashboard.pages import webhooks
from dashboard.render import go, render, say
from gateway import audit, endpoint_rules, endpoints, idempotency
from gateway.api.endpoints import ENDPOINT_ID
from gateway.endpoints import NewEndpoint, SaveConfig
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from outbox.endpoints import Secret

AnyRequest = Request[Any, Any, Any]
HERE = f"{webhooks.HERE}/endpoints"


class Save(msgspec.Struct, frozen=True):
    """The default endpoint's URL."""

    webhook_url: Annotated[str, Meta(max_length=endpoint_rules.MAX_URL)] = ""


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
                conn, merchant, gateway.sealer, make, key=form_key(key, asked), path=HERE, request=asked, secret=True
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
    latest = await webhooks.latest_of(request, endpoint_id)
    form = shown or endpoint_forms.of_endpoint(card.endpoint)
    rules = webhooks.default_schedule(request.app.state.gateway.config)
    return render(
        request, "endpoint.html", **read | _of_form(form, rules), error=error, card=card, latest=latest,
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


def _form(request: AnyRequest, shown: Shown, error: LedgateError | None = None) -> Response[Any]:
    rules = webhooks.default_schedule(request.app.state.gateway.config)
    return render(request, "endpoint_new.html", **_of_form(shown, rules), error=error, key=new_token())


def _of_form(shown: Shown, rules: Sequence[int]) -> dict[str, Any]:
    return {
        "shown": shown,
        "families": endpoint_forms.families(),
        "default_schedule": durations.written(rules),
    }


def form_key(key: str, asked: msgspec.Struct) -> str | None:
    """An Idempotency-Key of a form's: the same click again is the same request, the same form with other words is not.

    Args:
        key: the form's own, made with the page; without one the request stands for itself.
        asked: what the form says.
    """
    if not key:
        return None
    return f"dashboard {hashlib.sha256(key.encode() + msgspec.json.encode(asked)).hexdigest()}"


HANDLERS = (
    save_config,
    new_endpoint,
    create_endpoint,
    show_endpoint,
    change_endpoint,
)
