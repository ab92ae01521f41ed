"""Nothing is connected to that is not public: a listener on every address of this machine counts, and sees nobody."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from dispatcher.sender import Answered, Sender, Unreachable
from gateway.config import Config
from kit import egress
from kit.db import Connection
from kit.egress import Rules
from tests.dispatcher.test_delivery import dispatching
from tests.support.nameserver import NameServer, answering
from tests.support.paying import pay
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]
NOTHING = Rules()
LOOPBACK = Rules(allow=egress.networks(egress.LOOPBACK))
SECOND = Rules(allow=egress.networks("127.0.0.2/32"))  # stands in for a public address; 127.0.0.1 is a private one
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Listener:
    """Listens on all addresses, of both families; remembers at which of them somebody came."""

    def __init__(self, answer: bytes) -> None:
        self.came: list[str] = []
        self.port = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.append(writer.get_extra_info("sockname")[0])
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._answer)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def listening(answer: bytes = OK) -> AsyncIterator[Listener]:
    listener = Listener(answer)
    first = await asyncio.start_server(listener.serve, "0.0.0.0", 0)  # the point is to be reachable
    listener.port = first.sockets[0].getsockname()[1]
    servers = [first]
    if socket.has_ipv6:
        with contextlib.suppress(OSError):  # a machine without IPv6
            servers.append(await asyncio.start_server(listener.serve, "::", listener.port, family=socket.AF_INET6))
    try:
        yield listener
    finally:
        for server in servers:
            server.close()


@contextlib.asynccontextmanager
async def sending(rules: Rules, **settings: Any) -> AsyncIterator[Sender]:
    one = Sender(rules, connections=200, **settings)
    try:
        yield one
    finally:
        await one.close()


async def _control(listener: Listener) -> None:
    """The same listener counts: whoever is allowed gets there, after all who came before."""
    before = list(listener.came)
    async with sending(LOOPBACK) as allowed:
        said = await allowed.send(f"http://127.0.0.1:{listener.port}/", b"{}", {})
    assert isinstance(said, Answered), said
    assert listener.came == [*before, "127.0.0.1"]


HOSTS = [
    # every kind of address
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.0.0.2", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:10.0.0.1]",
    "[::ffff:0:127.0.0.1]", "[::ffff:169.254.169.254]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]", "[100::1]", "[2001::1]", "[2001:0:7f00:1::]", "[2001:10::1]", "[2001:20::1]",
    "[2001:db8::1]", "[2002:7f00:1::]", "[3fff::1]", "[fc00::1]", "[fd00::2]", "[fd00:ec2::254]", "[fe80::1]",
    "[fe80::1%25lo]", "[fe80::1%lo]", "[fec0::1]", "[ff02::1]",
    # every spelling
    "2130706433", "017700000001", "0x7f000001", "0177.0.0.1", "0x7f.0.0.1", "0x7f.1", "127.1", "127.0.1", "0",
    "127.0.0.1.", "127.0.0.01", "0x0", "127.0.0.1%00", "%31%32%37.0.0.1", "127%2e0.0.1", "１２７.0.0.1", "①27.0.0.1",  # noqa: RUF001 - the trick
    "127。0。0。1", "[::1", "::1", "[127.0.0.1]", "256.0.0.1", "127.0.0.1.0", "4294967297",
    # names that are somebody here
    "localhost", "LOCALHOST", "localhost.", "evil.localhost", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    # two hosts in one
    "good.example@127.0.0.1", "user:pass@127.0.0.1", "@127.0.0.1", "good.example\\@127.0.0.1",
    "127.0.0.1\\.good.example",
    "127.0.0.1#.good.example", "127.0.0.1\t", "127.0.0.1\r\nX: y", " 127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_no_target_that_is_not_public_gets_a_connection(host: str) -> None:
    async with listening() as listener, sending(NOTHING) as sender:
        said = await sender.send(f"http://{host}:{listener.port}/", b"{}", {})
        assert isinstance(said, Unreachable)
        assert said.error.startswith("refused: ")
        assert listener.came == []
        await _control(listener)


async def test_the_listener_sees_whom_the_rules_let_through() -> None:
    """The same addresses, allowed: so what the guard keeps away would have arrived."""
    hosts = ["127.0.0.1", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "localhost", "evil.localhost", "0.0.0.0"]
    everything = Rules(allow=egress.networks("0.0.0.0/0,::/0"))
    async with listening() as listener, sending(everything) as sender:
        said = [await sender.send(f"http://{host}:{listener.port}/", b"{}", {}) for host in hosts]
    assert all(isinstance(one, Answered) for one in said), said
    assert len(listener.came) == len(hosts)


@pytest.mark.parametrize("port", [1, 22, 25, 81, 1023])
async def test_ports_that_are_not_allowed_are_refused(port: int) -> None:
    async with sending(LOOPBACK) as sender:
        said = await sender.send(f"http://127.0.0.1:{port}/", b"{}", {})
    assert isinstance(said, Unreachable)
    assert said.error == f"refused: port {port} is not one that may be connected to"


@pytest.mark.parametrize(
    "url", ["ftp://localhost/", "file:///etc/passwd", "gopher://127.0.0.1:70/", "ws://127.0.0.1/", "", "x"]
)
async def test_schemes_other_than_http_are_refused(url: str) -> None:
    async with sending(LOOPBACK) as sender:
        said = await sender.send(url, b"{}", {})
    assert isinstance(said, Unreachable)
    assert said.error.startswith("refused: ")


ANSWERS = {
    "v4.inner.net": ["127.0.0.1"],
    "any.inner.net": ["0.0.0.0"],
    "ten.inner.net": ["10.0.0.1"],
    "meta.inner.net": ["169.254.169.254"],
    "cgnat.inner.net": ["100.100.100.200"],
    "v6.inner.net": ["::1"],
    "any6.inner.net": ["::"],
    "mapped.inner.net": ["::ffff:127.0.0.1"],
    "nat64.inner.net": ["64:ff9b::7f00:1"],
    "sixtofour.inner.net": ["2002:7f00:1::"],
    "ula.inner.net": ["fd00:ec2::254"],
    "link.inner.net": ["fe80::1"],
    "both.inner.net": ["127.0.0.1", "::1"],
    "many.inner.net": [f"10.0.0.{n}" for n in range(1, 21)],
}


async def test_a_name_that_resolves_to_private_addresses_gets_no_connection() -> None:
    """And nobody is told which they are: a merchant must not read our inner network's DNS."""
    async with (
        answering({name: [turn] for name, turn in ANSWERS.items()}) as names,
        listening() as listener,
        sending(NOTHING, nameservers=[names.address]) as sender,
    ):
        for name in ANSWERS:
            said = await sender.send(f"http://{name}:{listener.port}/", b"{}", {})
            assert isinstance(said, Unreachable)
            assert said.error == f"refused: {name} has no public address"
        assert set(names.asked) == set(ANSWERS)
        assert listener.came == []
        await _control(listener)


