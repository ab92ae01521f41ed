"""Every setting of every Ledgate process, in one frozen struct."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from kit import config as kit_config
from kit import egress

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]

PREFIX = "LEDGATE_"
_ATTEMPTS_KEPT = 30  # days
_FIGURES_SHOWN = 62  # days: two months, each compared with the one before
_WEB = ("http", "https")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings. Those with a capital name keep it; all others are read from `LEDGATE_<NAME>`."""

    database_url: str = msgspec.field(name="DATABASE_URL", default="")
    owner_url: str = ""
    """libpq URL of the tables' owner, past any pooler: dispatchers tend partitions with it and listen for hints.
    Without it they use DATABASE_URL."""
    port: Port = msgspec.field(name="PORT", default=8000)
    test_mode: bool = msgspec.field(name="TEST_MODE", default=False)
    test_payment_success: bool | None = msgspec.field(name="TEST_PAYMENT_SUCCESS", default=None)
    """In test mode, fixes the outcome of every payment."""
    test_processing_delay: Annotated[int, Meta(ge=0, le=60_000)] = msgspec.field(
        name="TEST_PROCESSING_DELAY", default=500
    )
    """In test mode, how long the simulator takes, in milliseconds."""
    webhook_retry_intervals_test: bool = msgspec.field(name="WEBHOOK_RETRY_INTERVALS_TEST", default=False)
    log_level: Literal["debug", "info", "warning", "error"] = msgspec.field(name="LOG_LEVEL", default="info")

    log_format: Literal["json", "console"] = "json"
    host: str = "127.0.0.1"
    api_workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Server processes of `ledgate api`; each has its own pool."""
    api_pool_size: Annotated[int, Meta(ge=1, le=200)] = 16
    body_limit: Annotated[int, Meta(ge=1024, le=1_048_576)] = 65_536
    """Bytes of a request body; more is a 413."""
    head_timeout: Seconds = 10.0
    """Seconds within which a request's head must have arrived; the server in front cuts the connection."""
    body_timeout: Seconds = 10.0
    """Seconds within which a request's body must have arrived; later is a 408."""
    request_timeout: Seconds = 30.0
    """Seconds within which a request is answered; a 503 otherwise."""
    rate_limit: Annotated[float, Meta(ge=0, le=1_000_000)] = 200.0
    """Requests a second of one API key, in each API process; 0 for no limit. More is a 429."""
    rate_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 400
    """Requests of one API key that may come at once."""
    leave: Annotated[float, Meta(ge=0, le=300)] = 0.0
    """Seconds that a stopping API serves on with `/health/ready` at 503: a proxy sees it, and sends no more."""
    patience: Annotated[float, Meta(ge=0, le=60)] = 5.0
    """Seconds that a request waits for the database to come back from a restart; 0 answers 503 at once."""
    statement_timeout: Seconds = 10.0
    """Seconds that one SQL statement of the API may take, and that a request waits for a connection."""
    credential_ttl: Annotated[float, Meta(ge=0, le=5)] = 3.0
    """Seconds that a checked API key is believed; a revoked key works no longer than this."""
    secret_keys: str = ""
    """Keys that seal secrets at rest: `id:base64 of 32 bytes`, comma-separated; the first one seals."""

    claim_size: Annotated[int, Meta(ge=1, le=2000)] = 200
    """Work rows that a dispatcher claims with one statement."""
    max_deliveries: Annotated[int, Meta(ge=1, le=5000)] = 400
    """Webhooks that a dispatcher has in flight at once."""
    endpoint_in_flight: Annotated[int, Meta(ge=1, le=5000)] = 100
    """Webhooks that a dispatcher has in flight for one endpoint at most; it begins with 8 and earns more."""
    circuit_failures: Annotated[int, Meta(ge=1, le=100_000)] = 50
    """Failures in a row after which an endpoint's circuit opens."""
    circuit_seconds: Seconds = 10.0
    """Seconds for which it opens first; each probe that fails doubles them, up to `circuit_longest`."""
    circuit_longest: Seconds = 300.0
    max_processing: Annotated[int, Meta(ge=1, le=20_000)] = 2000
    """Payments that a dispatcher has at the processor at once."""
    delivery_lease: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    """Seconds for which a claimed delivery is the claimant's alone; must exceed the attempt's total time."""
    processing_lease: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    poll_min: Annotated[float, Meta(ge=0.001, le=1)] = 0.005
    poll_max: Annotated[float, Meta(ge=0.01, le=5)] = 0.2
    """Seconds between polls for work: from `poll_min` when busy, growing to `poll_max` when idle."""
    drain: Annotated[float, Meta(ge=0, le=120)] = 12.0
    """Seconds that a stopping dispatcher gives its requests in flight."""
    beat_file: str = ""
    """A file that a dispatcher touches at every heartbeat that the database has taken, for health checks."""

    egress_allow: str = ""
    """Networks that webhooks may go to though they are not public, comma-separated; `none` for none. Without it: none,
    in test mode loopback."""
    egress_ports: str = egress.PORTS
    """Ports that webhooks may go to: numbers and ranges, comma-separated."""

    disable_after: Annotated[float, Meta(ge=0, le=365)] = 5.0
    """Days of nothing but failures after which an endpoint is disabled; 0 for never."""

    event_retention: Annotated[int, Meta(ge=0, le=36_500)] = 90
    """Days that events and finished deliveries are kept; 0 for ever."""
    attempt_retention: Annotated[int, Meta(ge=0, le=36_500)] | None = None
    """Days that attempts are kept, no more than events; 0 for as long as events. Without it 30, or what events are."""

    figure_retention: Annotated[int, Meta(ge=0, le=36_500)] = 400
    """Days that the overview's figures are kept, which outlive what they were counted from; 0 for ever."""

    audit_retention: Annotated[int, Meta(ge=0, le=36_500)] = 400
    """Days that the audit log is kept; 0 for ever."""

    checkout_port: Port = 3001
    """Where the checkout's page and `checkout.js` are served."""
    checkout_streams: Annotated[int, Meta(ge=0, le=100_000)] = 2000
    """Pages of one checkout process that are told by a stream how a payment goes on; all others ask for themselves."""
    trusted_proxies: str = ""
    """Networks of proxies before checkout and dashboard, comma-separated: their X-Forwarded-For says whose requests
    these are."""
    dashboard_port: Port = 3000
    """Where the dashboard is served."""
    dashboard_url: str = ""
    """The dashboard as browsers see it, such as https://dash.example: links begin with it, and forms come from there
    alone. Without it: the host that a request names, by https, in test mode by http."""
    dashboard_idle: Annotated[float, Meta(ge=0.1, le=720)] = 12.0
    """Hours without a request after which somebody must sign in again."""
    dashboard_longest: Annotated[float, Meta(ge=0.1, le=8760)] = 168.0
    """Hours after which somebody must sign in again, whatever they do."""
    dashboard_streams: Annotated[int, Meta(ge=0, le=100_000)] = 500
    """Pages of one dashboard process that are told by a stream what is new; all others ask from time to time."""
    test_merchant_port: Port = 4000
    test_merchant_url: str = ""
    """Where the demo merchant's webhooks go; the test merchant on this machine by default."""
    demo_shop_port: Port = 3002
    demo_shop_key: str = ""
    demo_shop_secret: str = ""
    """The demo shop's credentials; those of its own demo merchant in test mode."""
    demo_shop_webhook_url: str = ""
    """The demo shop's `/webhook` as the gateway reaches it; on this machine by default."""
    api_url: str = ""
    """The API as merchants reach it: the demo shop calls it, the dashboard's docs name it. On this machine by default,
    for the docs on the dashboard's host."""
    checkout_url: str = ""
    """The checkout as shoppers' browsers reach it, for the demo shop and the dashboard's docs; likewise."""
    data_dir: str = ""
    """Where `ledgate up` keeps the embedded database; `.ledgate` in the working directory by default."""

    @property
    def disabling(self) -> timedelta | None:
        """How long an endpoint may do nothing but fail; None for as long as it likes."""
        return timedelta(days=self.disable_after) if self.disable_after else None

    @property
    def housekeeping_url(self) -> str:
        """Give the libpq URL of whoever owns the tables."""
        return self.owner_url or self.database_url

    @property
    def attempts_kept(self) -> int:
        """Days that attempts are kept; 0 for as long as events."""
        if self.attempt_retention is not None:
            return self.attempt_retention
        return min(_ATTEMPTS_KEPT, self.event_retention or _ATTEMPTS_KEPT)

    @property
    def proxies(self) -> tuple[egress.Network, ...]:
        """Whose X-Forwarded-For is believed.

        Raises:
            ConfigError: the setting is wrong.
        """
        return _read("LEDGATE_TRUSTED_PROXIES", egress.networks, self.trusted_proxies or egress.NONE)

    @property
    def dashboard_origin(self) -> str:
        """The dashboard's scheme, host and port, as browsers say them in `Origin`; nothing where it is not set.

        Raises:
            ConfigError: the setting is no such address.
        """
        parts = urlsplit(self.dashboard_url)
        origin = f"{parts.scheme}://{parts.netloc}" if self.dashboard_url else ""
        if origin != self.dashboard_url.rstrip("/") or (origin and (parts.scheme not in _WEB or not parts.hostname)):
            raise kit_config.ConfigError(
                "setting LEDGATE_DASHBOARD_URL: scheme and host as browsers see them, such as https://dash.example"
            )
        return origin

    @property
    def egress(self) -> egress.Rules:
        """What webhooks may go to.

        Raises:
            ConfigError: a setting is wrong.
        """
        allowed = self.egress_allow or (egress.LOOPBACK if self.test_mode else egress.NONE)
        return egress.Rules(
            _read("LEDGATE_EGRESS_ALLOW", egress.networks, allowed),
            _read("LEDGATE_EGRESS_PORTS", egress.ports, self.egress_ports),
        )


