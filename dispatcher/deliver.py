"""Deliver webhooks: sign, send, decide. The bytes are the event's; only timestamp and attempt differ between tries."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
import structlog

from dispatcher import schedule
from dispatcher.sender import Answered, Sender, Unreachable
from kit import signing
from kit.seal import SealError
from outbox import deliveries, endpoints
from outbox.deliveries import Attempt, Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from kit.db import Database
    from kit.seal import Sealer
    from outbox.deliveries import Job
    from outbox.work import Kind, Work

log = structlog.get_logger()
USER_AGENT = f"Ledgate/{version('ledgate')}"
REDACTED = "[redacted]"
"""Stands in the attempts' log for the value of a custom header, which often is a credential."""

_GONE = 410
_REMEMBERED = 10_000  # unsealed values; a bound, not a policy


class Deliver:
    """The worker of deliveries: of first attempts, of later ones, or of endpoints that keep their order."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        sender: Sender,
        *,
        kind: Kind,
        dispatcher: str,
        capacity: int,
        lease: float,
        default_schedule: Sequence[int],
        jitter: float,
    ) -> None:
        self.kind = kind
        self.capacity = capacity
        self.lease = lease
        self._database = database
        self._sealer = sealer
        self._sender = sender
        self._dispatcher = dispatcher
        self._schedule = default_schedule
        self._jitter = jitter
        self._secrets: dict[bytes, str] = {}
        self._headers: dict[bytes, dict[str, str]] = {}

    async def prepare(self, works: Sequence[Work]) -> Sequence[tuple[Work, Coroutine[None, None, Outcome]]]:
        """Read bodies and endpoints of a batch."""
        async with self._database.connection() as conn:
            jobs = await deliveries.load(conn, works)
        return [(work, self._deliver(work, job)) for work, job in zip(works, jobs, strict=True)]

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes down."""
        async with self._database.connection() as conn:
            counted = await deliveries.settle(conn, outcomes, dispatcher=self._dispatcher, kind=self.kind)
        if counted < len(outcomes):
            log.warning("delivery.lease_lost", outcomes=len(outcomes) - counted)

    async def _deliver(self, work: Work, job: Job) -> Outcome:
        if not job.enabled or job.url is None or job.body is None:
            log.info("delivery.dropped", delivery=work.id, type=work.event_type, reason="endpoint disabled or gone")
            return Outcome(work=work, status="failed")
        try:
            secrets = self._signing_secrets(work, job)
            custom = self._custom_headers(work, job)
        except SealError as error:
            # The operator's keys are wrong, not the receiver: the schedule goes on, so that mended keys still deliver.
            return self._decide(work, job, Unreachable(f"cannot sign: {error}", 0.0), datetime.now(UTC), {})
        started_at = datetime.now(UTC)
        body = job.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "X-Webhook-Signature": signing.plain(secrets[0], body),
            "X-Webhook-Event": work.event_type or "",
            "X-Webhook-Id": work.id,
            "X-Webhook-Attempt": str(work.attempts + 1),
            "webhook-id": work.event_id or "",
            "webhook-timestamp": str(int(started_at.timestamp())),
            "webhook-signature": signing.standard(secrets, work.event_id or "", int(started_at.timestamp()), body),
        }
        # Ours come last: an endpoint cannot be made to replace them, whatever its row says.
        answer = await self._sender.send(job.url, body, custom | headers)
        return self._decide(work, job, answer, started_at, dict.fromkeys(custom, REDACTED) | headers)

    def _decide(
        self,
        work: Work,
        job: Job,
        answer: Answered | Unreachable,
        started_at: datetime,
        headers: dict[str, str],
    ) -> Outcome:
        """Only 2xx is success; 410 ends the endpoint; everything else follows the schedule."""
        number = work.attempts + 1
        attempt = Attempt(
            number=number,
            started_at=started_at,
            duration_ms=round(answer.duration * 1000),
            request_headers=msgspec.json.encode(headers).decode(),
        )
        disable: str | None = None
        retry_after: float | None = None
        match answer:
            case Answered(status, kept, text, asked):
                retry_after = asked
                attempt = msgspec.structs.replace(
                    attempt,
                    response_code=status,
                    response_headers=msgspec.json.encode(kept).decode(),
                    response_body=text,
                )
                delivered = 200 <= status < 300  # noqa: PLR2004
                if status == _GONE:
                    disable = "the receiver answered 410 Gone"
            case Unreachable(error):
                attempt = msgspec.structs.replace(attempt, error=error)
                delivered = False
        delay = None
        if not delivered and disable is None:
            delay = schedule.next_delay(
                job.retry_schedule or self._schedule,
                number,
                roll=random.random(),  # noqa: S311 - jitter
                jitter=self._jitter,
                retry_after=retry_after,
            )
        outcome = Outcome(
            work=work,
            status="success" if delivered else "failed" if delay is None else "retry",
            attempt=attempt,
            delay=delay,
            disable=disable,
        )
        log.info(
            "delivery.attempted",
            outcome=outcome.status,
            delivery=work.id,
            type=work.event_type,
            attempt=number,
            status=attempt.response_code,
            error=attempt.error,
            duration_ms=attempt.duration_ms,
            next_s=None if delay is None else round(delay, 1),
        )
        return outcome

    def _signing_secrets(self, work: Work, job: Job) -> list[str]:
        sealed = [value for value in (job.sealed_secret, job.sealed_previous_secret) if value is not None]
        if len(self._secrets) > _REMEMBERED:
            self._secrets.clear()
        for value in sealed:
            if value not in self._secrets:
                self._secrets[value] = endpoints.unseal_secret(self._sealer, work.merchant_id, value)
        return [self._secrets[value] for value in sealed]

    def _custom_headers(self, work: Work, job: Job) -> dict[str, str]:
        if (sealed := job.sealed_headers) is None:
            return {}
        if len(self._headers) > _REMEMBERED:
            self._headers.clear()
        if sealed not in self._headers:
            self._headers[sealed] = endpoints.unseal_headers(self._sealer, work.merchant_id, sealed)
        return self._headers[sealed]
