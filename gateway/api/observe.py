"""Give each request an id and one canonical log line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from litestar.enums import ScopeType

from kit import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.api.metrics import Metrics

log = structlog.get_logger()


def observed(app: ASGIApp, metrics: Metrics, leaving: Callable[[], bool]) -> ASGIApp:
    """ASGI middleware: `X-Request-Id` and rate headers out, `request.served` logged, without body, headers or query.

    Once the process is leaving, an answer is the last one of its connection.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = ids.new("req")
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                last = [(b"connection", b"close")] if leaving() and scope["http_version"] != "2" else []
                ours = [(b"x-request-id", request_id.encode()), *_rate(state), *last]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        try:
            await app(scope, receive, send_with_id)
        finally:
            write = log.info if status < 500 and not scope["path"].startswith("/health") else log.debug  # noqa: PLR2004
            if status >= 500 and status != 503:  # noqa: PLR2004 - an outage has its own line
                write = log.error
            seconds = time.perf_counter() - started
            # What matched no path has none: its own text would make a series for each.
            metrics.served(str(scope["method"]), scope.get("path_template", ""), status, seconds)
            write(
                "request.served",
                method=scope["method"],
                path=scope["path"],
                status=status,
                error=state.get("error_code"),
                merchant=state.get("merchant_id"),
                replayed=state.get("replayed"),
                duration_ms=round(seconds * 1000, 1),
                request_id=request_id,
            )

    return serve


def _rate(state: dict[str, object]) -> list[tuple[bytes, bytes]]:
    """How much of its share the key has left (draft-ietf-httpapi-ratelimit-headers-06)."""
    rate = state.get("rate")
    if not isinstance(rate, tuple):
        return []
    names = (b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset")
    return [(name, str(value).encode()) for name, value in zip(names, rate, strict=True)]
