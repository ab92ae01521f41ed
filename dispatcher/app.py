"""Put a dispatcher together, keep it alive, drain it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import psycopg
import structlog

from dispatcher import buckets, figures, health, histories
from dispatcher.claims import FairWalk, Heads, Walk
from dispatcher.deliver import Deliver
from dispatcher.fairness import Fairness
from dispatcher.lane import Lane, Settled
from dispatcher.process import Process
from dispatcher.recover import POLL_MAX, Recover
from dispatcher.refund import Refund
from dispatcher.sender import Sender
from gateway import idempotency
from gateway.processors.simulator import Simulator
from gateway.secrets import make_sealer
from kit import ids, tasks
from kit.db import AWAY, Database
from kit.doorbell import listen
from outbox import work as outbox_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.claims import Claims
    from dispatcher.lane import Worker
    from gateway.config import Config
    from gateway.processors import Processor
    from outbox.work import Kind

log = structlog.get_logger()
O = TypeVar("O", bound=Settled)  # noqa: E741 - Outcome

_BEAT = 1.0  # seconds; `worker_status` believes a beat for 5
_TIDY = 3600.0
_POOL = 8
_SLOW_POLL = 0.5  # seconds
_RETRY_SHARE = _ORDERED_SHARE = 4  # one in so many of the deliveries in flight


class _Lanes(NamedTuple):
    """All of a dispatcher's work."""

    deliver: Lane[Any]
    retry: Lane[Any]
    ordered: Lane[Any]
    process: Lane[Any]
    refund: Lane[Any]
    recover: Lane[Any]

    @property
    def in_flight(self) -> int:
        """Works that are claimed and not settled."""
        return sum(len(lane.in_flight) for lane in self)

    @property
    def delivered(self) -> int:
        """Attempts that were settled."""
        return self.deliver.settled + self.retry.settled + self.ordered.settled


