"""Look names up over DNS, without threads, and hand out only addresses that may be connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

import aiodns

from kit import egress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.egress import Address, Rules

_TRY = 1.0  # seconds; c-ares asks again then, or the next server
_TRIES = 3


class UnknownNameError(OSError):
    """The name does not resolve now, or its name servers do not answer."""


class Lookup:
    """One process's look-ups. Use it within one event loop; answers are kept for as long as DNS says (their TTL).

    No thread of a pool waits for an answer, so that a merchant's dead name server holds up nobody else's names. Names
    are absolute: search domains of the machine are not tried.
    """

    def __init__(self, rules: Rules, *, nameservers: Sequence[str] | None = None) -> None:
        """Set up.

        Args:
            rules: what may be connected to.
            nameservers: `address:port` of each, instead of the machine's.
        """
        self._rules = rules
        self._nameservers = nameservers
        self._resolver: aiodns.DNSResolver | None = None

    async def addresses(self, name: str) -> list[Address]:
        """The addresses of `name` that may be connected to; the caller bounds the time.

        The others are left out rather than the name refused: behind DNS64 every public name also has an address in
        64:ff9b::/96, and none of them could be delivered to.

        Raises:
            UnknownNameError: it has no address.
            RefusedError: it has some, and none may be connected to.
        """
        found = egress.static(name)
        if found is None:
            found = await self._ask(name)
        if not found:
            raise UnknownNameError(f"{name} does not resolve")
        if permitted := [address for address in found if self._rules.permits(address)]:
            return permitted
        raise egress.no_public_address(name)

    async def close(self) -> None:
        """End what is being looked up."""
        if self._resolver is not None:
            await self._resolver.close()
            self._resolver = None

    async def _ask(self, name: str) -> tuple[Address, ...]:
        if self._resolver is None:  # not before it is needed: it starts a thread of its own
            self._resolver = aiodns.DNSResolver(
                self._nameservers, loop=asyncio.get_running_loop(), timeout=_TRY, tries=_TRIES, domains=[]
            )
        try:
            answer = await self._resolver.getaddrinfo(name, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except (aiodns.error.DNSError, UnicodeError) as error:
            raise UnknownNameError(f"{name} does not resolve") from error
        return tuple(ipaddress.ip_address(node.addr[0].decode()) for node in answer.nodes)
