"""Where a process may connect to: public unicast addresses, the networks that a setting allows, and certain ports.

Pure: no look-up and no socket. `kit.lookup` asks for a name's addresses; whoever connects asks `Rules.check_address` of
the very address that it connects to.
"""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: Final = "127.0.0.0/8,::1/128"
PORTS: Final = "80,443,1024-65535"
NONE: Final = "none"
"""Written for an empty list of networks."""

# IANA's special-purpose registries. Written out: what `is_global` says has changed between Python's releases.
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this network; most systems take 0.0.0.0 for loopback
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by carriers; Alibaba's metadata service lives here
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host; looks public, is not
            "169.254.0.0/16",  # link-local; metadata services live here
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata service lives here
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "3fff::/20",
        ),
    )
)
_RANGES: Final = {
    version: [
        (int(network.network_address), int(network.broadcast_address))
        for network in _NOT_PUBLIC
        if network.version == version
    ]
    for version in (4, 6)
}
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # all that IANA has given out of IPv6 for the public
_NAT64: Final = IPv6Network("64:ff9b::/96")

_HOST = re.compile(r"(?!.{254})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")
_PLAIN = re.compile(r"[!-~]+")
_BASES: Final = {"0x": 16, "0X": 16}
_PARTS = 4


class RefusedError(OSError):
    """Nothing is connected there; the text says why. An OSError, as one address of several may be refused."""


class PortRefusedError(RefusedError):
    """The port is none of the allowed ones."""


class Target(NamedTuple):
    """What a URL names, judged."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without its brackets."""
    port: int
    address: Address | None
    """When the host is one; a name has still to be looked up, and its addresses judged."""


class Rules(NamedTuple):
    """What may be connected to."""

    allow: tuple[Network, ...] = ()
    """Networks that are not public, and allowed all the same."""
    ports: tuple[range, ...] = (range(80, 81), range(443, 444), range(1024, 65536))

    def permits(self, address: Address) -> bool:
        """Whether `address` is public, or allowed. One that carries another is judged by that one too."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            return self.permits(address.ipv4_mapped)
        if any(address in network for network in self.allow):
            carried = _carried(address)
            return carried is None or self.permits(carried)
        if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
            return False
        value = int(address)
        return not any(first <= value <= last for first, last in _RANGES[address.version])

    def check_address(self, text: str) -> None:
        """Judge a numeric address, as a socket takes it; the zone of an IPv6 address is left aside.

        Raises:
            RefusedError: it is not public, or no address.
        """
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            raise RefusedError("a name is looked up before it is connected to") from None
        if not self.permits(address):
            raise RefusedError(f"{text} is not a public address")

    def read(self, url: str) -> Target:
        """Judge all of a URL that can be judged without a look-up.

        Raises:
            RefusedError: scheme, user name, host or address.
            PortRefusedError: the port.
        """
        # A backslash is a slash to some parsers and none to others: two of them must not see two hosts.
        if not _PLAIN.fullmatch(url) or "\\" in url:
            raise RefusedError("the URL is not plain ASCII")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise RefusedError("the URL's host or port cannot be read") from None
        if parts.scheme not in {"http", "https"}:
            raise RefusedError("the URL is neither http nor https")
        if "@" in parts.netloc:
            raise RefusedError("the URL holds a user name or password")
        if port is None:
            port = 443 if parts.scheme == "https" else 80
        address = _bracketed(host) if "[" in parts.netloc else literal(host)
        if address is not None and not self.permits(address):
            raise RefusedError(f"{host} is not a public address")
        if address is None and (known := static(host)) and not any(map(self.permits, known)):
            raise no_public_address(host)
        if not any(port in some for some in self.ports):
            raise PortRefusedError(f"port {port} is not one that may be connected to")
        return Target(parts.scheme, host, port, address)


def no_public_address(name: str) -> RefusedError:
    """What is said of a name whose addresses are all refused: not what they are, which may be an inner network's."""
    return RefusedError(f"{name} has no public address")


def literal(host: str) -> Address | None:
    """The IPv4 address that a URL's host is; None for a name.

    Whatever `inet_aton` takes for a number is a number here too (`127.1`, `0x7f.1`, `2130706433`, `0177.0.0.1`), and
    has to be written in the usual way.

    Raises:
        RefusedError: it is neither, or spelt in another way.
    """
    if not _HOST.fullmatch(host):
        raise RefusedError("the host is neither a name in ASCII nor an address")
    bare = host.removesuffix(".")
    if not _NUMBER.fullmatch(bare.rpartition(".")[2]):
        return None
    spelt = _inet_aton(bare)
    if spelt is None:
        raise RefusedError(f"{host} is neither a name nor an address")
    if str(spelt) != host:
        raise RefusedError(f"{host} is another spelling of {spelt}; write it so")
    return spelt


def static(name: str) -> tuple[Address, ...] | None:
    """The addresses of a name that is never looked up, none of a reserved one; None for every other (RFC 6761)."""
    last = name.lower().removesuffix(".").rpartition(".")[2]
    if last == "localhost":
        return IPv6Address("::1"), IPv4Address("127.0.0.1")
    return () if last in {"example", "invalid", "test"} else None


def networks(text: str) -> tuple[Network, ...]:
    """Read a comma-separated list of networks; `none` for none.

    Raises:
        ValueError: naming the part that is none.
    """
    return () if text.strip() == NONE else tuple(ipaddress.ip_network(part.strip()) for part in text.split(","))


def ports(text: str) -> tuple[range, ...]:
    """Read a comma-separated list of ports and ranges, such as `80,443,1024-65535`.

    Raises:
        ValueError: naming the part that is none.
    """
    return tuple(_port_range(part.strip()) for part in text.split(","))


def _port_range(part: str) -> range:
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
    if found:
        first, last = int(found[1]), int(found[2] or found[1])
        if 1 <= first <= last <= 65535:  # noqa: PLR2004 - ports are 16 bits
            return range(first, last + 1)
    raise ValueError(f"{part!r} is no port from 1 to 65535, nor a range of them such as 1024-65535")


def _bracketed(host: str) -> Address:
    try:
        address = IPv6Address(host)
    except ValueError:
        raise RefusedError("the host in brackets is no IPv6 address") from None
    if address.scope_id is not None:
        raise RefusedError(f"{host} has a zone")
    return address


def _carried(address: Address) -> IPv4Address | None:
    """The IPv4 address at which a translator would deliver what is sent to `address`."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _inet_aton(host: str) -> IPv4Address | None:
    """One to four numbers, decimal, octal or hexadecimal; the last one fills what is left."""
    parts = host.split(".")
    if len(parts) > _PARTS or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *first, last = numbers
    if any(number > 0xFF for number in first) or last >= 1 << 8 * (_PARTS - len(first)):  # noqa: PLR2004 - a byte
        return None
    value = last
    for place, number in enumerate(first):
        value |= number << 8 * (_PARTS - 1 - place)
    return IPv4Address(value)


def _number(part: str) -> int:
    if (base := _BASES.get(part[:2])) is not None:
        return int(part[2:] or "0", base)
    return int(part, 8 if len(part) > 1 and part[0] == "0" else 10)
