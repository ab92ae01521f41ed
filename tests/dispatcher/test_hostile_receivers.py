"""Receivers that mean no good: each attempt ends within its bounds, in time and in memory, and says what happened."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import re
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dispatcher.sender import Answered, Sender, Unreachable
from gateway.config import Config
from gateway.secrets import make_sealer
from kit import egress
from kit.db import Connection
from outbox import endpoints
from outbox.deliveries import BODY_KEPT
from tests.dispatcher.test_delivery import dispatching
from tests.support.hostile import (
    Script,
    deaf,
    dripping,
    flooding,
    hostile,
    resetting,
    saying,
    self_signed,
    silent,
    slamming,
)
from tests.support.paying import MERCHANT, pay
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]
LOOPBACK = egress.Rules(allow=egress.networks(egress.LOOPBACK))
LATE = "no full answer within 0.5 s"
BUT_LATE = "answered 200, but no full answer within 1 s"
AMPLE = 10.0  # seconds, where something other than the time has to end it
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CALM = HEAD + b"Content-Length: 2\r\n\r\nok"
BIG = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # more than the kernel would buffer
BOMB = gzip.compress(bytes(12_000_000))


async def attempt(url: str, body: bytes = b"{}", *, within: float = AMPLE) -> Answered | Unreachable:
    """One attempt; it must end by itself."""
    one = Sender(LOOPBACK, connections=1, connect=within, total=within)
    try:
        async with asyncio.timeout(30):
            return await one.send(url, body, {})
    finally:
        await one.close()


UNREACHABLE: dict[str, tuple[Script, str]] = {
    "never answers": (silent, LATE),
    "never reads": (deaf, LATE),
    "drips a head": (dripping(HEAD + b"X: ", b"y", every=0.02), LATE),
    "drips headers": (dripping(HEAD, b"X: y\r\n", every=0.02), LATE),
    "drips 1xx": (dripping(b"", b"HTTP/1.1 102 Wait\r\n\r\n", every=0.02), LATE),
    "drips a body": (dripping(HEAD + b"Content-Length: 999\r\n\r\n", b"y", every=0.02), BUT_LATE),
    "drips chunks": (dripping(CHUNKED, b"1\r\ny\r\n", every=0.02), BUT_LATE),
    "ends a body never": (saying(HEAD + b"\r\nhalf", hang=True), BUT_LATE),
    "many headers": (flooding(HEAD, b"X: y\r\n" * 100), "no HTTP that can be read: Too many headers received"),
    "big headers": (flooding(HEAD, b"X: " + b"y" * 9000 + b"\r\n"), "the answer has more than 64 KiB of headers"),
    "one endless header": (flooding(HEAD + b"X: ", b"y" * 9000), "no HTTP that can be read: "),
    "an endless name": (flooding(HEAD, b"y" * 9000), "no HTTP that can be read: "),
    "an endless reason": (flooding(b"HTTP/1.1 200 ", b"y" * 9000), "no HTTP that can be read: "),
    "1xx without end": (
        flooding(b"", b"HTTP/1.1 100 Go on\r\n\r\n" * 50),
        "the answer has more than 64 KiB of headers",
    ),
    "1xx with headers": (
        flooding(b"", b"HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\n" * 50),
        "the answer has more than 64 KiB of headers",
    ),
    "blank lines": (flooding(b"", b"\r\n" * 5000), "the answer has more than 64 KiB of headers"),
    "a chunk's extension": (
        flooding(CHUNKED + b"1;x=", b"y" * 9000),
        "answered 200, but the answer has more than 256 KiB around a body",
    ),
    "endless trailers": (
        flooding(CHUNKED + b"2\r\nok\r\n0\r\n", b"X: y\r\n" * 100),
        "answered 200, but |no HTTP that can be read: ",
    ),
    "leading zeros of a chunk": (flooding(CHUNKED, b"0" * 9000), ""),
    "reset at connect": (slamming, "the connection "),
    "reset before an answer": (resetting(), "the connection "),
    "reset amid headers": (resetting(HEAD + b"X: "), "the connection "),
    "reset amid a body": (resetting(HEAD + b"Content-Length: 9\r\n\r\nhalf"), "answered 200, but its body broke off: "),
    "closed at once": (saying(), "the connection was closed before an answer"),
    "closed amid headers": (saying(HEAD + b"X: y"), "the connection was closed before an answer"),
    "closed amid a body": (saying(HEAD + b"Content-Length: 9\r\n\r\nhalf"), "answered 200, but its body broke off: "),
    "closed amid chunks": (saying(CHUNKED + b"5\r\nha"), "answered 200, but its body broke off: "),
    "a length below zero": (saying(HEAD + b"Content-Length: -1\r\n\r\nok"), "no HTTP that can be read: "),
    "a length that is none": (saying(HEAD + b"Content-Length: 2x\r\n\r\nok"), "no HTTP that can be read: "),
    "a length beyond all": (
        saying(HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nok"),
        "no HTTP that can be read: ",
    ),
    "two lengths": (
        saying(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        "no HTTP that can be read: ",
    ),
    "chunks that are none": (saying(CHUNKED + b"zz\r\nok\r\n0\r\n\r\n"), "no HTTP that can be read: "),
    "HTTP/0.9": (saying(b"<html>hello</html>"), "no HTTP that can be read: "),
    "HTTP/2": (saying(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), "no HTTP that can be read: "),
    "SSH": (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "no HTTP that can be read: "),
    "TLS for plain": (saying(b"\x15\x03\x01\x00\x02\x02\x46"), "no HTTP that can be read: "),
}


@BIG
@pytest.mark.parametrize("name", UNREACHABLE)
async def test_an_answer_that_is_none_ends_within_its_bounds_and_says_why(name: str) -> None:
    script, told = UNREACHABLE[name]
    named = re.search(r"within (\S+) s", told)
    async with hostile(script) as url:
        within = float(named[1]) if named else AMPLE
        said = await attempt(url, bytes(4_000_000) if script is deaf else b"{}", within=within)
    assert isinstance(said, Unreachable), said
    assert said.error.startswith(tuple(told.split("|")))
    assert len(said.error) <= 500
    assert "\n" not in said.error


@pytest.mark.parametrize(
    ("script", "status", "body"),
    [
        (flooding(HEAD + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536, most=1 << 30), 200, b"x" * BODY_KEPT),
        (flooding(HEAD + b"\r\n", b"x" * 65536), 200, b"x" * BODY_KEPT),
        (flooding(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"), 200, b"x" * BODY_KEPT),
        (flooding(CHUNKED, b"1\r\nx\r\n" * 1000), 200, b"x" * BODY_KEPT),
        (saying(HEAD + b"Content-Length: 16384\r\n\r\n" + b"x" * 16384), 200, b"x" * BODY_KEPT),
        (saying(HEAD + b"Content-Encoding: gzip\r\n\r\n" + BOMB), 200, BOMB[:BODY_KEPT]),
        (saying(b"HTTP/1.1 100 Continue\r\n\r\n" * 5 + CALM), 200, b"ok"),
        (saying(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"x" * 99), 101, b""),
        (saying(b"HTTP/1.0 200 OK\r\n\r\nold"), 200, b"old"),
        (saying(b"HTTP/1.1 204 None\r\n\r\n"), 204, b""),
    ],
)  # fmt: skip
async def test_a_strange_answer_is_kept_as_far_as_it_is_wanted(script: Script, status: int, body: bytes) -> None:
    async with hostile(script) as url:
        said = await attempt(url)
    assert isinstance(said, Answered), said
    assert (said.status, said.body) == (status, body)


async def test_tls_is_verified(tmp_path: Path) -> None:
    async with hostile(saying(CALM), tls=self_signed(tmp_path)) as url:
        said = await attempt(url)
    assert isinstance(said, Unreachable)
    assert said.error == "TLS: the certificate is not trusted: self-signed certificate"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (slamming, "no connection: |TLS: |the connection "),
        (silent, "no connection within 0.4 s"),
        (saying(b"HTTP/1.1 200 OK\r\n\r\n"), "no connection within 0.4 s"),
    ],
)
async def test_a_receiver_that_does_not_speak_tls_is_no_connection(script: Script, told: str) -> None:
    async with hostile(script) as url:
        one = Sender(LOOPBACK, connections=1, connect=0.4, total=AMPLE)
        said = await one.send(url.replace("http:", "https:"), b"{}", {})
        await one.close()
    assert isinstance(said, Unreachable)
    assert said.error.startswith(tuple(told.split("|")))


async def test_a_receiver_that_speaks_at_once_and_not_tls_is_told_so() -> None:
    async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n" * 10)
        await writer.drain()
        await asyncio.Event().wait()

    async with hostile(shout) as url:
        said = await attempt(url.replace("http:", "https:"))
    assert isinstance(said, Unreachable)
    assert said.error.startswith("TLS: ")


async def test_an_answer_after_the_time_out_is_not_the_next_one_s() -> None:
    """The late 200 goes to a connection that is closed; the next attempt has one of its own."""
    answers = [HEAD, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]
    over = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = answers.pop(0)
        if answer is HEAD:
            await over.wait()
        writer.write(answer)
        await writer.drain()

    async with hostile(late) as url:
        one = Sender(LOOPBACK, connections=1, total=1.0)
        first = await one.send(url, b"{}", {})
        over.set()
        second = await one.send(url, b"{}", {})
        await one.close()
    assert isinstance(first, Unreachable)
    assert first.error == "no full answer within 1 s"
    assert isinstance(second, Answered)
    assert second.status == 503


@pytest.mark.parametrize(
    "extra",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"more than was announced",
        b"HTTP/1.1 100 Go on\r\n\r\n",
        b"\r\n",
    ],
)
async def test_what_nobody_asked_for_is_never_the_next_answer(extra: bytes) -> None:
    """A receiver that says more than it announced, or answers twice: the connection is closed and not used again."""
    ended = asyncio.Event()
    served = 0

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await reader.readuntil(b"\r\n\r\n")
        if served == 2:
            writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        writer.write(CALM)
        await writer.drain()
        await answered.wait()
        writer.write(extra)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()

    answered = asyncio.Event()
    async with hostile(twice) as url:
        one = Sender(LOOPBACK, connections=1, connect=5, total=5)
        first = await one.send(url, b"", {})
        answered.set()
        await asyncio.wait_for(ended.wait(), 5)
        second = await one.send(url, b"", {})
        await one.close()
    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert (first.status, second.status) == (200, 500)


async def test_more_than_was_announced_in_one_breath_is_no_http() -> None:
    """Where the receiver's words end cannot be known, so that not even the first ones are believed."""
    async with hostile(saying(HEAD + b"Content-Length: 1\r\n\r\nok, and more")) as url:
        said = await attempt(url)
    assert isinstance(said, Unreachable)
    assert said.error.startswith("no HTTP that can be read: ")


