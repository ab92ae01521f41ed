"""A receiver that knows how long each webhook was on its way: `python -m bench.witness PORT`.

The body's `t` is when its event was written, in unix seconds on the same clock. `/ok/…` answers 200, `/fail/…` 500,
`/hang/…` never. `GET /` gives what came since the last look, as JSON: path -> seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import msgspec
import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_FAIL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection of a sender; it does not pipeline."""

    def __init__(self, seen: dict[str, list[float]]) -> None:
        self._seen = seen
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Judge each request once it is whole."""
        assert self._transport is not None
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        self._buffer = b""
        method, path = head.split(b" ", 2)[:2]
        if method == b"GET":
            told = msgspec.json.encode(self._seen)
            self._seen.clear()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))
            return
        late = time.time() - msgspec.json.decode(body)["t"]
        self._seen.setdefault(path.decode(), []).append(late)
        if path.startswith(b"/ok"):
            self._transport.write(_OK)
        elif path.startswith(b"/fail"):
            self._transport.write(_FAIL)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def serve(port: int) -> None:
    """Serve until killed."""
    seen: dict[str, list[float]] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(seen), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
