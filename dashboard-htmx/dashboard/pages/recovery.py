"""Send a range of time again: count first, then a job with progress that can be paused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Meta

from dashboard import forms, paging, typed
from dashboard.admission import DEVELOPER, visit_of
from dashboard.cookies import new_token
from dashboard.pages import webhooks
from dashboard.pages.endpoints import form_key
from dashboard.pages.endpoints import known as known_endpoint
from dashboard.render import go, render, say
from gateway import audit, endpoint_rules, endpoints, idempotency, recoveries
from gateway.errors import BadRequestError, LedgateError, NotFoundError
from gateway.recoveries import DEFAULT_RATE, RECOVERY_ID, DryRun, Verb
from outbox.recoveries import Recovers, Recovery

AnyRequest = Request[Any, Any, Any]
HERE = f"{webhooks.HERE}/recoveries"
Text = Annotated[str, Meta(max_length=64)]
WHAT = (
    ("", "What failed, and what was missed"),
    ("failed", "What failed"),
    ("missed", "What was missed while an endpoint was off"),
    ("success", "What arrived, once more"),
)
_DONE = {"pause": "It stands still.", "resume": "It goes on.", "cancel": "It has ended. What was sent stays sent."}
_VERBS: dict[Verb, str] = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}
_USUALLY = timedelta(hours=24)


class Ask(msgspec.Struct, frozen=True):
    """What to send again, as it is typed. `key` makes a second click harmless."""

    since: Text = ""
    until: Text = ""
    endpoint: Text = ""
    event: Text = ""
    status: Text = ""
    rate: Annotated[int, Meta(ge=1, le=1000)] = DEFAULT_RATE
    key: Annotated[str, Meta(max_length=100)] = ""


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """The same, understood."""

    since: datetime
    until: datetime | None
    endpoint: str | None
    event: str | None
    status: Recovers | None


@get(HERE)
async def show_recoveries(request: AnyRequest) -> Response[Any]:
    """All of them, the newest first.

    Raises:
        BadRequestError: a cursor that is none.
    """
    merchant, asked = visit_of(request).merchant, paging.asked(request.query_params)
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found = await recoveries.page(conn, merchant, asked)
        names = await _names(conn, merchant)
    beside = paging.neighbours(HERE, {}, found, asked, [one.id for one in found.data])
    return render(request, "recoveries.html", found=found, names=names, beside=beside)


@get(f"{HERE}/new", opt=DEVELOPER)
async def new_recovery(request: AnyRequest) -> Response[Any]:
    """The form; once it is filled in, also how many deliveries it means. Nothing is sent.

    Of very many the beginning is counted at once, and with `all` the rest too.
    """
    query = {name: value for name, value in request.query_params.items() if name in Ask.__struct_fields__ and value}
    try:
        ask = forms.convert(dict(query), Ask)
    except BadRequestError as error:
        return await _form(request, _filled(Ask()), error=error)
    if not ask.since:
        return await _form(request, _filled(ask))
    glance, merchant = "all" not in request.query_params, visit_of(request).merchant
    try:
        asked = msgspec.structs.asdict(_read(ask))
        async with request.app.state.gateway.database.connection(reading=True) as conn:
            counted = await recoveries.dry_run(conn, merchant, glance=glance, **asked)
    except BadRequestError as error:
        return await _form(request, ask, error=error)
    rest = paging.address(f"{HERE}/new", query, all="1") if glance and counted.total_is == "at_least" else ""
    return await _form(request, ask, counted=counted, rest=rest)


@post(HERE)
async def start_recovery(request: AnyRequest) -> Response[Any]:
    """Begin; a dispatcher takes its steps from now on."""
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    ask = await forms.read(request, Ask)
    try:
        asked = _read(ask)
        async with gateway.database.transaction() as conn:

            async def begin() -> tuple[int, Recovery]:
                begun = await recoveries.start(conn, merchant, rate=ask.rate, **msgspec.structs.asdict(asked))
                await audit.note(
                    conn, merchant.scope, visit.actor, "recovery.started", begun.id,
                    since=begun.since, until=begun.until, total=begun.total,
                )  # fmt: skip
                return 202, begun

            key = form_key(ask.key, asked)
            answer = await idempotency.once(conn, merchant, gateway.sealer, begin, key=key, path=HERE, request=asked)
    except BadRequestError as error:
        return await _form(request, ask, error=error)
    gateway.doorbell.ring()
    begun = msgspec.json.decode(answer.body, type=Recovery)
    return go(request, f"{HERE}/{begun.id}")


@get(f"{HERE}/{{recovery_id:str}}")
async def show_recovery(request: AnyRequest, recovery_id: FromPath[str]) -> Response[Any]:
    """How far it has come.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found = await recoveries.get(conn, merchant, _known(recovery_id))
        names = await _names(conn, merchant)
    log = {"when": "", "from": typed.address(found.since), "to": typed.address(found.until)}
    if found.endpoint:
        log["endpoint"] = found.endpoint
    return render(
        request, "recovery.html", job=found, mark=_mark(found), names=names, log=paging.address(webhooks.HERE, log)
    )


