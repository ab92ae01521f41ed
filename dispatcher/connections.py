"""Connections to receivers: guarded where the socket is made, and bounded in what an answer may cost.

What aiohttp leaves open and this closes: the socket itself (its resolver hook never sees an address that stands in the
URL), the sum of an answer's headers (it bounds each, and how many one head has, but not how many heads of 1xx come),
what surrounds a body (chunk extensions without end), what comes after it, and how long a closed TLS connection may
linger.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from outbox.deliveries import BODY_KEPT

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import AddrInfoType
    from aiohttp.tracing import Trace

    from kit.egress import Address, Rules
    from kit.lookup import Lookup

HEAD_LIMIT = 64 * 1024
"""Bytes of status line and headers, those of all 1xx before it included."""
FRAMING_LIMIT = 256 * 1024
"""Bytes of an answer, head included, that are not its body's: a body that comes in chunks of one byte fits."""

_PIECE = 16 * 1024
_RECEIVE_BUFFER = 64 * 1024  # bytes of the socket's buffer, which also is the most that one read brings


class TooMuchError(aiohttp.ClientError):
    """The answer exceeds a bound; the text says which."""


class ConnectTimeoutError(Exception):
    """Look-up, connection and TLS together took too long."""


class Connections(aiohttp.TCPConnector):
    """aiohttp's connector, with every socket judged. It keeps half as many connections idle as may be busy."""

    def __init__(self, rules: Rules, lookup: Lookup, *, limit: int, within: float, dns_ttl: int) -> None:
        """Set up.

        Args:
            rules: what may be connected to.
            lookup: asks for the addresses of names.
            limit: connections that are busy at once.
            within: seconds for look-up, connection and TLS together; waiting for a free connection does not count.
            dns_ttl: seconds for which a name's addresses are kept; each is judged again when it is connected to.
        """
        self._rules = rules
        self._within = within
        super().__init__(
            resolver=_Resolver(lookup),
            socket_factory=self._socket,
            limit=limit,
            ttl_dns_cache=dns_ttl,
            keepalive_timeout=15,
        )
        self._factory = cast("functools.partial[ResponseHandler]", functools.partial(_Bounded, loop=self._loop))

    def _socket(self, info: AddrInfoType) -> socket.socket:
        """The guard: a socket for this very address, or none. Nothing is connected to that does not come by here."""
        family, kind, protocol, _, address = info
        self._rules.check_address(str(address[0]))
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        return made

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> ResponseHandler:
        try:
            async with asyncio.timeout(self._within):
                return await super()._create_connection(req, traces, timeout)
        except TimeoutError as error:
            raise ConnectTimeoutError from error

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        # The limit counts busy connections alone. Many hosts must not hold as many idle ones as there are descriptors.
        crowded = sum(map(len, self._conns.values())) >= self.limit // 2
        super()._release(key, protocol, should_close=should_close or crowded)


class _Resolver(AbstractResolver):
    """A `Lookup` as aiohttp asks for it."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - both families, always
    ) -> list[ResolveResult]:
        return [_found(host, port, address) for address in await self._lookup.addresses(host)]

    async def close(self) -> None:
        await self._lookup.close()


def _found(host: str, port: int, address: Address) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=socket.AF_INET if address.version == 4 else socket.AF_INET6,  # noqa: PLR2004 - of IP
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


class _Bounded(ResponseHandler):
    """A connection that counts what comes, for each answer anew."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received = 0
        self._content: aiohttp.StreamReader | None = None  # of the answer; None while its head is not complete

    def set_response_params(self, **params: Any) -> None:
        self._received = 0
        self._content = None
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        message, content = data
        if message.code >= 200 or message.code == 101:  # noqa: PLR2004 - all others announce one more
            self._content = content
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Pass on what is wanted, piece by piece, so that each bound is exact and the parser holds nothing back."""
        if not data:
            super().data_received(data)  # aiohttp's own way to go on
        at = 0
        while at < len(data) and self.is_connected():
            size = _PIECE
            if self._content is None:
                size = min(size, HEAD_LIMIT - self._received)
                if not size:
                    self._give_up(f"more than {HEAD_LIMIT // 1024} KiB of headers")
                    return
            elif self._content.is_eof():
                # More than it announced, or an answer that nobody asked for: the next request must not find it.
                self.close()
                return
            elif self._content.total_bytes >= BODY_KEPT:
                self._should_close = True
                self._pause_transport_reading()
                return
            elif self._received - self._content.total_bytes > FRAMING_LIMIT:
                self._give_up(f"more than {FRAMING_LIMIT // 1024} KiB around a body")
                return
            piece = data[at : at + size]
            at += len(piece)
            self._received += len(piece)
            super().data_received(piece)

    def set_exception(self, exc: BaseException, *args: Any) -> None:
        if not isinstance(self._exception, TooMuchError):  # the end that follows says less
            super().set_exception(exc, *args)

    def close(self) -> None:
        # At once: what is left to write is not wanted, and a TLS peer could stay on for half a minute to say goodbye.
        self.abort()

    def _give_up(self, reason: str) -> None:
        error = TooMuchError(reason)
        self.set_exception(error)
        if self._content is not None:
            self._content.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
