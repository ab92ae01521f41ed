"""Who visits: the address of a request, also where a proxy of ours stands before us."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar import Request

    from kit.egress import Network

_MOST = 20  # hops that are looked at
_PORT = re.compile(r"\[(?P<six>[^\]]*)\](:\d+)?|(?P<four>[\d.]+):\d+")
_HOME = 64  # bits of an IPv6 address that stand for one customer: all that follows is his to choose

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address(request: Request[Any, Any, Any], trusted: Sequence[Network]) -> str:
    """Whom limits count: the last address before our own proxies; of IPv6 the network, as everybody has 2^64 addresses.

    Args:
        request: from whom; `X-Forwarded-For` is believed from `trusted` alone, or anybody could be anyone.
        trusted: networks of our proxies.
    """
    peer = request.client.host if request.client else ""
    found = _parse(peer)
    # Some proxies add to the visitor's header, others a header of their own after it.
    lines = [value.decode("latin-1") for name, value in request.scope["headers"] if name == b"x-forwarded-for"]
    hops = ",".join(lines).split(",")[-_MOST:]
    while hops and found and any(found in network for network in trusted):
        if not (before := _parse(hops.pop())):
            break
        found = before
    return _counted(found) if found else peer[:45]


def _parse(text: str) -> Address | None:
    """An address, also with a port behind it, as some proxies write it."""
    text = text.strip()
    if port := _PORT.fullmatch(text):
        text = port["six"] or port["four"] or ""
    try:
        one = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(one, "ipv4_mapped", None) or one


def _counted(one: Address) -> str:
    if one.version == 4:  # noqa: PLR2004 - IPv4
        return str(one)
    return str(ipaddress.ip_network((one.packed, _HOME), strict=False))
