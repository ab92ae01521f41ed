"""Have payments processed: begin in the database, ask the processor with no transaction open, settle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, assert_never

import structlog

from dispatcher import schedule
from dispatcher.asking import Asking, Later
from gateway import processing
from gateway.processing import ORDER_ALREADY_PAID, Busy, Over, Ready, Result, Sealed, TooLate

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from gateway.processing import Step
    from gateway.processors import Processor
    from kit.db import Connection, Database
    from kit.seal import Sealer
    from outbox.work import Kind, Work

log = structlog.get_logger()
_BUSY_DELAY = 0.5  # seconds until a payment looks again whether its order is free


class Process(Asking[Result]):
    """The worker of `payment.process`."""

    kind: Kind = "payment.process"
    subject: ClassVar[str] = "payment"

    def __init__(self, database: Database, sealer: Sealer, processor: Processor, **how: Any) -> None:
        """Set up; `sealer` opens what the processor needs, the rest is as for `Asking`."""
        super().__init__(database, processor, **how)
        self._sealer = sealer

    async def prepare(self, works: Sequence[Work]) -> Sequence[tuple[Work, Coroutine[None, None, Result | Later]]]:
        """Read the payments and take their orders' places."""
        async with self._database.connection() as conn:
            steps = await processing.begin(conn, works, self._sealer)
        return [(step.work, self._take(step)) for step in steps]

    async def _write(self, conn: Connection, results: Sequence[Result]) -> int:
        return await processing.settle(conn, results, dispatcher=self._dispatcher)

    async def _take(self, step: Step) -> Result | Later:
        match step:
            case Ready(work, charge, payment, order):
                said = await self._ask(work, find=self._processor.find, act=lambda: self._processor.charge(charge))
                return said if isinstance(said, Later) else Result(work, payment, order, said)
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
