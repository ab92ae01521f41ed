"""Recoveries over HTTP: count them, start them, follow them, hold them."""

from __future__ import annotations

import msgspec
from litestar import Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from gateway import idempotency, recoveries
from gateway.api.auth import authenticate
from gateway.api.common import PAGING, AnyRequest, Key, WhichPage, respond, utc
from gateway.api.docs import ERRORS, READ_ERRORS
from gateway.api.endpoints import ENDPOINT_ID
from gateway.api.wire import StrictJson
from gateway.errors import NotFoundError
from gateway.recoveries import DryRun, RecoveryPage, StartRecovery, Verb
from outbox.recoveries import Recovery


@post("/webhooks/recover", dto=StrictJson[StartRecovery], return_dto=None, status_code=202, tags=["Webhooks"],
      summary="Send a range again",
      responses={202: ResponseSpec(Recovery, description="The recovery, under way"),
                 200: ResponseSpec(DryRun, description="With `dry_run`: what it would do"), **ERRORS})  # fmt: skip
async def start_recovery(
    request: AnyRequest, data: JSONBody[StartRecovery], idempotency_key: Key = None
) -> Response[bytes]:
    """Send a range of time again, as a job in the background: what failed, and what endpoints missed.

    Deliveries keep their `webhook-id`. They go out behind new events, at most `rate` a second, and while 2,000 are
    waiting no more follow. 10 recoveries may be running or paused at once.
    """
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    if data.endpoint is not None and not ENDPOINT_ID.match(data.endpoint):
        raise NotFoundError("there is no such endpoint", field="endpoint")
    what = msgspec.structs.asdict(data) | {"since": utc(data.since), "until": utc(data.until)}
    only_counts, rate = what.pop("dry_run"), what.pop("rate")
    async with gateway.database.transaction() as conn:

        async def begin() -> tuple[int, DryRun | Recovery]:
            if only_counts:
                return 200, await recoveries.dry_run(conn, merchant, **what)
            return 202, await recoveries.start(conn, merchant, rate=rate, **what)

        answer = await idempotency.once(
            conn, merchant, gateway.sealer, begin, key=key, path="/webhooks/recover", request=data
        )
    return respond(request, answer)


@get("/webhooks/recoveries", dependencies=PAGING, tags=["Webhooks"], summary="List recoveries", responses=READ_ERRORS)
async def list_recoveries(request: AnyRequest, paging: WhichPage) -> RecoveryPage:
    """A page of recoveries, newest first."""
    merchant = await authenticate(request, "read")
    async with request.app.state.gateway.database.connection() as conn:
        return await recoveries.page(conn, merchant, paging)


@get("/webhooks/recoveries/{recovery_id:str}", tags=["Webhooks"], summary="Read a recovery", responses=READ_ERRORS)
async def get_recovery(request: AnyRequest, recovery_id: FromPath[str]) -> Recovery:
    """One recovery, and how far it has come."""
    merchant = await authenticate(request, "read")
    async with request.app.state.gateway.database.connection() as conn:
        return await recoveries.get(conn, merchant, _known(recovery_id))


@post("/webhooks/recoveries/{recovery_id:str}/pause", status_code=200, tags=["Webhooks"], summary="Pause a recovery",
      responses={200: ResponseSpec(Recovery, description="It stands still"), **ERRORS})  # fmt: skip
async def pause_recovery(
    request: AnyRequest, recovery_id: FromPath[str], idempotency_key: Key = None
) -> Response[bytes]:
    """Schedule no more for now. What was scheduled stays on its way."""
    return await _move(request, recovery_id, idempotency_key, "pause")


@post("/webhooks/recoveries/{recovery_id:str}/resume", status_code=200, tags=["Webhooks"], summary="Resume a recovery",
      responses={200: ResponseSpec(Recovery, description="It goes on"), **ERRORS})  # fmt: skip
async def resume_recovery(
    request: AnyRequest, recovery_id: FromPath[str], idempotency_key: Key = None
) -> Response[bytes]:
    """Go on where it was paused."""
    return await _move(request, recovery_id, idempotency_key, "resume")


@post("/webhooks/recoveries/{recovery_id:str}/cancel", status_code=200, tags=["Webhooks"], summary="Cancel a recovery",
      responses={200: ResponseSpec(Recovery, description="It has ended"), **ERRORS})  # fmt: skip
async def cancel_recovery(
    request: AnyRequest, recovery_id: FromPath[str], idempotency_key: Key = None
) -> Response[bytes]:
    """End it where it is. What was scheduled stays on its way."""
    return await _move(request, recovery_id, idempotency_key, "cancel")


async def _move(request: AnyRequest, recovery_id: str, idempotency_key: str | None, verb: Verb) -> Response[bytes]:
    merchant = await authenticate(request, "write")
    gateway = request.app.state.gateway
    key = idempotency.check_key(idempotency_key)
    path = f"/webhooks/recoveries/{_known(recovery_id)}/{verb}"
    async with gateway.database.transaction() as conn:

        async def move() -> tuple[int, Recovery]:
            return 200, await recoveries.move(conn, merchant, recovery_id, verb)

        answer = await idempotency.once(conn, merchant, gateway.sealer, move, key=key, path=path)
    return respond(request, answer)


def _known(recovery_id: str) -> str:
    if not recoveries.RECOVERY_ID.match(recovery_id):
        raise NotFoundError("there is no such recovery")
    return recovery_id


HANDLERS = (
    start_recovery,
    list_recoveries,
    get_recovery,
    pause_recovery,
    resume_recovery,
    cancel_recovery,
)
