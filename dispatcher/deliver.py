"""Deliver webhooks: sign, send, decide. The bytes are the event's; only timestamp and attempt differ between tries."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from dispatcher import schedule
from dispatcher.health import tell_of_disabled
from dispatcher.redaction import REDACTED
from dispatcher.sender import Answered, Sender, Unreachable
from kit import signing
from kit.seal import SealError
from outbox import deliveries, endpoints, health
from outbox.deliveries import Attempt, Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from dispatcher.fairness import Fairness
    from gateway.config import Config
    from kit.db import Connection, Database
    from kit.seal import Sealer
    from outbox.deliveries import Job
    from outbox.work import Kind, Work

log = structlog.get_logger()
USER_AGENT = f"Ledgate/{version('ledgate')}"

_GONE = 410
_REMEMBERED = 10_000  # unsealed values; a bound, not a policy
_HELD = 30.0  # seconds at most until held work looks again: its merchant may have mended the endpoint
_PROBED = 1.0  # seconds until work looks again whether a circuit's probe came back


class Deliver:
    """The worker of deliveries: of first attempts, of later ones, or of endpoints that keep their order."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        sender: Sender,
        fairness: Fairness,
        config: Config,
        *,
        kind: Kind,
        dispatcher: str,
        capacity: int,
    ) -> None:
        """Set up.

        Args:
            database: for reading and settling.
            sealer: opens secrets and headers.
            sender: is shared by all lanes of deliveries, as is
            fairness: who may start how much.
            config: leases, schedules and circuits.
            kind: the lane.
            dispatcher: whose leases these are.
            capacity: attempts in flight at once.
        """
        self.kind = kind
        self.capacity = capacity
        self.lease = config.delivery_lease
        self._database = database
        self._sealer = sealer
        self._sender = sender
        self._fairness = fairness
        self._dispatcher = dispatcher
        self._schedule = schedule.TEST if config.webhook_retry_intervals_test else schedule.DEFAULT
        self._jitter = 0.0 if config.webhook_retry_intervals_test else schedule.JITTER
        self._circuit: dict[str, Any] = {
            "trip_after": config.circuit_failures,
            "open_base": config.circuit_seconds,
            "open_max": config.circuit_longest,
        }
        self._secrets: dict[bytes, str] = {}
        self._headers: dict[bytes, dict[str, str]] = {}

    async def prepare(self, works: Sequence[Work]) -> Sequence[tuple[Work, Coroutine[None, None, Outcome] | float]]:
        """Admit what may begin, and read its bodies and endpoints; the rest comes again when there may be room."""
        begun: list[tuple[Work, Coroutine[None, None, Outcome] | float]] = []
        admitted: list[Work] = []
        for work in works:
            if (delay := self._fairness.admit(work, roll=random.random())) is None:  # noqa: S311 - spreads
                admitted.append(work)
            else:
                begun.append((work, delay))
        try:
            if admitted:
                async with self._database.connection() as conn:
                    jobs = await deliveries.load(conn, admitted)
                    begun += await self._begin(conn, admitted, jobs)
        except BaseException:
            for work in admitted:
                self._fairness.leave(work)
            raise
        return begun

    async def _begin(
        self, conn: Connection, works: Sequence[Work], jobs: Sequence[Job]
    ) -> list[tuple[Work, Coroutine[None, None, Outcome] | float]]:
        """Ask each endpoint's circuit and rate, which are known only once they were read."""
        probes = [work for work, job in zip(works, jobs, strict=True) if job.held_for is not None and job.held_for <= 0]
        probing = (
            await health.begin_probes(conn, probes, dispatcher=self._dispatcher, lease=self.lease) if probes else ()
        )
        begun: list[tuple[Work, Coroutine[None, None, Outcome] | float]] = []
        for work, job in zip(works, jobs, strict=True):
            delay: float | None = None
            if job.held_for is not None and work.id not in probing:
                delay = min(job.held_for, _HELD) if job.held_for > 0 else _PROBED
                self._fairness.hold(work, delay)
                delay *= 1 + 0.1 * random.random()  # noqa: S311 - spreads
            elif work.id not in probing:  # a probe that was won is sent, whatever the rate: nobody else may send one
                delay = self._fairness.spend(work, job.rate)
            if delay is None:
                begun.append((work, self._deliver(work, job)))
            else:
                self._fairness.leave(work)
                begun.append((work, delay))
        return begun

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes down."""
        async with self._database.connection() as conn:
            told = await tell_of_disabled(conn, outcomes)
            counted = await deliveries.settle(conn, told, dispatcher=self._dispatcher, kind=self.kind, **self._circuit)
        if counted < len(outcomes):
            log.warning("delivery.lease_lost", outcomes=len(outcomes) - counted)

    async def _deliver(self, work: Work, job: Job) -> Outcome:
        try:
            return await self._attempt(work, job)
        finally:
            self._fairness.leave(work)

    async def _attempt(self, work: Work, job: Job) -> Outcome:
        if not job.enabled or job.url is None or job.body is None:
            log.info("delivery.dropped", delivery=work.id, type=work.event_type, reason="endpoint disabled or gone")
            return Outcome(work=work, status="failed")
        try:
            secrets = self._signing_secrets(work, job)
            custom = self._custom_headers(work, job)
        except SealError as error:
            # The operator's keys are wrong, not the receiver: the schedule goes on, so that mended keys still deliver.
            failed = self._decide(work, job, Unreachable(f"cannot sign: {error}", 0.0), datetime.now(UTC), {})
            return msgspec.structs.replace(failed, unasked=True)
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
        success = isinstance(answer, Answered) and 200 <= answer.status < 300  # noqa: PLR2004
        self._fairness.hear(work, success=success, took=answer.duration)
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
