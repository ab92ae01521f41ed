"""Attempts that ended, without a receiver: claimed deliveries and their outcomes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.config import Config
from kit.db import Connection
from outbox import work
from outbox.deliveries import Attempt, Outcome
from outbox.work import Work
from tests.support.paying import ALL, pay


async def claimed(db: Connection, config: Config, count: int = 1, who: str = "one") -> list[Work]:
    """Claimed deliveries of the demo merchant's endpoints."""
    await pay(db, config, -(-count // 2))
    return (await work.claim(db, "webhook.deliver", ALL, limit=1000, lease=30, dispatcher=who))[:count]


def failed(one: Work, code: int | None = 503, error: str | None = None, **more: Any) -> Outcome:
    """It failed, and is tried again in an hour."""
    attempt = Attempt(
        number=one.attempts + 1,
        started_at=datetime.now(UTC),
        duration_ms=3,
        request_headers="{}",
        response_code=code,
        error=error,
    )
    given: dict[str, Any] = {"status": "retry", "delay": 3600.0} | more
    return Outcome(work=one, attempt=attempt, **given)


def succeeded(one: Work) -> Outcome:
    """It arrived."""
    return failed(one, 200, status="success", delay=None)
