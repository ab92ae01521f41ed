"""A short outage of the database costs time, not an error: what it has cut is run again when that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.enums import ScopeType

from kit import db

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send, WebSocketReceiveMessage

    from kit.db import Database

_RUNS = 5  # of one request at most: a database that comes and goes is not worth more
CALLS = "/api/v1/"  # the others tell the truth at once
_READS = {"GET", "HEAD", "OPTIONS"}
_KEY = b"idempotency-key"
_UNAVAILABLE = 503


def patient(
    app: ASGIApp, database: Callable[[], Database], *, calls: str = CALLS, truths: tuple[str, ...] = ()
) -> ASGIApp:
    """ASGI middleware: a request that an outage has cut waits for its end (`Database.outlast`), and is run again.

    Reads always; a POST with an Idempotency-Key, since each is done once for a key, whatever became of the first run;
    any other write only when it had no connection yet. The others get their 503: what became of them, nobody knows.

    Args:
        app: what answers.
        database: whose outages.
        calls: how the paths begin that wait.
        truths: and of these, those that do not.
    """

    def _waits(path: str) -> bool:
        return path.startswith(calls) and not path.startswith(truths)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not _waits(scope["path"]):
            await app(scope, receive, send)
            return
        before, state = dict(scope), scope["state"]
        told = dict(state)
        body = _Body(receive)
        for more in range(_RUNS - 1, -1, -1):
            current = db.Run()
            db.run.set(current)
            held: list[Message] = []
            await app(scope, body.again(), _holding(send, current, held))
            if not held:
                return
            if not more or not _repeatable(before, current) or not await database().outlast():
                break
            rate = {"rate": state["rate"]} if "rate" in state else {}  # it has been counted
            state.clear()
            state.update(told | rate)
            scope.clear()  # type: ignore[attr-defined]
            scope.update(before)  # type: ignore[typeddict-item]
        for message in held:
            await send(message)

    return serve


def _repeatable(scope: dict[str, object], run: db.Run) -> bool:
    if scope["method"] in _READS or not run.sent:
        return True
    headers: list[tuple[bytes, bytes]] = scope["headers"]  # type: ignore[assignment]
    return scope["method"] == "POST" and any(name == _KEY for name, _ in headers)


def _holding(send: Send, run: db.Run, held: list[Message]) -> Send:
    """Pass on what is answered, but keep the 503 of an outage back."""

    async def hold(message: Message) -> None:
        if held or (message["type"] == "http.response.start" and message["status"] == _UNAVAILABLE and run.cut):
            held.append(message)
        else:
            await send(message)

    return hold


class _Body:
    """A request's body, to be received as often as the request is run."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._received: list[HTTPReceiveMessage | WebSocketReceiveMessage] = []

    def again(self) -> Receive:
        """From its beginning."""
        at = 0

        async def receive() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal at
            if at == len(self._received):
                self._received.append(await self._receive())
            at += 1
            return self._received[at - 1]

        return receive
