"""Is it alive, is it ready, is there work: calls without credentials."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.openapi import ResponseSpec

from gateway.api.docs import READ_ERRORS
from outbox import work as outbox_work


class Liveness(msgspec.Struct, frozen=True):
    """Liveness or readiness."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "away", "behind"] | None = None
    """`behind`: migrations are missing; run `ledgate migrate`."""
    process: Literal["leaving"] | msgspec.UnsetType = msgspec.UNSET
    """`leaving`: it is about to end, and serves what still comes."""


class JobsStatus(msgspec.Struct, frozen=True):
    """Open work now, and finished work of the last 24 hours."""

    pending: int
    processing: int
    completed: int
    failed: int
    worker_status: Literal["running", "stopped"]


@get("/health", tags=["Service"], summary="Liveness", security=[])
async def health() -> Liveness:
    """The process serves. Says nothing about the database."""
    return Liveness("ok")


@get("/health/ready", tags=["Service"], summary="Readiness", security=[],
     responses={503: ResponseSpec(Liveness, description="Not ready, and why", generate_examples=False)})  # fmt: skip
async def ready(request: Request[Any, Any, Any]) -> Response[Liveness]:
    """The database answers and has every migration, and the process is not about to end; else 503."""
    gateway = request.app.state.gateway
    if gateway.leaving():
        body = Liveness("unavailable", process="leaving")
        return Response(body, status_code=503, media_type=MediaType.JSON)
    state = await gateway.readiness()
    body = Liveness("ok" if state == "ok" else "unavailable", state)
    return Response(body, status_code=200 if state == "ok" else 503, media_type=MediaType.JSON)


@get("/api/v1/test/jobs/status", tags=["Service"], summary="Work", security=[], responses=READ_ERRORS)
async def jobs_status(request: Request[Any, Any, Any]) -> JobsStatus:
    """Open work counted in SQL; finished work to the second; whether a dispatcher lives."""
    gateway = request.app.state.gateway
    # It counts the whole queue and asks for no credentials.
    request.scope["state"]["rate"] = gateway.rates.take(f"jobs:{request.client.host if request.client else ''}")
    async with gateway.database.connection() as conn:
        now = await outbox_work.status(conn)
    return JobsStatus(
        pending=now.pending,
        processing=now.processing,
        completed=now.completed,
        failed=now.failed,
        worker_status="running" if now.running else "stopped",
    )
