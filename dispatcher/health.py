"""Endpoints that do nothing but fail: their merchants are warned, then they are disabled, and somebody hears of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import psycopg
import structlog

from gateway.facts import fact
from kit.db import AWAY
from outbox import endpoints, failing
from outbox.health import EndpointHealth, disabled_from, warnings_due

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from kit.db import Connection, Database
    from outbox.deliveries import Outcome
    from outbox.endpoints import Endpoint
    from outbox.failing import Failing

log = structlog.get_logger()

SWEEP = 60.0
"""Seconds between looks."""
_AT_ONCE = 200  # endpoints of one look


async def watch(database: Database, *, disable_after: timedelta | None) -> None:
    """Look every minute, through every outage."""
    while True:
        try:
            async with database.connection() as conn:
                await run_once(conn, disable_after=disable_after)
        except AWAY:
            pass  # an outage has its own line
        except psycopg.Error as error:
            log.warning("health.failed", error=type(error).__name__)
        await asyncio.sleep(SWEEP)


async def run_once(conn: Connection, *, disable_after: timedelta | None) -> int:
    """Warn of what fails for long, disable what fails for `disable_after`; returns of how many somebody was told.

    Each is one statement and a compare-and-set: of two dispatchers that find the same, one tells. The events go to the
    merchant's other endpoints.
    """
    told = 0
    for found in await failing.due(conn, disable_after=disable_after, limit=_AT_ONCE):
        told += await _tell(conn, found, disable_after)
    await failing.forget_orphans(conn)
    return told


async def tell_of_disabled(conn: Connection, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Give outcomes that disable an endpoint the event that says so, which is written with them."""
    if not any(outcome.disable for outcome in outcomes):
        return list(outcomes)
    keys = {_key(outcome): outcome for outcome in outcomes if outcome.disable}
    found = await endpoints.by_key(conn, keys)
    told = []
    for outcome in outcomes:
        if outcome.disable and _key(outcome) in found:
            endpoint, now = found[_key(outcome)]
            last = outcome.attempt
            seen = msgspec.structs.replace(
                endpoint.health,
                state="failing",
                failures=endpoint.health.failures + 1,
                failing_since=endpoint.health.failing_since or now,
                last_failure_at=now,
                last_error=f"HTTP {last.response_code}" if last and last.response_code else outcome.disable,
            )
            then = _disabled(endpoint, outcome.disable, now, seen)
            event = fact("endpoint.disabled", "endpoint", then, datetime.now(UTC))
            told.append(msgspec.structs.replace(outcome, disabled_at=now, fact=event))
        else:
            told.append(outcome)
    return told


async def _tell(conn: Connection, found: Failing, disable_after: timedelta | None) -> bool:
    """Disable an endpoint or warn of it; whether it still was as it was found."""
    endpoint, health = found.endpoint, found.endpoint.health
    if health.failing_since is None or health.last_failure_at is None:
        return False  # a success came between two looks at its row
    failing_for = health.last_failure_at - health.failing_since
    until = disabled_from(health.failing_since, found.warned_at, disable_after)
    over = disable_after is not None and failing_for >= disable_after
    if over and health.warnings and until is not None and until <= found.now:
        reason = f"every attempt failed for {_days(disable_after)} (last: {health.last_error})"
        then, warned_at = _disabled(endpoint, reason, found.now, health), found.warned_at
    else:
        warned_at = found.now
        seen = msgspec.structs.replace(
            health,
            warnings=warnings_due(failing_for, disable_after),
            will_be_disabled_at=disabled_from(health.failing_since, warned_at, disable_after),
        )
        then = msgspec.structs.replace(endpoint, health=seen, version=endpoint.version + 1)
    now = datetime.now(UTC)
    event = fact("endpoint.failing" if then.enabled else "endpoint.disabled", "endpoint", then, now)
    if not await failing.tell(conn, found, then, warned_at=warned_at, fact=event, told_at=now):
        return False
    log.warning(
        event["type"],
        endpoint=endpoint.id,
        merchant=found.merchant_id,
        failures=health.failures,
        failing_since=health.failing_since,
        warnings=then.health.warnings,
        error=health.last_error,
    )
    return True


def _disabled(endpoint: Endpoint, reason: str, now: datetime, health: EndpointHealth) -> Endpoint:
    """The endpoint as it will be."""
    return msgspec.structs.replace(
        endpoint,
        enabled=False,
        disabled_reason=reason,
        disabled_at=now,
        health=msgspec.structs.replace(health, will_be_disabled_at=None),
        version=endpoint.version + 1,
        updated_at=now,
    )


def _key(outcome: Outcome) -> tuple[int, str, str]:
    return outcome.work.bucket, outcome.work.merchant_id, outcome.work.endpoint_id or ""


def _days(span: timedelta | None) -> str:
    days = span.total_seconds() / 86_400 if span else 0.0
    return "1 day" if days == 1 else f"{days:g} days"