async def test_of_several_addresses_only_the_public_ones_are_tried() -> None:
    async with (
        answering({"mixed.net": [["127.0.0.1", "10.0.0.1", "::1", "127.0.0.2"]]}) as names,
        listening() as listener,
        sending(SECOND, nameservers=[names.address], dns_ttl=0) as sender,
    ):
        for _ in range(8):
            assert isinstance(await sender.send(f"http://mixed.net:{listener.port}/", b"{}", {}), Answered)
    assert listener.came == ["127.0.0.2"] * 8


async def test_a_name_that_changes_between_two_lookups_gains_nothing() -> None:
    """Rebinding: there is no second look-up between the check and the connection, and each look-up is judged."""
    turns = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.1"]]
    async with (
        answering({"rebind.net": turns}) as names,
        listening() as listener,
        sending(SECOND, nameservers=[names.address], dns_ttl=0) as sender,
    ):
        url = f"http://rebind.net:{listener.port}/"
        said = []
        for asked in range(1, 6):
            said.append(type(await sender.send(url, b"{}", {})))
            assert names.asked["rebind.net"] == asked, "one look-up for a connection"
    assert said == [Answered, Unreachable, Answered, Answered, Unreachable]
    assert listener.came == ["127.0.0.2"] * 3


async def test_what_is_remembered_of_a_name_is_what_was_judged() -> None:
    async with (
        answering({"rebind.net": [["127.0.0.2"], ["127.0.0.1"]]}) as names,
        listening() as listener,
        sending(SECOND, nameservers=[names.address]) as sender,
    ):
        for _ in range(5):
            assert isinstance(await sender.send(f"http://rebind.net:{listener.port}/", b"{}", {}), Answered)
        assert names.asked["rebind.net"] == 1
    assert listener.came == ["127.0.0.2"] * 5


