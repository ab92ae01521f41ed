"""What is public and what is not, in every spelling that a URL may have."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import egress
from kit.egress import PortRefusedError, RefusedError, Rules

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
    "168.63.129.15", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "::ffff:808:808",
]  # fmt: skip
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "::7f00:1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::1",
    "100::1", "100:0:0:1::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1",
    "fe80::1%1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
NOTHING = Rules()
LOOPBACK = Rules(allow=egress.networks(egress.LOOPBACK))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_taken(address: str) -> None:
    NOTHING.check_address(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_all_others_are_refused_by_name(address: str) -> None:
    with pytest.raises(RefusedError) as refused:
        NOTHING.check_address(address)
    assert str(refused.value) == f"{address} is not a public address"


@settings(max_examples=500, deadline=None, database=None)
@given(st.ip_addresses())
def test_what_python_calls_private_is_never_taken(address: egress.Address) -> None:
    """A second opinion on every address; ours is the stricter one."""
    if NOTHING.permits(address):
        inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        judged = inner or address
        assert judged.is_global
        assert not judged.is_private
        assert not judged.is_link_local
        assert not judged.is_multicast
        assert not judged.is_reserved


def test_an_allowed_network_is_allowed_in_both_of_its_forms_and_no_other() -> None:
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        LOOPBACK.check_address(address)
    for address in ("0.0.0.0", "::", "10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"):
        with pytest.raises(RefusedError):
            LOOPBACK.check_address(address)


@pytest.mark.parametrize(
    ("network", "public", "private"),
    [
        ("64:ff9b::/96", "64:ff9b::8.8.8.8", "64:ff9b::10.0.0.1"),
        ("2002::/16", "2002:808:808::1", "2002:a00:1::1"),
        ("2001::/32", "2001:0:808:808:0:0:f7f7:f7f7", "2001:0:808:808:0:0:f5ff:fffe"),
    ],
)
def test_an_allowed_translator_does_not_lead_to_private_addresses(network: str, public: str, private: str) -> None:
    rules = Rules(allow=egress.networks(network))
    rules.check_address(public)
    with pytest.raises(RefusedError):
        rules.check_address(private)


def test_a_name_is_no_address() -> None:
    """Whoever connects must have looked it up: nobody may do so behind the guard's back."""
    with pytest.raises(RefusedError):
        NOTHING.check_address("localhost")


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("2130706433", "another spelling of 127.0.0.1"),
        ("017700000001", "another spelling of 127.0.0.1"),
        ("0x7f000001", "another spelling of 127.0.0.1"),
        ("0X7F000001", "another spelling of 127.0.0.1"),
        ("0177.0.0.1", "another spelling of 127.0.0.1"),
        ("0x7f.1", "another spelling of 127.0.0.1"),
        ("127.1", "another spelling of 127.0.0.1"),
        ("127.0.1", "another spelling of 127.0.0.1"),
        ("127.0.0.01", "another spelling of 127.0.0.1"),
        ("127.0.0.1.", "another spelling of 127.0.0.1"),
        ("00000177.0x0.0.0x1", "another spelling of 127.0.0.1"),
        ("0", "another spelling of 0.0.0.0"),
        ("0x", "another spelling of 0.0.0.0"),
        ("8.8.2056", "another spelling of 8.8.8.8"),
        ("256.1.1.1", "neither a name nor an address"),
        ("1.2.3.4.5", "neither a name nor an address"),
        ("4294967296", "neither a name nor an address"),
        ("08.0.0.1", "neither a name nor an address"),
        ("shop.example.1", "neither a name nor an address"),
        ("", "neither a name in ASCII"),
        (".", "neither a name in ASCII"),
        ("a..b", "neither a name in ASCII"),
        ("a..", "neither a name in ASCII"),
        ("%31%32%37.0.0.1", "neither a name in ASCII"),
        ("１２７.0.0.1", "neither a name in ASCII"),  # noqa: RUF001 - that is the trick
        ("127。0。0。1", "neither a name in ASCII"),
        ("ⓛocalhost", "neither a name in ASCII"),
        ("a" * 64 + ".example", "neither a name in ASCII"),
        ("a." * 127 + "example", "neither a name in ASCII"),
    ],
)
def test_a_host_that_is_a_number_is_written_in_one_way(host: str, told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        egress.literal(host)


@settings(max_examples=500, deadline=None, database=None)
@given(st.from_regex(r"(0[xX]?)?[0-9a-fA-F]{0,10}(\.(0[xX]?)?[0-9a-fA-F]{1,4}){0,4}\.?", fullmatch=True))
def test_nothing_that_inet_aton_takes_passes_for_a_name(host: str) -> None:
    """The C library's own reading is the measure: where it sees an address, we see the same one, or refuse."""
    read: object = "refused"
    with contextlib.suppress(RefusedError):
        read = egress.literal(host)
    try:
        real = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return
    assert read in {real, "refused"}


@pytest.mark.parametrize(
    "host", ["shop.example", "a.b.c.", "xn--mnchen-3ya.example", "a_b", "1a", "0x7g", "127.0.0.1a"]
)
def test_names_are_names(host: str) -> None:
    assert egress.literal(host) is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://shop.example/", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("//shop.example/", "neither http nor https"),
        ("http://user@shop.example/", "user name"),
        ("http://good.example:80@10.0.0.1/", "user name"),
        ("http://good.example\\@10.0.0.1/", "not plain ASCII"),
        ("http://10.0.0.1\t/", "not plain ASCII"),
        ("http://１０.0.0.1/", "not plain ASCII"),  # noqa: RUF001 - that is the trick
        ("http://[::1/", "cannot be read"),
        ("http://shop.example:99999/", "cannot be read"),
        ("http://[v1.x]/", "brackets"),
        ("http://[fe80::1%25eth0]/", "zone|brackets"),
        ("http://[fe80::1%eth0]/", "zone|brackets"),
        ("http://[127.0.0.1]/", "brackets|cannot be read"),
        ("http:///x", "neither a name"),
        ("http://localhost/", "localhost has no public address"),
        ("http://LOCALHOST./", "localhost. has no public address"),
        ("http://a.b.localhost/", "a.b.localhost has no public address"),
        ("http://[0:0:0:0:0:ffff:7f00:0001]/", "not a public address"),
    ],
)
def test_urls_are_refused_with_their_reason(url: str, told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        NOTHING.read(url)


def test_a_url_is_read_once_and_for_all() -> None:
    assert NOTHING.read("https://SHOP.example./x") == ("https", "shop.example.", 443, None)
    assert NOTHING.read("http://[2606:4700:4700:0::1111]:8080") == (
        "http",
        "2606:4700:4700:0::1111",
        8080,
        ipaddress.ip_address("2606:4700:4700::1111"),
    )
    assert LOOPBACK.read("http://localhost:4000/webhook").host == "localhost"


def test_ports_are_those_of_the_setting() -> None:
    for port in (80, 443, 1024, 65535):
        NOTHING.read(f"http://shop.example:{port}/")
    for port in (1, 22, 25, 81, 1023):
        with pytest.raises(PortRefusedError, match=f"port {port} is not one"):
            NOTHING.read(f"http://shop.example:{port}/")
    with pytest.raises(PortRefusedError):
        Rules(ports=egress.ports("443")).read("http://shop.example/")


@pytest.mark.parametrize("text", ["", "0", "65536", "80,", "90-80", "80-", "-80", "80;81", "٨٠", "80-65536"])
def test_wrong_ports_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no port"):
        egress.ports(text)


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "shop.example", "10.0.0.0/8,", "none,10.0.0.0/8"])
def test_wrong_networks_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits|CIDR|permitted|IPv4"):
        egress.networks(text)


def test_networks_and_none() -> None:
    assert egress.networks("none") == ()
    assert [str(one) for one in egress.networks("10.0.0.0/8, fd00::/8")] == ["10.0.0.0/8", "fd00::/8"]


def test_reserved_names_are_never_looked_up() -> None:
    assert egress.static("shop.example") == egress.static("a.INVALID.") == egress.static("test") == ()
    assert egress.static("example.com") is egress.static("localhost.com") is egress.static("test_merchant") is None
