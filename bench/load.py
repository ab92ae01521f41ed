"""Start payments over HTTP as fast as they are answered: `python -m bench.load`, one JSON line of result.

Raw HTTP/1.1 on asyncio protocols, since a client library would take the processor time that is to be measured. Each
connection sends its next request when its last one was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import cast

import msgspec
import uvloop

from gateway import demo

REUSABLE = demo.ORDER_IDS[0]


class Result(msgspec.Struct, frozen=True):
    """What one run saw."""

    payments: int
    """Answered with 201 within the time."""
    all_payments: int
    """With those that were still under way at its end."""
    errors: int
    """Anything else, and connections that broke."""
    seconds: float
    p50_ms: float
    p99_ms: float
    first_error: str = ""

    @property
    def rate(self) -> float:
        """Payments a second."""
        return self.payments / self.seconds if self.seconds else 0.0


class Requests:
    """The bytes of one request after another, none like the other."""

    def __init__(self, *, port: int, salt: str, reuse: bool) -> None:
        self._head = (
            f"POST /api/v1/payments HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Api-Key: {demo.KEY_ID}\r\n"
            f"X-Api-Secret: {demo.SECRET}\r\nContent-Type: application/json\r\n"
        )
        self._salt = salt
        self._reuse = reuse
        self._count = 0

    def next(self) -> bytes:
        """A payment with an Idempotency-Key of its own, of the reusable order or of one that it opens."""
        self._count += 1
        name = f"{self._salt}-{self._count:08}"
        body = f'{{"order_id":"{REUSABLE}","method":"upi","vpa":"user@paytm"}}'
        if not self._reuse:
            body = f'{{"order_id":"{name}","amount":50000,"currency":"INR","method":"upi","vpa":"user@paytm"}}'
        return f"{self._head}Idempotency-Key: {name}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Meter:
    """What all connections of a run count together."""

    def __init__(self) -> None:
        self.payments = self.errors = 0
        self.first_error = ""
        self.latencies: list[float] = []
        self.running = True

    def failed(self, what: str) -> None:
        """Count an answer that is no payment."""
        self.errors += 1
        self.first_error = self.first_error or what[:300]


class Client(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, requests: Requests, meter: Meter) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._meter = meter
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole, and send the next request."""
        buffer = self._buffer + data if self._buffer else data
        head, separator, body = buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            self._buffer = buffer
            return
        self._buffer = b""
        if buffer.startswith(b"HTTP/1.1 201 "):
            self._meter.payments += 1
            self._meter.latencies.append(time.perf_counter() - self._sent)
        else:
            self._meter.failed(buffer.decode(errors="replace"))
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; before the end of the run that is an error."""
        if self._meter.running:
            self._meter.failed(f"connection lost: {exc}")
        if not self.ended.done():
            self.ended.set_result(None)

    def _send(self) -> None:
        assert self._transport is not None
        if self._meter.running:
            self._sent = time.perf_counter()
            self._transport.write(self._requests.next())
        else:
            self._transport.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def run(*, port: int, seconds: float, connections: int, salt: str, reuse: bool) -> Result:
    """Load the API on `port` for `seconds`."""
    loop = asyncio.get_running_loop()
    requests, meter = Requests(port=port, salt=salt, reuse=reuse), Meter()
    started = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda: Client(requests, meter), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait([client.ended for client in clients], timeout=seconds)
    meter.running = False
    took = time.perf_counter() - started
    payments = meter.payments
    await asyncio.wait([client.ended for client in clients], timeout=5)
    latencies = sorted(meter.latencies)

    def quantile(share: float) -> float:
        return round(latencies[int(share * (len(latencies) - 1))] * 1000, 1) if latencies else 0.0

    return Result(payments, meter.payments, meter.errors, took, quantile(0.5), quantile(0.99), meter.first_error)


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--salt", required=True, help="makes keys and orders of this run unlike all others")
    parser.add_argument("--reuse", action="store_true", help="pay one reusable order rather than a new one each")
    result = uvloop.run(run(**vars(parser.parse_args())))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
