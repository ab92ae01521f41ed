"""Take recoveries a step further: how much a step does, and when the next one is due, is the statement's own affair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from outbox import recoveries

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from kit.db import Database
    from outbox.recoveries import Step
    from outbox.work import Kind, Work

log = structlog.get_logger()

POLL_MAX = 1.0
"""Seconds between looks for recoveries while there are none: they are rare, and nobody waits for their first second."""

_CAPACITY = 4  # steps at once; each is a statement of some ten milliseconds


class Recover:
    """The worker of `recovery.run`. Nothing is done between claim and settle: the step is the settling statement."""

    kind: Kind = "recovery.run"

    def __init__(self, database: Database, *, dispatcher: str, lease: float, told: Callable[[], None]) -> None:
        """Set up: leases of `lease` seconds, in the name of `dispatcher`; `told` hears that deliveries are due."""
        self.capacity = _CAPACITY
        self.lease = lease
        self._database = database
        self._dispatcher = dispatcher
        self._told = told

    async def prepare(self, works: Sequence[Work]) -> Sequence[tuple[Work, Coroutine[None, None, Step]]]:
        """Read how far claimed recoveries have come."""
        async with self._database.connection() as conn:
            steps = await recoveries.load(conn, works)
        return [(step.work, self._as_it_is(step)) for step in steps]

    async def settle(self, steps: Sequence[Step]) -> None:
        """Take the steps. One that was taken before an outage cut the batch short has given its lease up by then."""
        for step in steps:
            async with self._database.transaction() as conn:
                stepped = await recoveries.step(conn, step, dispatcher=self._dispatcher)
            if stepped is None:
                log.warning("recovery.lease_lost", recovery=step.work.id)
                continue
            self._told()
            if stepped.state != "running":
                counts = {"total": stepped.total, "scheduled": stepped.scheduled, "skipped": stepped.skipped}
                log.info(
                    "recovery.ended" if stepped.state == "done" else "recovery.stopped",
                    recovery=step.work.id,
                    merchant_id=step.work.merchant_id,
                    state=stepped.state,
                    **(counts if stepped.state == "done" else {}),
                )

    @staticmethod
    async def _as_it_is(step: Step) -> Step:
        return step
