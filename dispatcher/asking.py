"""Ask the processor, once for each id: look up before acting again, and come back later when no answer came."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

import msgspec
import structlog

from dispatcher import schedule
from gateway.processors import Declined, ProcessorUnreachableError
from outbox import work as outbox_work
from outbox.work import Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.processors import Outcome, Processor
    from kit.db import Connection, Database

log = structlog.get_logger()


class Ended(Protocol):
    """How a payment or refund ended; it knows its work."""

    @property
    def work(self) -> Work:
        """What was claimed."""
        ...


R = TypeVar("R", bound=Ended)


class Later(msgspec.Struct, frozen=True):
    """Not ended: due again after `delay` seconds."""

    work: Work
    delay: float


class Asking(ABC, Generic[R]):
    """What the workers of payments and refunds have in common: the question, and writing ends down."""

    subject: ClassVar[str]
    """The word for what is asked about, in log lines."""

    def __init__(
        self,
        database: Database,
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
            processor: is asked.
            dispatcher: whose leases these are.
            capacity: questions at the processor at once.
            lease: seconds.
            told: called when events were written, so that their deliveries begin at once.
        """
        self.capacity = capacity
        self.lease = lease
        self._database = database
        self._processor = processor
        self._dispatcher = dispatcher
        self._told = told

    async def settle(self, ended: Sequence[R | Later]) -> None:
        """Write ends down; give back what has not ended."""
        results = [one for one in ended if not isinstance(one, Later)]
        later = [(one.work, one.delay) for one in ended if isinstance(one, Later)]
        async with self._database.connection() as conn:
            if results:
                counted = await self._write(conn, results)
                if counted < len(results):
                    log.warning(self._event("lease_lost"), outcomes=len(results) - counted)
                self._told()
            if later:
                await outbox_work.release(conn, later, dispatcher=self._dispatcher)

    @abstractmethod
    async def _write(self, conn: Connection, results: Sequence[R]) -> int:
        """Write ends down in one statement; how many counted."""

    async def _ask(
        self,
        work: Work,
        *,
        find: Callable[[str], Awaitable[Outcome | None]],
        act: Callable[[], Awaitable[Outcome]],
    ) -> Outcome | Later:
        try:
            # Claimed before: somebody may have died between the processor's answer and the settle. Ask before acting.
            outcome = await find(work.id) if work.claims > 1 else None
            recovered = outcome is not None
            if outcome is None:
                outcome = await act()
        except ProcessorUnreachableError as error:
            delay = schedule.processor_delay(work.claims)
            log.warning(
                self._event("unanswered"),
                **{self.subject: work.id},
                claims=work.claims,
                error=str(error),
                next_s=delay,
            )
            return Later(work, delay)
        declined = outcome if isinstance(outcome, Declined) else None
        log.info(
            self._event("processed"),
            **{self.subject: work.id},
            outcome="failed" if declined else "success",
            code=declined.code if declined else None,
            recovered=recovered or None,
        )
        return outcome

    def _event(self, what: str) -> str:
        return f"{self.subject}.{what}"
