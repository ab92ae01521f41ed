"""Send one webhook over HTTP: bounded in time and bytes, redirects not followed, the answer as a value."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from outbox.deliveries import BODY_KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT = 3.0
TOTAL_TIMEOUT = 10.0
_HEADER_LIMIT = 16 * 1024  # bytes of one response header; aiohttp refuses more
_HEADERS_KEPT = 50
_MAX_RETRY_AFTER = 7 * 24 * 3600


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

    def __init__(self, *, connections: int) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=30, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=TOTAL_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered | Unreachable:
        """POST `body`; within 3 s a connection, within 10 s all of it."""
        started = time.perf_counter()
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                text = await _read(response)
                return Answered(
                    response.status,
                    {clean(name): clean(value) for name, value in list(response.headers.items())[:_HEADERS_KEPT]},
                    text,
                    _retry_after(response.headers.get("Retry-After")),
                    time.perf_counter() - started,
                )
        except TimeoutError as error:
            kind = f"no connection within {CONNECT_TIMEOUT:g} s"
            if not isinstance(error, aiohttp.ConnectionTimeoutError):
                kind = f"no full answer within {TOTAL_TIMEOUT:g} s"
            return Unreachable(kind, time.perf_counter() - started)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: a URL or an answer that aiohttp cannot read.
            return Unreachable(clean(f"{type(error).__name__}: {error}")[:500], time.perf_counter() - started)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        await asyncio.sleep(0)


def clean(text: str) -> str:
    """Text that JSON and PostgreSQL take: foreign bytes and NUL replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "\ufffd")


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
    """Seconds; the date form of RFC 9110 is rare in answers to machines, and counts as none."""
    if value is None or not (value.isascii() and value.isdigit()):
        return None
    return float(min(int(value[:9]), _MAX_RETRY_AFTER))
