"""Endpoints as merchants manage them: checked, bounded in number, with secrets that rotate."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import endpoint_rules as rules
from gateway import recoveries
from gateway.errors import BadRequestError, NotFoundError
from gateway.notes import NO_NUL
from outbox import endpoints
from outbox.endpoints import Changes, Endpoint, Secret
from outbox.health import EndpointHealth

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from kit.db import Connection
    from kit.seal import Sealer

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=rules.MAX_URL,
        description="http or https, ASCII, without user name, password and fragment",
        examples=["https://shop.example/webhooks"],
    ),
]
Events = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=64)]],
    Meta(
        min_length=1,
        max_length=50,
        description="Event types, `payment.*`, `refund.*`, `order.*` or `*`",
        examples=[["payment.*", "refund.processed"]],
    ),
]
Description = Annotated[str, Meta(min_length=1, max_length=500, extra_json_schema=NO_NUL)]
Schedule = Annotated[
    list[Annotated[int, Meta(ge=0, le=rules.MAX_STEP)]],
    Meta(
        min_length=1,
        max_length=rules.MAX_STEPS,
        description="Seconds before each attempt: the first after the event, the others after the failure before."
        " 1 to 20 steps of up to 604800, 2592000 in all",
        examples=[[0, 60, 300, 1800, 7200]],
    ),
]
Rate = Annotated[int, Meta(ge=1, le=1000, description="Most attempts a second, retries too", examples=[20])]
Headers = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(min_length=1, max_length=1024)]],
    Meta(
        max_length=rules.MAX_HEADERS,
        description="Up to 10 request headers to send along; kept encrypted, never shown again, and never logged."
        " Headers of Ledgate, of the connection and of the body are refused",
    ),
]
_DEFAULT_SPAN = 9_360  # seconds: the default schedule's steps

Disabling: TypeAlias = timedelta | None
"""How long an endpoint may do nothing but fail before it is disabled; None for ever."""
Overlap = Annotated[int, Meta(ge=0, le=7 * 24 * 3600, description="Seconds for which the old secret signs too")]


class CreateEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One more endpoint."""

    url: Url
    events: Events = msgspec.field(default_factory=lambda: ["*"])
    description: Description | None = None
    retry_schedule: Schedule | None = None
    rate: Rate | None = None
    ordered: bool = False
    """An event waits until the one before it has been delivered, or given up."""
    headers: Headers | None = None
    enabled: bool = True


class ChangeEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change; what is not given stays. Null takes a description, a schedule, a rate or headers away."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    retry_schedule: Schedule | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    ordered: bool | UnsetType = UNSET
    """Of events from now on."""
    headers: Headers | UnsetType | None = UNSET
    """All of them: those that are not named are gone."""
    enabled: bool | UnsetType = UNSET
    """True also says that it is mended: what was known of its health is forgotten, its circuit is closed."""
    recover: bool = False
    """With `enabled: true`: send again what failed, and what was missed, since the trouble began."""


class SaveConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The default endpoint as it is to be; what is not given takes its default."""

    webhook_url: Url
    enabled: bool = True
    events: Events = msgspec.field(default_factory=lambda: ["*"])


class RegenerateSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new secret."""

    overlap_seconds: Overlap = 86_400


class NewEndpoint(Endpoint, frozen=True, kw_only=True):
    """An endpoint that was just made, with the secret that signs what it gets."""

    webhook_secret: str


class ChangedEndpoint(Endpoint, frozen=True, kw_only=True):
    """An endpoint as it is after a change."""

    recovery_id: str | UnsetType = UNSET
    """The recovery that `recover` began; absent when there was nothing to recover from."""


class EndpointList(msgspec.Struct, frozen=True):
    """All endpoints of a merchant, the oldest first: there are 50 at most, so that one page holds them."""

    data: list[Endpoint]
    total: int
    has_more: bool = False


class WebhookConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The default endpoint; without a URL when there is none."""

    webhook_url: str | None
    enabled: bool
    events: list[str]
    disabled_reason: str | None
    """Why Ledgate turned it off; null when you did, or when it is on."""
    disabled_at: datetime | None
    health: EndpointHealth | None
    """Null when there is none."""
    endpoint_id: str | None
    updated_at: datetime | None


async def create(conn: Connection, merchant: Merchant, sealer: Sealer, request: CreateEndpoint) -> NewEndpoint:
    """Add an endpoint, within a transaction.

    Raises:
        BadRequestError: `too_many_endpoints`.
    """
    await _make_room(conn, merchant)
    endpoint_id, secret = await endpoints.add(
        conn,
        sealer,
        **_whose(merchant),
        url=request.url,
        event_types=rules.check_events(request.events),
        retry_schedule=request.retry_schedule,
        rate=request.rate,
        ordered=request.ordered,
        description=request.description,
        headers=request.headers,
        enabled=request.enabled,
    )
    made = await get(conn, merchant, endpoint_id, disable_after=None)  # a new one has no health to speak of
    return msgspec.convert(msgspec.structs.asdict(made) | {"webhook_secret": secret}, NewEndpoint)


def check_create(request: CreateEndpoint) -> None:
    """Check what needs no database. Raises `BadRequestError` naming the field."""
    rules.check_url(request.url, "url")
    rules.check_events(request.events)
    rules.check_description(request.description)
    rules.check_schedule(request.retry_schedule or ())
    rules.check_headers(request.headers or {})


async def page(conn: Connection, merchant: Merchant, *, disable_after: Disabling) -> EndpointList:
    """All of a merchant's endpoints."""
    found = await endpoints.all_of(conn, **_whose(merchant), disable_after=disable_after)
    return EndpointList(found, len(found))


