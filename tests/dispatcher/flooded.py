"""Send to receivers that flood, side by side, and say by how much this process has grown at its peak.

In a process of its own, so that the floods' side does not count: `python -m tests.dispatcher.flooded CALM URL...`.
"""

from __future__ import annotations

import asyncio
import resource
import sys

import uvloop

from dispatcher.sender import Sender
from kit import egress

AT_ONCE = 40


async def main(calm: str, urls: list[str]) -> None:
    """Print KiB: the peak after calm answers, and after floods."""
    sender = Sender(egress.Rules(allow=egress.networks(egress.LOOPBACK)), connections=AT_ONCE, total=2.0)
    await asyncio.gather(*(sender.send(calm, b"{}", {}) for _ in range(AT_ONCE)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for url in urls:
        await asyncio.gather(*(sender.send(url, b"{}", {}) for _ in range(AT_ONCE)))
    await sender.close()
    print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # noqa: T201 - that is what it is for


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2:]))
