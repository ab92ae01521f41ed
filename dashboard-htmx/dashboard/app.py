"""Put the dashboard together: pages, files, and around them the limits and log lines that the API has too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from dashboard import assets, cookies, live, pages, policy, refusals, warm
from dashboard.admission import PUBLIC, admit
from gateway.api import service
from gateway.api.app import Gateway
from gateway.api.bounds import bounded
from gateway.api.methods import allowing
from gateway.api.metrics import Metrics, metrics
from gateway.api.observe import observed
from gateway.api.patience import patient
from gateway.api.rates import RateLimiter
from gateway.egress import Egress
from gateway.merchants import Credentials
from gateway.secrets import make_sealer
from kit import tasks
from kit.db import Database
from kit.doorbell import Doorbell

if TYPE_CHECKING:
    from gateway.config import Config

ROLE = "ledgate_dashboard"
_TRUTHS = ("/health", "/metrics")  # told at once, whatever became of the database
_VISITS = 50  # requests a second of one address; ten times as many at once


def make_app(config: Config, leaving: Callable[[], bool] = lambda: False, *, rehearsing: bool = False) -> Litestar:
    """The ASGI application. Serves from the first moment, with 503 while the database is away.

    Args:
        config: the settings.
        leaving: whether this process is about to end.
        rehearsing: whether each connection reads the heavy pages before it serves anybody.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with Database(
            config.database_url,
            name="ledgate-dashboard",
            size=config.api_pool_size,
            statement_timeout=config.statement_timeout,
            wait=config.statement_timeout,
            role=ROLE,
            patience=config.patience,
            rehearse=warm.rehearse if rehearsing else None,
        ) as database:
            limited = bool(config.rate_limit)
            app.state.gateway = gateway = Gateway(
                config,
                database,
                Credentials(database, ttl=config.credential_ttl),
                make_sealer(config),
                Doorbell(database),
                RateLimiter(rate=config.rate_limit, burst=config.rate_burst),
                RateLimiter(rate=config.rate_limit, burst=config.rate_burst),
                Egress(config.egress),
                leaving,
            )
            app.state.visits = RateLimiter(rate=_VISITS * limited, burst=10 * _VISITS)
            app.state.live = live.Live(most=config.dashboard_streams)
            ringing = asyncio.create_task(gateway.doorbell.run())
            try:
                yield
            finally:
                await tasks.end(ringing)
                await app.state.live.close()
                await gateway.egress.close()

    for handler in (service.health, service.ready, metrics):
        _open(handler)
    app = Litestar(
        route_handlers=[*pages.handlers(), assets.static_file, service.health, service.ready, metrics],
        before_request=admit,
        lifespan=[lifespan],
        exception_handlers=refusals.HANDLERS,
        openapi_config=None,
        request_max_body_size=config.body_limit,
        logging_config=None,
        debug=False,
    )
    app.state.metrics = Metrics()
    inner = allowing(app.asgi_handler, app.routes, refusals.refuse)
    if config.patience:
        inner = patient(inner, lambda: app.state.gateway.database, calls="/", truths=_TRUTHS)
    timed = bounded(inner, body=config.body_timeout, total=config.request_timeout, refuse=refusals.refuse)
    told = policy.telling(timed, secure=cookies.secure(config))
    app.asgi_handler = observed(told, app.state.metrics, leaving)
    return app


def _open(handler: HTTPRouteHandler) -> None:
    """The API's own handlers say nothing of a need."""
    handler.opt.update(PUBLIC)
