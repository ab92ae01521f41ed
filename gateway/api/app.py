"""Put the API together: pool, credentials, routes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import msgspec
import psycopg
from litestar import Litestar
from litestar.exceptions import HTTPException
from psycopg_pool import PoolTimeout

from gateway.api import docs, query, routes, service, wire
from gateway.api.bounds import bounded
from gateway.api.methods import allowing
from gateway.api.metrics import Metrics, metrics
from gateway.api.observe import observed
from gateway.api.patience import patient
from gateway.api.rates import RateLimiter
from gateway.config import Config
from gateway.egress import Egress
from gateway.errors import LedgateError
from gateway.merchants import Credentials
from gateway.secrets import make_sealer
from kit import tasks
from kit.db import AWAY, Database
from kit.doorbell import Doorbell
from kit.seal import Sealer
from schema import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from litestar.types import ControllerRouterHandler


VERSION = version("ledgate")
ROLE = "ledgate_api"
_GUESSES = 10  # wrong credentials a second from one address; ten times as many at once


class Gateway(msgspec.Struct):
    """What the routes share in one process."""

    config: Config
    database: Database
    credentials: Credentials
    sealer: Sealer
    doorbell: Doorbell
    rates: RateLimiter
    """Requests of an API key."""
    guesses: RateLimiter
    """Requests of an address with missing or wrong credentials."""
    egress: Egress
    leaving: Callable[[], bool]
    """Whether this process is about to end."""
    migrated: bool = False

    async def readiness(self) -> Literal["ok", "away", "behind"]:
        """Whether requests can be served; asks the database each time, and for its migrations until they are there."""
        try:
            if not self.migrated:
                # In a thread: the check is schema's, and synchronous. First: the pool's role is made by a migration.
                self.migrated = not await asyncio.to_thread(_pending, self.config.database_url)
            if not self.migrated:
                return "behind"
            async with self.database.connection() as conn:
                await conn.execute("SELECT 1")
        except AWAY:
            return "away"
        return "ok"


def make_app(config: Config, leaving: Callable[[], bool] = lambda: False) -> Litestar:
    """The ASGI application. Serves from the first moment, with 503 while the database is away.

    Args:
        config: the settings.
        leaving: whether this process is about to end; asked at each answer.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with Database(
            config.database_url,
            name="ledgate-api",
            size=config.api_pool_size,
            statement_timeout=config.statement_timeout,
            wait=config.statement_timeout,
            role=ROLE,
            patience=config.patience,
        ) as database:
            app.state.gateway = gateway = Gateway(
                config,
                database,
                Credentials(database, ttl=config.credential_ttl),
                make_sealer(config),
                Doorbell(database),
                RateLimiter(rate=config.rate_limit, burst=config.rate_burst),
                RateLimiter(rate=min(config.rate_limit, _GUESSES), burst=10 * _GUESSES),
                Egress(config.egress),
                leaving,
            )
            loops = (gateway.doorbell.run(), gateway.credentials.run())
            running = [asyncio.create_task(one) for one in loops]
            try:
                yield
            finally:
                await tasks.end(*running)
                await gateway.egress.close()

    handlers: list[ControllerRouterHandler] = [routes.v1(), service.health, service.ready, service.jobs_status]
    app = Litestar(
        route_handlers=[*handlers, docs.openapi_json, docs.docs_page, metrics],
        lifespan=[lifespan],
        exception_handlers={
            LedgateError: wire.on_refusal,
            HTTPException: wire.on_http,
            psycopg.Error: wire.on_failure,
            PoolTimeout: wire.on_failure,
            Exception: wire.on_failure,
        },
        openapi_config=None,
        request_max_body_size=config.body_limit,
        logging_config=None,
        debug=False,
    )
    app.state.described = docs.describer(handlers, VERSION)
    app.state.query_parameters = query.parameters(app.routes)
    # Outside of the framework's middleware, which a wrong path or method never reaches.
    inner = allowing(app.asgi_handler, app.routes)
    if config.patience:
        inner = patient(inner, lambda: app.state.gateway.database)
    app.state.metrics = Metrics()
    timed = bounded(inner, body=config.body_timeout, total=config.request_timeout)
    app.asgi_handler = observed(timed, app.state.metrics, leaving)
    return app


def _pending(database_url: str) -> list[str]:
    with psycopg.connect(database_url, connect_timeout=5) as conn:
        if conn.execute("SELECT to_regrole(%s)", [ROLE]).fetchone() == (None,):
            return ["all"]
        # The login itself may be allowed nothing. For this transaction: behind a pooler the session is others' too.
        conn.execute(f"SET LOCAL ROLE {ROLE}")
        return migrate.pending(conn)