def load_service(environ: dict[str, str]) -> Config:
    """Read the settings of a process that needs the database and the sealing keys.

    Raises:
        ConfigError: what is unknown, wrong or missing.
    """
    config = load(environ)
    if not config.database_url:
        raise kit_config.ConfigError("setting DATABASE_URL: needed; a libpq URL such as postgresql://user@host/ledgate")
    return config


def load(environ: dict[str, str]) -> Config:
    """Read the settings; `ConfigError` names what is unknown or wrong."""
    config = kit_config.load(Config, environ, prefix=PREFIX)
    if 0 < config.event_retention < config.attempts_kept:
        raise kit_config.ConfigError(
            "setting LEDGATE_ATTEMPT_RETENTION: attempts cannot be kept for longer than LEDGATE_EVENT_RETENTION"
        )
    if 0 < config.figure_retention < _FIGURES_SHOWN:
        raise kit_config.ConfigError(
            f"setting LEDGATE_FIGURE_RETENTION: the overview shows {_FIGURES_SHOWN} days; 0 keeps figures for ever"
        )
    _ = (
        config.egress,
        config.proxies,
        config.dashboard_origin,
    )  # wrong ones are refused now, not when the first webhook leaves
    return config


def _read(variable: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise kit_config.ConfigError(f"setting {variable}: {error}") from None
