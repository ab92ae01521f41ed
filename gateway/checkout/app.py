"""Put the checkout together: the page, its calls, its files; the same pool, limits and log lines as the API's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec
import psycopg
from litestar import Litestar
from litestar.exceptions import HTTPException
from psycopg_pool import PoolTimeout

from gateway.api import service, wire
from gateway.api.app import ROLE, Gateway
from gateway.api.bounds import bounded
from gateway.api.methods import allowing
from gateway.api.metrics import Metrics, metrics
from gateway.api.observe import observed
from gateway.api.patience import patient
from gateway.api.rates import RateLimiter
from gateway.checkout import assets, calls, page
from gateway.checkout.progress import Progress
from gateway.egress import Egress
from gateway.errors import LedgateError
from gateway.merchants import Credentials
from gateway.secrets import make_sealer
from kit import tasks
from kit.db import Database
from kit.doorbell import Doorbell
from kit.egress import Network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.config import Config

_VISITS = 50  # requests a second of one address, pages and calls; ten times as many at once
_GUESSES = 10
_TRIES, _TRIES_AT_ONCE = 0.2, 20  # payments a second of one order from one address: cards are tried out like this
_PAYERS, _PAYERS_AT_ONCE = 1, 100  # payments a second from one address: behind one may be a town
_KEYS = 5  # times a key's share at the API: it is strangers who use this one up


class Hosted(msgspec.Struct):
    """What the checkout's routes share in one process, besides what they share with the API's."""

    progress: Progress
    proxies: tuple[Network, ...]
    """Whose word is taken for who visits."""
    visits: RateLimiter
    """Requests of an address."""
    tries: RateLimiter
    """Payments of an order from an address; in test mode there is no money to be tried for."""
    payers: RateLimiter
    """Payments from an address, of whichever orders."""


def make_app(config: Config, leaving: Callable[[], bool] = lambda: False) -> Litestar:
    """The ASGI application. Serves from the first moment, with 503 while the database is away.

    Args:
        config: the settings.
        leaving: whether this process is about to end.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with Database(
            config.database_url,
            name="ledgate-checkout",
            size=config.api_pool_size,
            statement_timeout=config.statement_timeout,
            wait=config.statement_timeout,
            role=ROLE,
            patience=config.patience,
        ) as database:
            limited = bool(config.rate_limit)
            earnest = limited and not config.test_mode
            app.state.gateway = gateway = Gateway(
                config,
                database,
                Credentials(database, ttl=config.credential_ttl),
                make_sealer(config),
                Doorbell(database),
                RateLimiter(rate=_KEYS * config.rate_limit, burst=_KEYS * config.rate_burst),
                RateLimiter(rate=_GUESSES * limited, burst=10 * _GUESSES),
                Egress(config.egress),
                leaving,
            )
            app.state.checkout = hosted = Hosted(
                Progress(database, most=config.checkout_streams),
                config.proxies,
                RateLimiter(rate=_VISITS * limited, burst=10 * _VISITS),
                RateLimiter(rate=_TRIES * earnest, burst=_TRIES_AT_ONCE),
                RateLimiter(rate=_PAYERS * earnest, burst=_PAYERS_AT_ONCE),
            )
            loops = (gateway.doorbell.run(), gateway.credentials.run(), hosted.progress.run())
            running = [asyncio.create_task(one) for one in loops]
            try:
                yield
            finally:
                for task in running:
                    await tasks.end(task)
                await gateway.egress.close()

    handlers = [page.checkout_page, *calls.HANDLERS, assets.static_file, assets.sdk_file]
    app = Litestar(
        route_handlers=[*handlers, service.health, service.ready, metrics],
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
    app.state.metrics = Metrics()
    inner = allowing(app.asgi_handler, app.routes)
    if config.patience:
        inner = patient(inner, lambda: app.state.gateway.database, calls="/checkout")
    timed = bounded(inner, body=config.body_timeout, total=config.request_timeout)
    app.asgi_handler = observed(timed, app.state.metrics, leaving)
    return app
