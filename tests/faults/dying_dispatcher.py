"""A dispatcher that kills itself at a chosen moment of a charge or refund: `python -m tests.faults.dying_dispatcher`.

`DIES` says when: `before` the processor is asked, or `after` it answered and before anything is written down;
`DIES_AT` says at which charge or refund.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import uvloop

from dispatcher.__main__ import serve
from dispatcher.app import Dispatcher
from gateway.config import load_service
from gateway.processors import Charge, MoneyBack, Outcome
from gateway.processors.simulator import Simulator
from kit import logs


class Deadly:
    """A processor whose caller does not survive a certain call that moves money."""

    def __init__(self, processor: Simulator, *, before: bool, at: int) -> None:
        self._processor = processor
        self._before = before
        self._left = at

    async def charge(self, charge: Charge) -> Outcome:
        """As the processor does, once less often."""
        return await self._call(lambda: self._processor.charge(charge))

    async def find(self, payment_id: str) -> Outcome | None:
        """As the processor does."""
        return await self._processor.find(payment_id)

    async def refund(self, asked: MoneyBack) -> Outcome:
        """As the processor does, once less often."""
        return await self._call(lambda: self._processor.refund(asked))

    async def find_refund(self, refund_id: str) -> Outcome | None:
        """As the processor does."""
        return await self._processor.find_refund(refund_id)

    async def _call(self, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
        self._left -= 1
        last = self._left == 0
        if last and self._before:
            os.kill(os.getpid(), signal.SIGKILL)
        outcome = await call()
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome


def main() -> None:
    """Run until the end."""
    config = load_service(dict(os.environ))
    logs.setup(level=config.log_level, style=config.log_format, service="dispatcher")
    before, at = os.environ["DIES"] == "before", int(os.environ["DIES_AT"])

    async def run() -> None:
        await serve(
            Dispatcher(config, processor=lambda database: Deadly(Simulator(database, config), before=before, at=at))
        )

    uvloop.run(run())


if __name__ == "__main__":
    main()