@get(f"{HERE}/{{recovery_id:str}}/live")
async def live(request: AnyRequest, recovery_id: FromPath[str]) -> Stream:
    """Tells the page of each step.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    merchant, gateway = visit_of(request).merchant, request.app.state.gateway

    async def ask() -> str:
        async with gateway.database.connection(reading=True) as conn:
            return _mark(await recoveries.get(conn, merchant, recovery_id))

    _known(recovery_id)
    await ask()
    stream: Stream = request.app.state.live.stream(request, f"recovery:{merchant.merchant_id}:{recovery_id}", ask)
    return stream


@post(f"{HERE}/{{recovery_id:str}}/pause")
async def pause(request: AnyRequest, recovery_id: FromPath[str]) -> Response[Any]:
    """Schedule no more for now."""
    return await _move(request, recovery_id, "pause")


@post(f"{HERE}/{{recovery_id:str}}/resume")
async def resume(request: AnyRequest, recovery_id: FromPath[str]) -> Response[Any]:
    """Go on where it was paused."""
    return await _move(request, recovery_id, "resume")


@post(f"{HERE}/{{recovery_id:str}}/cancel")
async def cancel(request: AnyRequest, recovery_id: FromPath[str]) -> Response[Any]:
    """End it where it is."""
    return await _move(request, recovery_id, "cancel")


async def _move(request: AnyRequest, recovery_id: str, verb: Verb) -> Response[Any]:
    gateway, visit = request.app.state.gateway, visit_of(request)
    merchant = visit.merchant
    where = f"{HERE}/{_known(recovery_id)}"
    try:
        async with gateway.database.transaction() as conn:
            await recoveries.move(conn, merchant, recovery_id, verb)
            await audit.note(conn, merchant.scope, visit.actor, f"recovery.{_VERBS[verb]}", recovery_id)
    except BadRequestError as error:
        say(request, error.description[:1].upper() + error.description[1:] + ".", "bad")
        return go(request, where)
    gateway.doorbell.ring()
    say(request, _DONE[verb])
    return go(request, where)


async def _form(
    request: AnyRequest,
    ask: Ask,
    *,
    counted: DryRun | None = None,
    rest: str = "",
    error: LedgateError | None = None,
) -> Response[Any]:
    merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        known = (await endpoints.page(conn, merchant, disable_after=None)).data
    types = sorted(endpoint_rules.PATTERNS - {"*"}, key=lambda one: (one.partition(".")[0], "*" not in one, one))
    return render(
        request, "recovery_new.html", ask=ask, counted=counted, rest=rest, error=error, what=WHAT, types=types,
        key=new_token(),
        endpoints=[(one.id, webhooks.name_of(one) + ("" if one.enabled else " (off)")) for one in known],
    )  # fmt: skip


def _read(ask: Ask) -> Range:
    status: Recovers | None = None
    match ask.status:
        case "failed" | "missed" | "success":
            status = ask.status
        case "":
            pass
        case _:
            raise BadRequestError("Choose one of these.", field="status", reason="field_invalid")
    return Range(
        since=typed.read_moment(ask.since, "since"),
        until=typed.read_moment(ask.until, "until") if ask.until else None,
        endpoint=known_endpoint(ask.endpoint) if ask.endpoint else None,
        event=ask.event or None,
        status=status,
    )


def _filled(ask: Ask) -> Ask:
    began = (datetime.now(UTC) - _USUALLY).replace(second=0, microsecond=0)
    return msgspec.structs.replace(ask, since=typed.moment(began))


async def _names(conn: Any, merchant: Any) -> dict[str, str]:
    return {one.id: webhooks.name_of(one) for one in (await endpoints.page(conn, merchant, disable_after=None)).data}


def _mark(job: Recovery) -> str:
    """Changes with each step."""
    return f"{job.status} {job.scheduled} {job.skipped}"


def _known(recovery_id: str) -> str:
    if not RECOVERY_ID.match(recovery_id):
        raise NotFoundError("there is no such recovery")
    return recovery_id


HANDLERS = (show_recoveries, new_recovery, start_recovery, show_recovery, live, pause, resume, cancel)
