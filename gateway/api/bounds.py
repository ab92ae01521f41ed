"""What a request may cost: bytes of headers, seconds until its body is here, seconds until it is answered."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import msgspec
from litestar.enums import ScopeType

from gateway.errors import HeadersTooLargeError, LedgateError, RequestTimeoutError, UnavailableError

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send, WebSocketReceiveMessage

HEADERS = 32 * 1024
"""Bytes of all request headers; the server in front reads no more than 64 KiB."""


class Refuse(Protocol):
    """How what is outside of the framework refuses."""

    async def __call__(self, scope: Scope, send: Send, error: LedgateError, *more: tuple[bytes, bytes]) -> None:
        """Answer an error; `more` are headers."""


async def refuse_in_json(scope: Scope, send: Send, error: LedgateError, *more: tuple[bytes, bytes]) -> None:
    """In the shape of all the API's errors."""
    state = scope["state"]
    state["error_code"] = error.code
    body = msgspec.json.encode(error.body(str(state.get("request_id", ""))))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    if isinstance(error, UnavailableError):
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def bounded(app: ASGIApp, *, body: float, total: float, refuse: Refuse = refuse_in_json) -> ASGIApp:
    """ASGI middleware: 431, 408 or 503 for what is too large or too slow.

    Args:
        app: what is bounded.
        body: seconds within which the request's body must have arrived.
        total: seconds within which the answer must have begun and ended.
        refuse: answers what is not.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS:
            await refuse(scope, watch, HeadersTooLargeError(f"more than {HEADERS} bytes of headers"))
            return
        try:
            async with asyncio.timeout(total):
                await app(scope, _timed(receive, body), watch)
        except TimeoutError:
            # Cancelled within a statement, that statement was too: nothing is half done, and all of it may be.
            if started:
                raise
            description = f"not answered within {total:g} s; nothing was done, or all of it"
            await refuse(scope, watch, UnavailableError(description, reason="request_timeout"))

    return serve


def _timed(receive: Receive, seconds: float) -> Receive:
    """The same, and every part of the body within that many seconds of the beginning."""
    deadline = time.monotonic() + seconds
    arrived = False

    async def within() -> HTTPReceiveMessage | WebSocketReceiveMessage:
        nonlocal arrived
        if arrived:
            return await receive()  # a wait for the client to go away
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise RequestTimeoutError(f"the body did not arrive within {seconds:g} s") from None
        arrived = message["type"] != "http.request" or not message.get("more_body")
        return message

    return within
