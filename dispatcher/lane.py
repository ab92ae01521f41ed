"""One kind of work: claim what there is room for, start it, settle it in batches. `run_once` and a loop around it."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from dispatcher.settler import Settler
from kit import tasks
from kit.db import AWAY
from outbox import work as outbox_work

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from dispatcher.claims import Claims
    from kit.db import Connection, Database
    from outbox.work import Kind, Work

log = structlog.get_logger()

_FOR_ROOM = 0.02  # seconds to the next claim where work waits for room
_HANGS = 1.0  # seconds after which work in flight takes no room from other work
_LAST_WORDS = 5.0  # seconds for writing down what ended before a stop


class Settled(Protocol):
    """An outcome knows its work."""

    @property
    def work(self) -> Work:
        """What was claimed."""
        ...


O = TypeVar("O", bound=Settled)  # noqa: E741 - Outcome


class Worker(Protocol[O]):
    """Does one kind of work."""

    kind: Kind
    lease: float
    capacity: int

    async def prepare(self, works: Sequence[Work]) -> Sequence[tuple[Work, Coroutine[None, None, O] | float]]:
        """Read what claimed works need, in one go; returns a coroutine for each work that ends with an outcome.

        Work that cannot begin now comes with the seconds after which it is due again.

        May raise what `AWAY` names: the works are then given back as soon as the database can be asked to.
        """
        ...

    async def settle(self, outcomes: Sequence[O]) -> object:
        """Write outcomes down in one statement."""
        ...


class Lane(Generic[O]):
    """Claims, does and settles one kind of work, with a bounded number in flight."""

    def __init__(
        self,
        worker: Worker[O],
        claims: Claims,
        database: Database,
        *,
        dispatcher: str,
        claim_size: int,
        poll_min: float,
        poll_max: float,
    ) -> None:
        self.in_flight: dict[tuple[str, int], Work] = {}
        self._began: dict[tuple[str, int], float] = {}
        self.settled = 0
        self.claims = claims
        self._worker = worker
        self._database = database
        self._dispatcher = dispatcher
        self._claim_size = claim_size
        self._poll_min, self._poll_max = poll_min, poll_max
        self._settler: Settler[O] = Settler(worker.settle, done=self._finish, limit=claim_size)
        self._put_back: list[tuple[Work, float]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for work now rather than at the next poll."""
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`: back to back while batches are full, else at a growing interval with jitter."""
        pause, before = self._poll_min, 0
        while not self._stopping:
            self._wake.clear()
            try:
                claimed = before + await self.run_once()
            except AWAY:
                await self._rest(self._poll_max)
                continue
            before = claimed if self.claims.unfinished else 0
            if (claimed >= max(1, self._claim_size // 2) or self.claims.unfinished) and self._room() > 0:
                continue
            pause = self._poll_min if claimed else min(pause * 2, self._poll_max)
            if self.claims.crowded:
                # What is due waits for room, and each batch that is settled makes some and wakes: few larger claims.
                pause = max(pause, _FOR_ROOM)
            await self._rest(pause * random.uniform(0.8, 1.2))  # noqa: S311 - keeps replicas apart

    async def run_once(self) -> int:
        """Claim what is due and there is room for, and start it. Returns how many were claimed."""
        limit = min(self._claim_size, self._room())
        if limit <= 0:
            return 0
        async with self._database.connection() as conn:
            await self._give_back(conn)
            works = await self.claims.claim(conn, limit=limit)
        if not works:
            return 0
        began = time.monotonic()
        for work in works:
            self.in_flight[work.id, work.claims] = work
            self._began[work.id, work.claims] = began
        try:
            prepared = await self._worker.prepare(works)
        except AWAY:
            self._forget(works)
            self._put_back += [(work, 0.0) for work in works]
            raise
        except Exception:
            self._forget(works)
            log.exception("work.not_prepared", kind=self._worker.kind, works=len(works))
            return len(works)
        for work, begun in prepared:
            if isinstance(begun, float):
                self._put_back.append((work, begun))
                continue
            task = asyncio.create_task(self._do(work, begun))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._put_back:
            overflow = [work for work, _ in self._put_back]
            self._forget(overflow)
            self.claims.overflowed(overflow)
            async with self._database.connection() as conn:
                await self._give_back(conn)
        return len(works)

    def settle(self) -> asyncio.Task[None]:
        """Begin to write outcomes down; `stop` ends it."""
        self._settling = asyncio.create_task(self._settler.run())
        return self._settling

    async def stop(self, *, within: float) -> int:
        """Claim no more, let what is in flight end within that many seconds, write it down, give back the rest.

        Returns how many works were given back: they are due at once, for other dispatchers.
        """
        self._stopping = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        await tasks.end(*self._tasks)
        self._settler.close()
        await asyncio.wait([self._settling], timeout=_LAST_WORDS)  # bounded: the database may be away
        self._settling.cancel()
        self._put_back += [(work, 0.0) for work in self.in_flight.values()]
        given_back = len(self._put_back)
        if given_back:
            async with self._database.connection() as conn:
                await self._give_back(conn)
        return given_back

    async def _give_back(self, conn: Connection) -> None:
        """End the leases of what was claimed and cannot be done here now, rather than let it wait for their end."""
        batch, self._put_back = self._put_back, []
        try:
            if batch:
                await outbox_work.release(conn, batch, dispatcher=self._dispatcher)
        except BaseException:
            self._put_back += batch
            raise

    def _room(self) -> int:
        """What hangs takes no room: after a second it counts no more, up to as much again as the capacity."""
        capacity, old = self._worker.capacity, time.monotonic() - _HANGS
        hanging = 0
        for began in self._began.values():  # the oldest come first
            if began > old or hanging >= capacity:
                break
            hanging += 1
        return capacity - (len(self.in_flight) - hanging)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _do(self, work: Work, coroutine: Coroutine[None, None, O]) -> None:
        try:
            self._settler.put(await coroutine)
        except asyncio.CancelledError:
            raise  # still in flight: `stop` gives it back
        except Exception:
            # A defect of ours: the work comes again when its lease ends, and somebody must hear of it.
            self._forget([work])
            log.exception("work.crashed", work=work.id)

    def _finish(self, outcomes: Sequence[O]) -> None:
        ended = [outcome.work for outcome in outcomes]
        waited_for = self._room() <= 0 or self.claims.frees(ended)
        self._forget(ended)
        self.settled += len(outcomes)
        if waited_for:
            self._wake.set()

    def _forget(self, works: Sequence[Work]) -> None:
        for work in works:
            self.in_flight.pop((work.id, work.claims), None)
            self._began.pop((work.id, work.claims), None)