async def get(conn: Connection, merchant: Merchant, endpoint_id: str, *, disable_after: Disabling) -> Endpoint:
    """Read one endpoint.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    found = await endpoints.get(conn, endpoint_id, **_whose(merchant), disable_after=disable_after)
    if found is None:
        raise _unknown(endpoint_id)
    return found


async def change(
    conn: Connection,
    merchant: Merchant,
    sealer: Sealer,
    endpoint_id: str,
    request: ChangeEndpoint,
    *,
    disable_after: Disabling,
) -> ChangedEndpoint:
    """Change an endpoint: what it is sent from then on, open deliveries included, goes the new way.

    With `recover`, within a transaction.

    Raises:
        BadRequestError: naming the field; `recover_without_enabled`, or `too_many_recoveries`.
        NotFoundError: there is none, or it is another merchant's.
    """
    if request.url is not UNSET:
        rules.check_url(request.url, "url")
    events: list[str] | UnsetType = UNSET
    if request.events is not UNSET:
        events = rules.check_events(request.events)
    if request.description is not UNSET:
        rules.check_description(request.description)
    if request.retry_schedule is not UNSET:
        rules.check_schedule(request.retry_schedule or ())
    if request.headers is not UNSET:
        rules.check_headers(request.headers or {})
    if request.recover and request.enabled is not True:
        description = "recover goes with enabled: true; a recovery of its own is POST /webhooks/recover"
        raise BadRequestError(description, field="recover", reason="recover_without_enabled")
    since = await _missed_since(conn, merchant, endpoint_id) if request.recover else None
    given = {name: getattr(request, name) for name in Changes.__struct_fields__}
    changes = Changes(**given | {"events": events})
    found = await endpoints.change(conn, sealer, endpoint_id, changes, **_whose(merchant), disable_after=disable_after)
    if found is None:
        raise _unknown(endpoint_id)
    changed = msgspec.convert(msgspec.structs.asdict(found), ChangedEndpoint)
    if since is None:
        return changed
    began = await recoveries.start(conn, merchant, since=since, endpoint=endpoint_id)
    return msgspec.structs.replace(changed, recovery_id=began.id)


async def _missed_since(conn: Connection, merchant: Merchant, endpoint_id: str) -> datetime | None:
    """When the oldest event may have been written that an endpoint in trouble, or turned off, did not get.

    None when it is neither. A delivery that failed since then may have begun its schedule before; what arrived is not
    sent again in any case.
    """
    await endpoints.lock(conn, merchant_id=merchant.merchant_id)  # of two who ask at once, one recovers
    found = await endpoints.get(conn, endpoint_id, **_whose(merchant))
    if found is None:
        return None
    began = [at for at in (found.health.failing_since, found.disabled_at) if at is not None]
    span = sum(found.retry_schedule) if found.retry_schedule else _DEFAULT_SPAN
    return min(began) - timedelta(seconds=span) if began else None


async def remove(conn: Connection, merchant: Merchant, endpoint_id: str) -> None:
    """Forget an endpoint, the default one too; what it still was owed ends as failed when it comes due.

    Raises:
        NotFoundError: there is none, or it is another merchant's.
    """
    if not await endpoints.remove(conn, endpoint_id, **_whose(merchant)):
        raise _unknown(endpoint_id)


async def read_config(conn: Connection, merchant: Merchant, *, disable_after: Disabling) -> WebhookConfig:
    """The default endpoint, or that there is none."""
    return _as_config(await endpoints.get(conn, None, **_whose(merchant), disable_after=disable_after))


async def save_config(
    conn: Connection, merchant: Merchant, sealer: Sealer, request: SaveConfig, *, disable_after: Disabling
) -> WebhookConfig:
    """Make or change the default endpoint, within a transaction. Enabled again, it is without a `disabled_reason`.

    Raises:
        BadRequestError: naming the field, or `too_many_endpoints`.
    """
    rules.check_url(request.webhook_url, "webhook_url")
    events = rules.check_events(request.events)
    if await endpoints.get(conn, None, **_whose(merchant)) is None:
        await _make_room(conn, merchant)
    saved = await endpoints.save_default(
        conn,
        sealer,
        **_whose(merchant),
        url=request.webhook_url,
        event_types=events,
        enabled=request.enabled,
        disable_after=disable_after,
    )
    return _as_config(saved)


async def regenerate_secret(
    conn: Connection, merchant: Merchant, sealer: Sealer, endpoint_id: str | None, request: RegenerateSecret
) -> Secret:
    """Give an endpoint a new secret, the default one without an id; the old one signs too until the overlap ends.

    Raises:
        NotFoundError: there is no such endpoint, or no default one.
    """
    secret = await endpoints.rotate_secret(
        conn, sealer, endpoint_id, **_whose(merchant), overlap=request.overlap_seconds
    )
    if secret is None:
        raise _unknown(endpoint_id)
    return secret


async def read_secret(conn: Connection, merchant: Merchant, sealer: Sealer, endpoint_id: str | None) -> Secret:
    """The secret of an endpoint, of the default one without an id.

    Raises:
        NotFoundError: there is no such endpoint, or no default one.
    """
    secret = await endpoints.read_secret(conn, sealer, endpoint_id, **_whose(merchant))
    if secret is None:
        raise _unknown(endpoint_id)
    return secret


async def _make_room(conn: Connection, merchant: Merchant) -> None:
    # A lock and then a count, in two statements: the second one's snapshot holds what was added while we waited.
    await endpoints.lock(conn, merchant_id=merchant.merchant_id)
    if await endpoints.count(conn, **_whose(merchant)) >= endpoints.MAX_ENDPOINTS:
        description = f"a merchant has at most {endpoints.MAX_ENDPOINTS} endpoints; delete one first"
        raise BadRequestError(description, reason="too_many_endpoints")


def _as_config(found: Endpoint | None) -> WebhookConfig:
    if found is None:
        return WebhookConfig(
            webhook_url=None,
            enabled=False,
            events=["*"],
            disabled_reason=None,
            disabled_at=None,
            health=None,
            endpoint_id=None,
            updated_at=None,
        )
    return WebhookConfig(
        webhook_url=found.url,
        enabled=found.enabled,
        events=found.events,
        disabled_reason=found.disabled_reason,
        disabled_at=found.disabled_at,
        health=found.health,
        endpoint_id=found.id,
        updated_at=found.updated_at,
    )


def _whose(merchant: Merchant) -> dict[str, Any]:
    return {"bucket": merchant.bucket, "merchant_id": merchant.merchant_id}


def _unknown(endpoint_id: str | None) -> NotFoundError:
    if endpoint_id is None:
        return NotFoundError("there is no default endpoint; make one with PUT /webhooks/config", reason="no_endpoint")
    return NotFoundError(f"endpoint {endpoint_id} does not exist")
