"""Have payments processed: begin in the database, ask the processor with no transaction open, settle."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, assert_never

import msgspec
import structlog

from dispatcher import schedule
from gateway import processing
from gateway.processing import ORDER_ALREADY_PAID, Busy, Over, Ready, Result, Sealed, TooLate
from gateway.processors import Declined, ProcessorUnreachableError
from outbox import work as outbox_work
from outbox.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from gateway.processing import Step
    from gateway.processors import Processor
    from kit.db import Database
    from kit.seal import Sealer
    from outbox.work import Kind

log = structlog.get_logger()
_BUSY_DELAY = 0.5  # seconds until a payment looks again whether its order is free


class Later(msgspec.Struct, frozen=True):
    """Not ended: due again after `delay` seconds."""

    work: Work
    delay: float


Ended: TypeAlias = Result | Later


class Process:
    """The worker of `payment.process`."""

    kind: Kind = "payment.process"

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        processor: Processor,
        *,
        dispatcher: str,
        capacity: int,
        lease: float,
        told: Callable[[], None],
    ) -> None:
        """Set up.

        Args:
            database: for both transactions.
            sealer: opens what the processor needs.
            processor: is asked.
            dispatcher: whose leases these are.
            capacity: payments at the processor at once.
            lease: seconds.
            told: called when events were written, so that their deliveries begin at once.
        """
        self.capacity = capacity
        self.lease = lease
        self._database = database
        self._sealer = sealer
        self._processor = processor
        self._dispatcher = dispatcher
        self._told = told

    async def prepare(self, works: Sequence[Work]) -> Sequence[tuple[Work, Coroutine[None, None, Ended]]]:
        """Read the payments and take their orders' places."""
        async with self._database.connection() as conn:
            steps = await processing.begin(conn, works, self._sealer)
        return [(step.work, self._take(step)) for step in steps]

    async def settle(self, ended: Sequence[Ended]) -> None:
        """Write ends down; give back what has not ended."""
        results = [one for one in ended if isinstance(one, Result)]
        later = [(one.work, one.delay) for one in ended if isinstance(one, Later)]
        async with self._database.connection() as conn:
            if results:
                counted = await processing.settle(conn, results, dispatcher=self._dispatcher)
                if counted < len(results):
                    log.warning("payment.lease_lost", outcomes=len(results) - counted)
                self._told()
            if later:
                await outbox_work.release(conn, later, dispatcher=self._dispatcher)

    async def _take(self, step: Step) -> Ended:
        match step:
            case Ready():
                return await self._charge(step)
            case TooLate(work, payment):
                log.info("payment.processed", payment=work.id, outcome="failed", code=ORDER_ALREADY_PAID.code)
                return Result(work, payment, None, ORDER_ALREADY_PAID)
            case Busy(work):
                return Later(work, _BUSY_DELAY)
            case Sealed(work, reason):
                delay = schedule.processor_delay(work.claims)
                log.error("payment.sealed", payment=work.id, reason=reason, next_s=delay)
                return Later(work, delay)
            case Over(work):
                return Result(work, None, None, ORDER_ALREADY_PAID)
            case _:
                assert_never(step)

    async def _charge(self, step: Ready) -> Ended:
        work = step.work
        try:
            # Claimed before: somebody may have died between the processor's answer and the settle. Ask before acting.
            outcome = await self._processor.find(work.id) if work.claims > 1 else None
            recovered = outcome is not None
            if outcome is None:
                outcome = await self._processor.charge(step.charge)
        except ProcessorUnreachableError as error:
            delay = schedule.processor_delay(work.claims)
            log.warning("payment.unanswered", payment=work.id, claims=work.claims, error=str(error), next_s=delay)
            return Later(work, delay)
        declined = isinstance(outcome, Declined)
        log.info(
            "payment.processed",
            payment=work.id,
            outcome="failed" if declined else "success",
            code=outcome.code if isinstance(outcome, Declined) else None,
            recovered=recovered or None,
        )
        return Result(work, step.payment, step.order, outcome)
