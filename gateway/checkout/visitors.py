"""Who visits: the address of a request, also where a proxy of ours stands before us."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar import Request

    from kit.egress import Network

_MOST = 20  # hops that are looked at


def address(request: Request[Any, Any, Any], trusted: Sequence[Network]) -> str:
    """The address that limits count: the last one before our own proxies.

    Args:
        request: from whom; `X-Forwarded-For` is believed from `trusted` alone, or anybody could be anyone.
        trusted: networks of our proxies.
    """
    found = request.client.host if request.client else ""
    hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",")[-_MOST:]]
    while hops and hops[-1] and _within(found, trusted):
        found = hops.pop()
    return found[:45]


def _within(text: str, networks: Sequence[Network]) -> bool:
    try:
        one = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(one in network for network in networks)
