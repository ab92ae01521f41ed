"""`ledgate up`: everything on one machine, from an empty directory to a first verified webhook."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import httpx
import psycopg

from gateway.cli import banner, database, first_payment
from gateway.cli.errors import CliError, Interrupted
from gateway.cli.first_payment import base_url
from gateway.cli.lock import Lock, own
from gateway.cli.place import DATABASE, DEFAULTS, Place
from gateway.cli.ports import require_free
from gateway.cli.screen import Screen
from gateway.cli.services import Stack
from gateway.cli.stopping import Stopping
from gateway.config import Config, load
from gateway.demo import seed, seed_shop
from gateway.secrets import make_sealer
from kit.embedded import EmbeddedError, Server
from schema.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

_LIBRARIES = ("pg_stat_statements",)  # what operators see of slow statements
_DATABASE_SECONDS = 30.0
_RECOVERY_SECONDS = 120.0
_READY_SECONDS = 30.0
_ORPHAN_SECONDS = 20.0  # that the processes of a run that was killed get to end; they are told by the kernel
_POLL = 0.05


def run() -> int:
    """Start everything, make a first payment, show what the processes say, stop everything. The exit code."""
    environ = {**DEFAULTS, **{name: value for name, value in os.environ.items() if value}}
    config = load(environ)
    make_sealer(config)  # what the processes would refuse is better refused before any is started
    screen = Screen()
    place = Place.of(config)
    stack = Stack(screen, drain=config.drain)
    with Stopping(at_once=stack.kill) as stopping, Lock(place.lock) as lock:
        try:
            lock.acquire(own(_public(config.port), _public(config.test_merchant_port), test_mode=config.test_mode))
            _require_ports(config, patience=_ORPHAN_SECONDS if lock.orphaned else 0)
            _bring_up(screen, stack, place, environ)
            stack.watch()
        except Interrupted:
            screen.say("\nStopping. Ctrl-C once more kills everything at once.")
        except (CliError, EmbeddedError) as error:
            stopping.begin()
            screen.fail(str(error))
            return error.code if isinstance(error, CliError) else 1
        finally:
            stopping.begin()
            stack.stop()
    return 0


def _public(port: int) -> str:
    return f"http://localhost:{port}"


def _require_ports(config: Config, *, patience: float) -> None:
    require_free(config.host, config.port, purpose="its API", variable="PORT", patience=patience)
    require_free(
        config.host,
        config.checkout_port,
        purpose="its checkout",
        variable="LEDGATE_CHECKOUT_PORT",
        patience=patience,
    )
    require_free(
        config.host,
        config.dashboard_port,
        purpose="its dashboard",
        variable="LEDGATE_DASHBOARD_PORT",
        patience=patience,
    )
    require_free(
        config.host,
        config.test_merchant_port,
        purpose="the test merchant",
        variable="LEDGATE_TEST_MERCHANT_PORT",
        patience=patience,
    )
    require_free(
        config.host,
        config.demo_shop_port,
        purpose="the demo shop",
        variable="LEDGATE_DEMO_SHOP_PORT",
        patience=patience,
    )


def _bring_up(screen: Screen, stack: Stack, place: Place, environ: dict[str, str]) -> None:
    given = load(environ).database_url
    url = _attach(screen, given) if given else _start_postgres(screen, stack, place)
    environ = {**environ, "DATABASE_URL": url, "DATABASE_URL_FILE": ""}
    config = load(environ)
    _prepare(screen, config)
    _start_services(screen, stack, config, environ)
    if config.test_mode:
        _pay(screen, stack, config)
    banner.show(
        screen,
        banner.Facts(
            port=config.port,
            checkout_port=config.checkout_port,
            dashboard_port=config.dashboard_port,
            test_merchant_port=config.test_merchant_port,
            demo_shop_port=config.demo_shop_port,
            database=database.where(url) if given else url,
            psql=banner.psql_hint(url, stack.server.programs) if stack.server else None,
            data_dir=stack.server.data_dir if stack.server else None,
            test_mode=config.test_mode,
        ),
    )


def _attach(screen: Screen, url: str) -> str:
    where = database.where(url)
    with screen.step(f"Waiting for the database of DATABASE_URL ({where})") as step:
        database.await_ready(url, _DATABASE_SECONDS)
        step.done = f"database answers ({where})"
    return url


def _start_postgres(screen: Screen, stack: Stack, place: Place) -> str:
    doing = "Starting PostgreSQL" if place.has_data() else "Making a PostgreSQL database (the first time only)"
    with screen.step(doing) as step:
        stack.server = Server.start(place.postgres, libraries=_LIBRARIES, wait=_RECOVERY_SECONDS)
        database.ensure(stack.server.url, DATABASE)
        step.done = f"PostgreSQL {stack.server.version} runs"
    return stack.server.url_for(DATABASE)


def _prepare(screen: Screen, config: Config) -> None:
    try:
        with screen.step("Bringing the database to the newest schema") as step:
            applied = migrate(config.database_url)
            step.done = f"database migrated ({len(applied)} new)" if applied else "database schema is the newest"
        if config.test_mode:  # its credentials are public
            with screen.step("Setting up the demo merchants") as step:
                asyncio.run(seed(config.database_url, config))
                asyncio.run(seed_shop(config.database_url, config))
                step.done = "demo merchants set up"
    except psycopg.Error as error:
        raise CliError(f"The database could not be prepared: {database.first_line(error)}") from error


def _start_services(screen: Screen, stack: Stack, config: Config, environ: dict[str, str]) -> None:
    stack.api.start(environ)
    stack.checkout.start(environ)
    stack.dashboard.start(environ)
    stack.test_merchant.start({**environ, "HOST": config.host})
    stack.shop.start(_of_shop(config, environ))
    stack.dispatcher.start(environ)
    api = base_url(config.host, config.port)
    checkout = base_url(config.host, config.checkout_port)
    dashboard = base_url(config.host, config.dashboard_port)
    merchant = base_url(config.host, config.test_merchant_port)
    shop = base_url(config.host, config.demo_shop_port)
    with httpx.Client(timeout=2.0, trust_env=False) as http:

        def ready() -> bool:
            return http.get(f"{api}/health/ready").status_code == httpx.codes.OK

        def showing() -> bool:
            return http.get(f"{checkout}/health/ready").status_code == httpx.codes.OK

        def admitting() -> bool:
            return http.get(f"{dashboard}/health/ready").status_code == httpx.codes.OK

        def receiving() -> bool:
            return bool(http.get(f"{merchant}/health").json()["status"] == "running")

        def selling() -> bool:
            return http.get(f"{shop}/health").status_code == httpx.codes.OK

        def working() -> bool:
            status = http.get(f"{api}/api/v1/test/jobs/status").json()
            return bool(status["worker_status"] == "running")

        for name, probe, done in (
            ("the API", ready, f"API answers on port {config.port}"),
            ("the checkout", showing, f"checkout answers on port {config.checkout_port}"),
            ("the dashboard", admitting, f"dashboard answers on port {config.dashboard_port}"),
            ("the test merchant", receiving, f"test merchant receives on port {config.test_merchant_port}"),
            ("the demo shop", selling, f"demo shop answers on port {config.demo_shop_port}"),
            ("the dispatcher", working, "dispatcher works"),
        ):
            with screen.step(f"Waiting for {name}") as step:
                _await(name, probe, stack)
                step.done = done


def _of_shop(config: Config, environ: dict[str, str]) -> dict[str, str]:
    """The demo shop's environment. It is a merchant: the database's address is not for it."""
    return {
        **{name: value for name, value in environ.items() if not name.startswith(("DATABASE_URL", "LEDGATE_"))},
        "HOST": config.host,
        "TEST_MODE": str(config.test_mode).lower(),
        "LEDGATE_DEMO_SHOP_PORT": str(config.demo_shop_port),
        "LEDGATE_DEMO_SHOP_KEY": config.demo_shop_key,
        "LEDGATE_DEMO_SHOP_SECRET": config.demo_shop_secret,
        "LEDGATE_DEMO_SHOP_WEBHOOK_URL": config.demo_shop_webhook_url,
        "LEDGATE_API_URL": config.api_url or base_url(config.host, config.port),
        "LEDGATE_CHECKOUT_URL": config.checkout_url or _public(config.checkout_port),
    }


def _await(name: str, probe: Callable[[], bool], stack: Stack) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        stack.check()
        try:
            if probe():
                return
            reason = "it says that it is not ready"
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            reason = str(error) or type(error).__name__
        if time.monotonic() > deadline:
            said = "\n".join(f"  {line}" for service in stack.services for line in list(service.lines)[-8:])
            raise CliError(f"After {_READY_SECONDS:.0f} s {name} is not ready: {reason}\n{said}".rstrip())
        time.sleep(_POLL)


def _pay(screen: Screen, stack: Stack, config: Config) -> None:
    screen.say("A first payment, made as a merchant makes it:")
    try:
        first_payment.follow(
            base_url(config.host, config.port),
            base_url(config.host, config.test_merchant_port),
            seconds=first_payment.SECONDS + config.test_processing_delay / 1000,
            tell=screen.tick,
            check=stack.check,
        )
    except CliError as error:
        stack.check()
        # No reason to take everything down: the database may hold older work, or an endpoint set elsewhere.
        screen.cross(str(error))
