"""Have refunds processed: read them, ask the processor with no transaction open, settle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, assert_never

from dispatcher.asking import Asking, Later
from gateway import refunding
from gateway.refunding import Over, Ready, Result

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from kit.db import Connection
    from outbox.work import Kind, Work


class Refund(Asking[Result]):
    """The worker of `refund.process`."""

    kind: Kind = "refund.process"
    subject: ClassVar[str] = "refund"

    async def prepare(self, works: Sequence[Work]) -> Sequence[tuple[Work, Coroutine[None, None, Result | Later]]]:
        """Read the refunds and what they are of."""
        async with self._database.connection() as conn:
            steps = await refunding.begin(conn, works)
        return [(step.work, self._take(step)) for step in steps]

    async def _write(self, conn: Connection, results: Sequence[Result]) -> int:
        return await refunding.settle(conn, results, dispatcher=self._dispatcher)

    async def _take(self, step: Ready | Over) -> Result | Later:
        match step:
            case Ready(work, asked, refund):
                said = await self._ask(
                    work, find=self._processor.find_refund, act=lambda: self._processor.refund(asked)
                )
                return said if isinstance(said, Later) else Result(work, refund, said)
            case Over(work):
                return Result(work, None)
            case _:
                assert_never(step)