async def test_the_socket_itself_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were everything before it to err, the resolver too, no socket is made for a private address."""
    really = Rules.read
    monkeypatch.setattr(Rules, "read", lambda _, url: really(LOOPBACK, url))
    async with listening() as listener, sending(NOTHING) as sender:
        for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"):
            said = await sender.send(f"http://{host}:{listener.port}/", b"{}", {})
            assert isinstance(said, Unreachable)
            assert said.error.startswith("refused: ")
            assert said.error.endswith("is not a public address")
        assert listener.came == []
        await _control(listener)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_to_private_addresses_are_answers(status: int) -> None:
    async with listening() as inner:
        to = f"HTTP/1.1 {status} Go\r\nLocation: http://127.0.0.1:{inner.port}/\r\nContent-Length: 0\r\n\r\n"
        async with listening(to.encode()) as outer, sending(SECOND) as sender:
            said = await sender.send(f"http://127.0.0.2:{outer.port}/", b"{}", {})
            assert isinstance(said, Answered)
            assert said.status == status
        assert outer.came == ["127.0.0.2"]
        assert inner.came == []
        await _control(inner)


async def test_proxies_of_the_environment_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy, listening() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with sending(SECOND) as sender:
            assert isinstance(await sender.send(f"http://127.0.0.2:{receiver.port}/", b"{}", {}), Answered)
        assert (proxy.came, receiver.came) == ([], ["127.0.0.2"])


async def test_reserved_names_are_not_looked_up() -> None:
    async with answering({}) as names, sending(NOTHING, nameservers=[names.address]) as sender:
        said = await sender.send("https://shop.example/", b"{}", {})
        assert isinstance(said, Unreachable)
        assert said.error == "no connection: shop.example does not resolve"
        said = await sender.send("https://nobody.net/", b"{}", {})
        assert isinstance(said, Unreachable)
        assert said.error == "no connection: nobody.net does not resolve"


async def test_a_dead_name_server_of_one_holds_up_nobody_else() -> None:
    """A hundred look-ups hang; another name is resolved and delivered to meanwhile. They end with the connect time."""
    dead = [f"dead{n}.net" for n in range(100)]
    async with (
        answering({"alive.net": [["127.0.0.2"]], **{name: [[]] for name in dead}}) as names,
        listening() as listener,
        sending(SECOND, nameservers=[names.address], connect=2.0) as sender,
    ):
        hanging = [asyncio.create_task(sender.send(f"http://{name}/", b"{}", {})) for name in dead]
        await eventually(lambda: _asked_all(names, dead))
        assert isinstance(await sender.send(f"http://alive.net:{listener.port}/", b"{}", {}), Answered)
        assert not any(task.done() for task in hanging)
        said = await asyncio.gather(*hanging)
    assert {getattr(one, "error", "") for one in said} == {"no connection within 2 s"}


async def _asked_all(names: NameServer, wanted: list[str]) -> bool:
    return set(wanted) <= set(names.asked)


async def test_idle_connections_are_bounded() -> None:
    """Many hosts that each keep a connection open cannot use up our descriptors."""
    keep = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with listening(keep) as listener:
        one = Sender(LOOPBACK, connections=6)
        for n in range(1, 9):
            assert isinstance(await one.send(f"http://127.0.0.{n}:{listener.port}/", b"{}", {}), Answered)
        connector = one._session.connector
        assert connector is not None
        assert sum(map(len, connector._conns.values())) == 3
        await one.close()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://10.0.0.1/hook", "refused: 10.0.0.1 is not a public address"),
        ("http://127.0.0.1:{port}/hook", "refused: 127.0.0.1 is not a public address"),
        ("http://localhost:{port}/hook", "refused: localhost has no public address"),
        ("http://2130706433:{port}/hook", "refused: 2130706433 is another spelling of 127.0.0.1; write it so"),
    ],
)
async def test_a_refused_target_is_an_attempt_that_says_so(
    config: Config, db: Connection, conn: Conn, url: str, error: str
) -> None:
    """Through the dispatcher: the schedule goes on, each attempt is on record, and nobody was connected to."""
    async with listening() as listener:
        conn.execute("UPDATE endpoints SET url = %s, retry_schedule = '{0,0}'", [url.format(port=listener.port)])
        await pay(db, config)
        async with dispatching(config, egress_allow="none"):

            async def all_ended() -> list[dict[str, Any]] | None:
                rows = conn.execute("SELECT * FROM deliveries").fetchall()
                return rows if len(rows) == 3 else None

            rows = await eventually(all_ended)
        assert {(row["status"], row["attempts"], row["response_code"]) for row in rows} == {("failed", 2, None)}
        kept = conn.execute("SELECT error, response_code, response_body FROM delivery_attempts").fetchall()
        assert [tuple(row.values()) for row in kept] == [(error, None, None)] * 6
        assert listener.came == []
        await _control(listener)
