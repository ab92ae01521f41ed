"""The fastest receiver that Python can be: `python -m bench.receiver PORT` counts POSTs and answers 200.

`GET` answers the count. Raw HTTP/1.1 on asyncio protocols; nothing is verified or kept.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n" + b'{"status":"received"}'


class Counter:
    """Requests so far."""

    posts = 0


class Connection(asyncio.Protocol):
    """One connection of a sender; it does not pipeline."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Answer each request once it is whole."""
        assert self._transport is not None
        buffer = self._buffer + data if self._buffer else data
        head, separator, body = buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            self._buffer = buffer
            return
        self._buffer = b""
        if head.startswith(b"POST "):
            self._counter.posts += 1
            self._transport.write(_OK)
        else:
            count = b"%d" % self._counter.posts
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(count), count))


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def serve(port: int) -> None:
    """Serve until killed."""
    counter = Counter()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(counter), "127.0.0.1", port, backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
