"""Deliveries claimed, sent and settled when a test says so, as a dispatcher does it: no loops, no waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from dispatcher.deliver import Deliver
from dispatcher.fairness import Fairness
from dispatcher.sender import Sender
from gateway.config import Config
from gateway.secrets import make_sealer
from kit.db import Database
from outbox import work
from outbox.deliveries import Outcome
from outbox.work import Kind
from tests.support.clock import Clock
from tests.support.paying import ALL

KINDS: tuple[Kind, ...] = ("webhook.deliver", "webhook.retry", "webhook.ordered")


class Courier:
    """A dispatcher's deliveries in the hands of a test."""

    def __init__(self, database: Database, config: Config, sender: Sender, *, who: str, clock: Clock | None) -> None:
        self._database = database
        self._who = who
        moved: dict[str, Any] = {} if clock is None else {"clock": lambda: clock.moved}
        fairness = Fairness(ceiling=10_000, per_merchant=10_000, **moved)
        self._workers: dict[str, Deliver] = {
            kind: Deliver(
                database, make_sealer(config), sender, fairness, config, kind=kind, dispatcher=who, capacity=1000
            )
            for kind in KINDS
        }

    async def take(self, kind: Kind) -> list[Outcome]:
        """Claim what is due of a kind and attempt it; what came of it, not written down yet."""
        async with self._database.connection() as conn:
            if kind == "webhook.ordered":
                works = await work.claim_heads(conn, list(ALL), limit=1000, lease=30.0, dispatcher=self._who)
            else:
                works = await work.claim(conn, kind, ALL, limit=1000, lease=30.0, dispatcher=self._who)
        doing: list[Any] = []
        put_back: list[tuple[work.Work, float]] = []
        for one, begun in await self._workers[kind].prepare(works):
            if isinstance(begun, float):
                put_back.append((one, begun))
            else:
                doing.append(begun)
        if put_back:
            async with self._database.connection() as conn:
                await work.release(conn, put_back, dispatcher=self._who)
        return list(await asyncio.gather(*doing))

    async def settle(self, kind: Kind, outcomes: Sequence[Outcome]) -> None:
        """Write it down."""
        if outcomes:
            await self._workers[kind].settle(outcomes)

    async def go(self) -> int:
        """All that is due now, once; how many attempts were made."""
        made = 0
        for kind in KINDS:
            outcomes = await self.take(kind)
            await self.settle(kind, outcomes)
            made += sum(outcome.attempt is not None for outcome in outcomes)
        return made


@contextlib.asynccontextmanager
async def courier(
    config: Config, *, who: str = "one", clock: Clock | None = None, **sending: Any
) -> AsyncIterator[Courier]:
    """A courier on the database, in the dispatcher's role, living by the moved clock; `sending` goes to the sender."""
    sender = Sender(config.egress, connections=1000, **sending)
    async with Database(
        config.database_url, name=f"courier-{who}", size=4, statement_timeout=30.0, wait=5.0, role="ledgate_dispatcher"
    ) as database:
        try:
            yield Courier(database, config, sender, who=who, clock=clock)
        finally:
            await sender.close()
