"""A DNS server of the test's own, in UDP on loopback: it says what it is told, counts, and may change its mind."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import cast

_TYPES = {4: 1, 6: 28}  # A, AAAA
_HEAD = struct.Struct("!6H")


class NameServer(asyncio.DatagramProtocol):
    """Answers with `names`: lists of addresses to give in turn, the last one for good. An empty turn stays silent."""

    def __init__(self, names: Mapping[str, Iterable[Iterable[str]]], *, ttl: int) -> None:
        self.asked: Counter[str] = Counter()
        """Questions for A of each name."""
        self._turns = {name: [list(turn) for turn in turns] for name, turns in names.items()}
        self._ttl = ttl
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def address(self) -> str:
        assert self._transport is not None
        return f"127.0.0.1:{self._transport.get_extra_info('sockname')[1]}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, addr: object) -> None:
        name, end = _name(data)
        kind = int.from_bytes(data[end : end + 2], "big")
        turns = self._turns.get(name)
        if turns is None:
            self._send(data, end, addr, [], code=3)  # no such name
            return
        if kind == _TYPES[4]:
            self.asked[name] += 1
        turn = turns[min(max(self.asked[name], 1), len(turns)) - 1]
        if turn:
            found = [one for one in map(ipaddress.ip_address, turn) if _TYPES[one.version] == kind]
            self._send(data, end, addr, [one.packed for one in found], kind=kind)

    def _send(self, query: bytes, end: int, addr: object, found: list[bytes], *, kind: int = 1, code: int = 0) -> None:
        assert self._transport is not None
        head = _HEAD.pack(int.from_bytes(query[:2], "big"), 0x8180 | code, 1, len(found), 0, 0)
        rows = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, self._ttl, len(one)) + one for one in found)
        self._transport.sendto(head + query[_HEAD.size : end + 4] + rows, addr)


@contextlib.asynccontextmanager
async def answering(names: Mapping[str, Iterable[Iterable[str]]], *, ttl: int = 0) -> AsyncIterator[NameServer]:
    """Answer with these names, everything else with NXDOMAIN."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(names, ttl=ttl), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()


def _name(query: bytes) -> tuple[str, int]:
    """The name that is asked for, and where it ends."""
    labels, at = [], _HEAD.size
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode())
        at += size + 1
    return ".".join(labels).lower(), at + 1