class Dispatcher:
    """One replica: six lanes of work, a heartbeat, a doorbell, hourly housekeeping."""

    def __init__(self, config: Config, *, processor: Callable[[Database], Processor] | None = None) -> None:
        """Set up.

        Args:
            config: the settings.
            processor: makes the processor; the simulator by default.
        """
        self.id = ids.new("dsp")
        self._config = config
        self._make_processor = processor or (lambda database: Simulator(database, config))
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to drain and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`, through every outage of the database; then drain."""
        config = self._config
        sealer = make_sealer(config)
        # Every lane's room in one pool: an attempt must never wait for a connection within its own time.
        sender = Sender(config.egress, connections=4 * config.max_deliveries)
        async with Database(
            config.database_url,
            name="ledgate-dispatcher",
            size=_POOL,
            statement_timeout=30.0,
            wait=5.0,
            role="ledgate_dispatcher",
        ) as database:
            fairness = Fairness(ceiling=config.endpoint_in_flight, per_merchant=max(1, config.max_deliveries // 2))

            def delivering(kind: Kind, share: int) -> Lane[Any]:
                worker = Deliver(
                    database,
                    sealer,
                    sender,
                    fairness,
                    config,
                    kind=kind,
                    dispatcher=self.id,
                    capacity=max(1, config.max_deliveries // share),
                )
                leased: dict[str, Any] = {"dispatcher": self.id, "lease": worker.lease}
                if kind == "webhook.deliver":
                    return self._lane(worker, database, FairWalk(kind, fairness, **leased))
                # Retries come at times that were set before, and few endpoints keep their order: half a second between
                # polls is soon enough, and new events ring anyway.
                claims = FairWalk(kind, fairness, **leased) if kind == "webhook.retry" else Heads(kind, **leased)
                return self._lane(worker, database, claims, poll_max=max(_SLOW_POLL, config.poll_max))

            deliver = delivering("webhook.deliver", 1)
            retry = delivering("webhook.retry", _RETRY_SHARE)
            ordered = delivering("webhook.ordered", _ORDERED_SHARE)

            def told() -> None:
                deliver.wake()
                ordered.wake()

            processor = self._make_processor(database)
            asking: dict[str, Any] = {
                "dispatcher": self.id,
                "capacity": config.max_processing,
                "lease": config.processing_lease,
                "told": told,
            }
            process = self._lane(Process(database, sealer, processor, **asking), database)
            refund = self._lane(Refund(database, processor, **asking), database)

            def recovered() -> None:
                retry.wake()
                ordered.wake()

            recovering = Recover(database, dispatcher=self.id, lease=config.processing_lease, told=recovered)
            recover = self._lane(recovering, database, poll_max=max(POLL_MAX, config.poll_max))
            lanes = _Lanes(deliver, retry, ordered, process, refund, recover)

            def wake() -> None:
                for lane in lanes:
                    if lane is not recover:  # asked for once in a while, and begins within a second
                        lane.wake()

            log.info("dispatcher.started", dispatcher=self.id)
            helpers = [
                asyncio.create_task(listen(config.housekeeping_url, wake)),
                asyncio.create_task(self._beat(database, lanes, fairness)),
                asyncio.create_task(self._housekeeping(database)),
                asyncio.create_task(health.watch(database, disable_after=config.disabling)),
                asyncio.create_task(figures.watch(database, days=config.figure_retention)),
                *(lane.settle() for lane in lanes),
            ]
            loops = [asyncio.create_task(lane.run()) for lane in lanes]
            stopping = asyncio.create_task(self._stopping.wait())
            # A loop that ends by itself is a defect: end the process, so that whoever supervises it sees it.
            await asyncio.wait([*loops, *helpers, stopping], return_when=asyncio.FIRST_COMPLETED)
            await self._drain(lanes, database)
            await tasks.end(*helpers, *loops, stopping)
            await sender.close()
        for task in (*helpers, *loops):
            if not task.cancelled():
                task.result()  # raises what a defect ended it with

    def _lane(
        self, worker: Worker[O], database: Database, claims: Claims | None = None, *, poll_max: float | None = None
    ) -> Lane[O]:
        config = self._config
        return Lane(
            worker,
            claims or Walk(worker.kind, dispatcher=self.id, lease=worker.lease),
            database,
            dispatcher=self.id,
            claim_size=config.claim_size,
            poll_min=config.poll_min,
            poll_max=poll_max or config.poll_max,
        )

    async def _drain(self, lanes: _Lanes, database: Database) -> None:
        log.info("dispatcher.draining", in_flight=lanes.in_flight)
        within = self._config.drain
        given_back = await asyncio.gather(*(lane.stop(within=within) for lane in lanes), return_exceptions=True)
        with contextlib.suppress(*AWAY):
            async with database.connection() as conn:
                await outbox_work.leave(conn, self.id)
        for result in given_back:
            if isinstance(result, BaseException):
                log.warning("dispatcher.not_released", error=type(result).__name__)
        released = sum(result for result in given_back if isinstance(result, int))
        log.info(
            "dispatcher.stopped",
            released=released,
            delivered=lanes.delivered,
            processed=lanes.process.settled,
            refunded=lanes.refund.settled,
        )

    async def _beat(self, database: Database, lanes: _Lanes, fairness: Fairness) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                async with database.connection() as conn:
                    alive = await outbox_work.beat(
                        conn,
                        dispatcher=self.id,
                        host=socket.gethostname(),
                        pid=os.getpid(),
                        version=version("ledgate"),
                        delivered=lanes.delivered,
                        processed=lanes.process.settled + lanes.refund.settled,
                        in_flight=lanes.in_flight,
                    )
                favourites = buckets.favourites(self.id, alive)
                fairness.dispatchers = len({self.id, *alive})
                if self._config.beat_file:
                    Path(self._config.beat_file).touch()  # noqa: ASYNC240 - in memory, where it is used
                for lane in lanes:
                    lane.claims.favourites = favourites
            await asyncio.sleep(_BEAT)

    async def _housekeeping(self, database: Database) -> None:
        while True:
            try:
                async with database.connection() as conn:
                    await outbox_work.tidy(conn)
                    await idempotency.forget_expired(conn)
                await asyncio.to_thread(histories.tend, self._config)
            except AWAY:
                await asyncio.sleep(30)  # an outage has its own line
            except psycopg.Error as error:
                log.warning("housekeeping.failed", error=type(error).__name__)
                await asyncio.sleep(30)
            else:
                await asyncio.sleep(_TIDY)
