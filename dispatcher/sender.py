"""Send one webhook over HTTP: to public addresses, bounded in time and bytes, the answer as a value."""

from __future__ import annotations

import asyncio
import functools
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from yarl import URL

from dispatcher import redaction
from dispatcher.connections import Connections
from dispatcher.failures import FAILURES, tell
from kit.egress import RefusedError, Rules
from kit.lookup import Lookup
from outbox.deliveries import BODY_KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONNECT_TIMEOUT = 3.0
TOTAL_TIMEOUT = 10.0
_HEADER_LIMIT = 16 * 1024  # bytes of one response header; aiohttp refuses more
_HEADERS_LIMIT = 100
_HEADERS_KEPT = 50
_MAX_RETRY_AFTER = 7 * 24 * 3600
_DNS_TTL = 30
_REMEMBERED = 4096  # judged URLs
_EXACT = 3600.0  # aiohttp rounds time-outs above this many seconds up to whole ones


class Answered(msgspec.Struct, frozen=True):
    """The receiver answered."""

    status: int
    headers: dict[str, str]
    body: bytes
    """First 16 KiB."""
    retry_after: float | None
    duration: float


class Unreachable(msgspec.Struct, frozen=True):
    """No answer: refused, timed out, broken off, or not HTTP."""

    error: str
    duration: float


class Sender:
    """Holds the connections to receivers. Open it within the event loop; close it with the loop still running."""

    def __init__(
        self,
        rules: Rules,
        *,
        connections: int,
        connect: float = CONNECT_TIMEOUT,
        total: float = TOTAL_TIMEOUT,
        nameservers: Sequence[str] | None = None,
        dns_ttl: int = _DNS_TTL,
    ) -> None:
        """Set up.

        Args:
            rules: what may be connected to.
            connections: requests that are on their way at once; others wait, within their total time.
            connect: seconds for look-up, connection and TLS together.
            total: seconds for everything.
            nameservers: `address:port` of each, instead of the machine's.
            dns_ttl: seconds for which a name's addresses are kept.
        """
        self._connect = connect
        self._total = total
        self._lookup = Lookup(rules, nameservers=nameservers)
        self._judged = functools.lru_cache(_REMEMBERED)(functools.partial(_judge, rules))
        self._session = aiohttp.ClientSession(
            connector=Connections(rules, self._lookup, limit=connections, within=connect, dns_ttl=dns_ttl),
            timeout=aiohttp.ClientTimeout(total=total, ceil_threshold=_EXACT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
            max_headers=_HEADERS_LIMIT,
            read_bufsize=BODY_KEPT,
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered | Unreachable:
        """POST `body`; within 3 s a connection, within 10 s all of it. A redirect is an answer, and not followed."""
        started = time.perf_counter()
        status: int | None = None
        try:
            target = self._judged(url)
            async with self._session.post(target, data=body, headers=headers, allow_redirects=False) as response:
                status = response.status
                text = await _read(response)
                return Answered(
                    status,
                    {
                        clean(name): redaction.shown(name, clean(value))
                        for name, value in list(response.headers.items())[:_HEADERS_KEPT]
                    },
                    text,
                    _retry_after(response.headers.get("Retry-After")),
                    time.perf_counter() - started,
                )
        except FAILURES as error:
            told = tell(error, connect=self._connect, total=self._total)
            if status is not None:
                told = f"answered {status}, but {told}"
            return Unreachable(clean(told)[:500], time.perf_counter() - started)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        await self._lookup.close()
        await asyncio.sleep(0)


def clean(text: str) -> str:
    """Text that JSON and PostgreSQL take: foreign bytes and NUL replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "\ufffd")


def _judge(rules: Rules, url: str) -> URL:
    """The URL as aiohttp reads it.

    Raises:
        RefusedError: it may not be sent to, or can be read in two ways.
    """
    target, parsed = rules.read(url), URL(url)
    if (parsed.raw_host or "").lower() != str(target.address or target.host) or parsed.port != target.port:
        raise RefusedError("the URL can be read in two ways")
    return parsed


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body's first 16 KiB; a longer one costs its connection, not our memory."""
    parts: list[bytes] = []
    size = 0
    while size < BODY_KEPT:
        part = await response.content.read(BODY_KEPT - size)
        if not part:
            break
        parts.append(part)
        size += len(part)
    if not response.content.at_eof():
        response.close()
    return b"".join(parts)


def _retry_after(value: str | None) -> float | None:
    """Seconds, from either form of RFC 9110, 10.2.3; what is neither counts as none."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(min(int(value[:9]), _MAX_RETRY_AFTER))
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is GMT, as RFC 9110 has all dates.
    left = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(left, 0.0), float(_MAX_RETRY_AFTER))
