"""End background tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN = 0.5  # seconds; a statement that is cancelled needs a moment to hear of it


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until all have ended, whatever with.

    Until Python 3.12 `asyncio.wait_for`, by which the pool waits, forgets a cancellation that comes together with what
    it waited for (python/cpython#86296): a task that loops for ever then goes on for ever, so it is cancelled again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN)
