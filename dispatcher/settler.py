"""Write outcomes down in batches: while one flush is in flight the next one gathers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

import psycopg
import structlog

from kit.db import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

log = structlog.get_logger()
T = TypeVar("T")

_BACK_OFF = 0.5  # seconds between tries while the database is away


class Settler(Generic[T]):
    """Gathers outcomes and flushes them in order; an outage delays them, and the lease's fence judges late ones."""

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[object]],
        *,
        done: Callable[[Sequence[T]], None],
        limit: int,
    ) -> None:
        """Set up.

        Args:
            flush: writes a batch down in one statement.
            done: told of each batch that was written, or that cannot be.
            limit: most outcomes of one flush.
        """
        self._flush = flush
        self._done = done
        self._limit = limit
        self._waiting: list[T] = []
        self._some = asyncio.Event()
        self._closing = False

    @property
    def waiting(self) -> int:
        """Outcomes that are not written yet."""
        return len(self._waiting)

    def put(self, outcome: T) -> None:
        """Hand an outcome over."""
        self._waiting.append(outcome)
        self._some.set()

    def close(self) -> None:
        """Let `run` end once everything is written."""
        self._closing = True
        self._some.set()

    async def run(self) -> None:
        """Flush until closed and empty."""
        while self._waiting or not self._closing:
            await self._some.wait()
            await self.flush_once()

    async def flush_once(self) -> None:
        """Write what is waiting; what could not be written waits on."""
        batch = self._waiting[: self._limit]
        del self._waiting[: self._limit]
        if not self._waiting and not self._closing:
            self._some.clear()
        if not batch:
            return
        try:
            await self._flush(batch)
        except psycopg.errors.DeadlockDetected:
            self._put_back(batch)
            return
        except AWAY:
            self._put_back(batch)
            await asyncio.sleep(_BACK_OFF)
            return
        except psycopg.Error as error:
            await self._isolate(batch, error)
        self._done(batch)

    def _put_back(self, batch: list[T]) -> None:
        self._waiting[:0] = batch
        self._some.set()

    async def _isolate(self, batch: list[T], error: psycopg.Error) -> None:
        """One outcome that the database refuses must not take the others with it: write each by itself."""
        for one in batch:
            try:
                if len(batch) == 1:
                    raise error
                await self._flush([one])
            except AWAY:
                self._waiting.append(one)
                self._some.set()
            except psycopg.Error as refused:
                log.error(  # noqa: TRY400 - the message may hold a row
                    "outcome.refused",
                    sqlstate=refused.sqlstate,
                    constraint=refused.diag.constraint_name,
                    outcome=repr(getattr(one, "work", None)),
                )
