"""What aiohttp alone can send: `python -m bench.bare`, equal POSTs and nothing else; prints the seconds it took.

The first number is the time that passed, the second that of the processor.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import aiohttp
import uvloop

# As long as the dispatcher's, name by name.
HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "Ledgate/0.1.0",
    "X-Webhook-Signature": "0" * 64,
    "X-Webhook-Event": "payment.created",
    "X-Webhook-Id": "dlv_" + "0" * 26,
    "X-Webhook-Attempt": "1",
    "webhook-id": "evt_" + "0" * 26,
    "webhook-timestamp": "1705315870",
    "webhook-signature": "v1," + "0" * 43 + "=",
}


async def send(*, port: int, count: int, concurrency: int, body_bytes: int) -> tuple[float, float]:
    """Send `count` bodies of `body_bytes`, `concurrency` at a time; returns seconds that passed, and of the processor.

    Raises:
        RuntimeError: an answer that is not 200.
    """
    url, body = f"http://127.0.0.1:{port}/webhook", b"x" * body_bytes
    left = count

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                async with session.post(url, data=body, headers=HEADERS) as response:
                    await response.read()
                    if response.status != 200:
                        raise RuntimeError(f"status {response.status}")

        started, processor = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
        return time.perf_counter() - started, time.process_time() - processor


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--port", "--count", "--concurrency", "--body-bytes"):
        parser.add_argument(name, type=int, required=True)
    wall, processor = uvloop.run(send(**vars(parser.parse_args())))
    sys.stdout.write(f"{wall:.4f} {processor:.4f}\n")


if __name__ == "__main__":
    main()
