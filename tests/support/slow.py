"""A slow network, for a page and every frame of it, from their first byte on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from playwright.async_api import Page

SLOW_3G = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
"""Milliseconds there and back, bytes a second: 400 kbit/s."""


async def slow_down(page: Page, conditions: dict[str, Any] = SLOW_3G) -> None:
    """As browsers' own tools do it.

    A frame of another site is a target of its own, which knows nothing of its page's network: it is stopped when it
    begins, told, and let go.
    """
    client = await page.context.new_cdp_session(page)
    running: set[asyncio.Task[Any]] = set()

    async def tell(session: str) -> None:
        for n, (method, values) in enumerate(
            [
                ("Network.enable", {}),
                ("Network.emulateNetworkConditions", conditions),
                ("Runtime.runIfWaitingForDebugger", {}),
            ],
            1,
        ):
            message = json.dumps({"id": n, "method": method, "params": values})
            await client.send("Target.sendMessageToTarget", {"sessionId": session, "message": message})

    def attached(event: dict[str, Any]) -> None:
        task = asyncio.create_task(tell(event["sessionId"]))
        running.add(task)
        task.add_done_callback(running.discard)

    client.on("Target.attachedToTarget", attached)
    await client.send("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": False})
    await client.send("Network.enable")
    await client.send("Network.emulateNetworkConditions", conditions)
