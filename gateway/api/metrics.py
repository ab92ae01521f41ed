"""Figures for Prometheus: requests of this process, work of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import MediaType, Request, Response, get
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from kit.db import AWAY
from outbox import work as outbox_work

if TYPE_CHECKING:
    from outbox.work import Status

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The figures of one process. With several workers behind one port each scrape meets one of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "ledgate_requests", "Requests served", ("method", "path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "ledgate_request_seconds", "Seconds until the answer", ("path",), buckets=_SECONDS, registry=self._registry
        )
        self._work = Gauge(
            "ledgate_work",
            "Open work now (pending, processing); work of the last 24 hours (completed, failed)",
            ("state",),
            registry=self._registry,
        )
        self._dispatcher = Gauge(
            "ledgate_dispatcher_running", "1: a dispatcher was seen within 5 seconds", registry=self._registry
        )
        self._database = Gauge("ledgate_database_up", "1: the database answered", registry=self._registry)

    def served(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request. `path` is the call's template: ids would make a series each."""
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def render(self, work: Status | None) -> bytes:
        """Everything in Prometheus' text format; without the work while the database is away."""
        self._database.set(work is not None)
        if work is None:
            self._work.clear()
        else:
            for state in ("pending", "processing", "completed", "failed"):
                self._work.labels(state).set(getattr(work, state))
            self._dispatcher.set(work.running)
        return generate_latest(self._registry)


@get("/metrics", include_in_schema=False)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus' figures; without credentials, and without anything of a merchant."""
    gateway, work = request.app.state.gateway, None
    gateway.rates.take(f"metrics:{request.client.host if request.client else ''}")
    try:
        async with gateway.database.connection() as conn:
            work = await outbox_work.status(conn)
    except AWAY:
        pass  # `ledgate_database_up` says so
    headers = {"Content-Type": CONTENT_TYPE_PLAIN_1_0_0}
    return Response(request.app.state.metrics.render(work), headers=headers, media_type=MediaType.TEXT)