@BIG
async def test_a_receiver_that_does_not_read_is_left_at_once() -> None:
    """What is left to write is dropped: closing must not wait for somebody who reads a byte an hour."""
    over, ended = asyncio.Event(), asyncio.Event()
    took = 0

    async def later(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal took
        await over.wait()
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65536):
                took += len(part)
        ended.set()

    async with hostile(later) as url:
        said = await attempt(url, bytes(50_000_000), within=0.5)
        over.set()
        await asyncio.wait_for(ended.wait(), 10)
    assert isinstance(said, Unreachable)
    assert took < 50_000_000


async def test_memory_stays_flat_under_floods() -> None:
    """Forty at once of each flood, in a process of its own: it grows by a megabyte for each, whatever they send."""
    floods = [
        flooding(HEAD + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536, most=1 << 30),
        flooding(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        flooding(CHUNKED + b"1;x=", b"y" * 65536),
        flooding(CHUNKED + b"2\r\nok\r\n0\r\n", b"X: y\r\n" * 100),
        flooding(HEAD, b"X: y\r\n" * 1000),
        flooding(HEAD, b"X: " + b"y" * 9000 + b"\r\n"),
        flooding(HEAD + b"X: ", b"y" * 65536),
        flooding(b"", b"HTTP/1.1 100 Go on\r\n\r\n" * 1000),
        saying(HEAD + b"Content-Encoding: gzip\r\n\r\n" + BOMB * 100),
    ]
    async with contextlib.AsyncExitStack() as stack:
        calm = await stack.enter_async_context(hostile(saying(CALM)))
        urls = [await stack.enter_async_context(hostile(flood)) for flood in floods]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.dispatcher.flooded", calm, *urls, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    before, after = map(int, said.split())
    assert after - before < 48 * 1024, "KiB"


RECORDED: dict[str, tuple[Script, int | None, str | None]] = {
    "never answers": (silent, None, "no full answer within 2 s"),
    "drips": (UNREACHABLE["drips a body"][0], None, "answered 200, but no full answer within 2 s"),
    "a gigabyte": (flooding(HEAD + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536), 200, None),
    "endless headers": (UNREACHABLE["big headers"][0], None, "the answer has more than 64 KiB of headers"),
    "1xx": (UNREACHABLE["1xx without end"][0], None, "the answer has more than 64 KiB of headers"),
    "closed": (saying(), None, "the connection was closed before an answer"),
    "redirect": (saying(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), 302, None),
    "upgrade": (saying(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 101, None),
}


async def test_each_attempt_is_recorded_rightly(
    config: Config, db: Connection, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through one dispatcher, all of them at once, beside a receiver that means well and gets its webhook."""
    monkeypatch.setattr("dispatcher.app.Sender", functools.partial(Sender, connect=2.0, total=2.0))
    conn.execute("DELETE FROM endpoints")
    cases = {**RECORDED, "well": (saying(CALM), 200, None)}
    ids: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        for name, (script, _, _) in cases.items():
            url = await stack.enter_async_context(hostile(script))
            ids[name], _ = await endpoints.add(
                db,
                make_sealer(config),
                bucket=MERCHANT.bucket,
                merchant_id=MERCHANT.merchant_id,
                url=url,
                event_types=["payment.created"],
                retry_schedule=[0],
            )
        await pay(db, config)
        async with dispatching(config):

            async def all_ended() -> bool:
                row = conn.execute("SELECT count(*) AS n FROM deliveries").fetchone()
                return row == {"n": len(cases)}

            await eventually(all_ended)
    rows = conn.execute(
        "SELECT d.endpoint_id, d.status, a.response_code, a.error, a.duration_ms, length(a.response_body) AS kept"
        " FROM deliveries d JOIN delivery_attempts a ON a.delivery_id = d.id"
    ).fetchall()
    found = {row.pop("endpoint_id"): row for row in rows}
    for name, (_, code, error) in cases.items():
        row = found[ids[name]]
        assert (row["response_code"], row["error"]) == (code, error), name
        assert row["status"] == ("success" if code == 200 else "failed"), name
        assert row["duration_ms"] >= (2000 if "full answer" in (error or "") else 0), name
    assert found[ids["a gigabyte"]]["kept"] == BODY_KEPT
