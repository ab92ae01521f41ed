"""Work of the outbox done once, in this process, as a dispatcher does it: no loops, no waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from dispatcher.asking import Later
from dispatcher.process import Process
from dispatcher.refund import Refund
from gateway.config import Config
from gateway.processors import Processor
from gateway.processors.simulator import Simulator
from gateway.secrets import make_sealer
from kit.db import Database
from outbox import work
from outbox.work import Kind
from tests.support.paying import ALL


class Hands:
    """A dispatcher's payments and refunds, claimed, done and settled when a test says so."""

    def __init__(self, database: Database, config: Config, processor: Processor, *, who: str) -> None:
        self._database = database
        self._who = who
        how: dict[str, Any] = {"dispatcher": who, "capacity": 1000, "lease": 30.0, "told": lambda: None}
        self._workers: dict[str, Process | Refund] = {
            "payment.process": Process(database, make_sealer(config), processor, **how),
            "refund.process": Refund(database, processor, **how),
        }

    async def take(self, kind: Kind) -> list[Any]:
        """Claim what is due and ask the processor; what came of it, not written down yet."""
        async with self._database.connection() as conn:
            works = await work.claim(conn, kind, ALL, limit=1000, lease=30.0, dispatcher=self._who)
        prepared = await self._workers[kind].prepare(works)
        return list(await asyncio.gather(*(doing for _, doing in prepared)))

    async def settle(self, kind: Kind, ended: list[Any]) -> None:
        """Write it down."""
        await self._workers[kind].settle(ended)

    async def work_off(self, kind: Kind) -> int:
        """Both; how many ended."""
        ended = await self.take(kind)
        await self.settle(kind, ended)
        return sum(not isinstance(one, Later) for one in ended)


@contextlib.asynccontextmanager
async def hands(
    config: Config, *, who: str = "one", processor: Callable[[Database], Processor] | None = None
) -> AsyncIterator[Hands]:
    """A dispatcher's hands on the database, in its role; `processor` makes another one than the simulator."""
    async with Database(
        config.database_url,
        name=f"hands-{who}",
        size=4,
        statement_timeout=30.0,
        wait=5.0,
        role="ledgate_dispatcher",
    ) as database:
        made = processor(database) if processor else Simulator(database, config)
        yield Hands(database, config, made, who=who)


async def work_off(config: Config, *kinds: Kind) -> None:
    """Do all work that is due now: payments and refunds, or of these kinds."""
    async with hands(config) as some:
        for kind in kinds or ("payment.process", "refund.process"):
            while await some.work_off(kind):
                pass
