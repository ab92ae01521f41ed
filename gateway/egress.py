"""May webhooks go to this URL? Asked when an endpoint is saved; each delivery asks again, at the socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway import endpoint_rules
from gateway.errors import BadRequestError
from kit.egress import PortRefusedError, RefusedError, Rules
from kit.lookup import Lookup, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOKUP_TIMEOUT = 2.0
"""Seconds that saving waits for DNS. A name that does not resolve by then is accepted: it may tomorrow."""


class Egress:
    """One process's judgement of URLs. Never ask it within a transaction: it may wait for DNS."""

    def __init__(self, rules: Rules, *, nameservers: Sequence[str] | None = None) -> None:
        """Set up.

        Args:
            rules: what webhooks may go to.
            nameservers: `address:port` of each, instead of the machine's.
        """
        self._rules = rules
        self._lookup = Lookup(rules, nameservers=nameservers)

    async def check_url(self, url: str, field: str) -> None:
        """Accept what is well-formed and leads to a public address, as far as can be told now.

        Raises:
            BadRequestError: `url_invalid`, `url_not_public` or `url_port_refused`.
        """
        endpoint_rules.check_url(url, field)
        try:
            target = self._rules.read(url)
            if target.address is None:
                async with asyncio.timeout(LOOKUP_TIMEOUT):
                    await self._lookup.addresses(target.host)
        except RefusedError as error:
            reason = "url_port_refused" if isinstance(error, PortRefusedError) else "url_not_public"
            raise BadRequestError(f"{field} is refused: {error}", field=field, reason=reason) from None
        except (UnknownNameError, TimeoutError):
            pass

    async def close(self) -> None:
        """End what is being looked up."""
        await self._lookup.close()


async def check_once(rules: Rules, url: str, field: str) -> None:
    """The same for a process that asks once. Raises `BadRequestError`."""
    egress = Egress(rules)
    try:
        await egress.check_url(url, field)
    finally:
        await egress.close()
