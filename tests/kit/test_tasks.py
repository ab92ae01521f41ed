"""Background tasks end when they are told to."""

from __future__ import annotations

import asyncio
import contextlib

from kit import tasks


async def test_ends_a_task_that_forgot_a_cancellation() -> None:
    """As `asyncio.wait_for` of Python 3.11 forgets one that comes together with what it waited for."""
    forgotten = asyncio.Event()

    async def forgetful() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        forgotten.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await tasks.end(task)

    assert forgotten.is_set()
    assert task.cancelled()


async def test_ends_tasks_whatever_with() -> None:
    """A task that is done, one that raises while it is cancelled, and none at all."""

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    async def quick() -> int:
        return 1

    done, failing = asyncio.create_task(quick()), asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await tasks.end(done, failing)
    await tasks.end()

    assert done.result() == 1
    assert isinstance(failing.exception(), ValueError)
