"""Receive webhooks: verify, answer at once, act on each event once."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from test_merchant.behaviour import OK, Behaviour, json_response
from test_merchant.received import Arrivals, Query, read
from test_merchant.signature import SignatureError, verify

if TYPE_CHECKING:
    from test_merchant.received import Arrival

BODY_LIMIT = 262_144
"""Bytes of a request's body; more is a 413."""
REMEMBERED_IDS = 100_000

log = logging.getLogger("test_merchant")


class Merchant:
    """A shop, as far as webhooks are concerned."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._behaviour = OK
        self._start_over()

    def _start_over(self) -> None:
        self._arrivals = Arrivals()
        # Events already acted on. A real shop makes this a unique column, written in the transaction that
        # ships the goods. A dict rather than a set, because it keeps its order: the oldest id is forgotten.
        self._seen: dict[str, None] = {}
        self._counts: Counter[str] = Counter()
        self._duplicates = self._rejected = 0

    async def webhook(self, request: web.Request) -> web.StreamResponse:
        """`POST /webhook`: 200 for what is genuine, 401 with a reason for the rest."""
        try:
            body = await request.read()  # the exact bytes: JSON that was parsed and written again may differ
        except web.HTTPRequestEntityTooLarge:
            log.warning("webhook -> 413 more than %d bytes", BODY_LIMIT)
            raise
        except (ConnectionError, web.RequestPayloadError):
            log.warning("webhook -> the sender broke off before the end of the body")
            raise web.HTTPBadRequest from None
        arrival = read(request, body)
        try:
            verify(self._secret, request.headers, body, now=time.time())
        except SignatureError as error:
            return self._refuse(arrival, str(error))

        arrival.verified = True
        behaviour = self._next_behaviour(arrival.event)
        # Deliveries come at least once: an id seen before is thanked for, and changes nothing. An event
        # that is answered with an error is not ours yet; it will come again.
        arrival.duplicate = arrival.webhook_id in self._seen
        if arrival.duplicate:
            self._duplicates += 1
        elif behaviour.code < 300:  # noqa: PLR2004 - any 2xx says: it is ours from here on
            self._act(arrival)
        self._arrivals.keep(arrival)
        told = f"told to {behaviour.mode}" if behaviour.mode != "ok" else "received"
        _tell(arrival, f"{behaviour.code} {told}{', a duplicate' if arrival.duplicate else ''}")

        response = await behaviour.answer(request, {"status": "received"})
        if request.transport is not None:
            arrival.status = response.status
        return response

    def _refuse(self, arrival: Arrival, reason: str) -> web.Response:
        arrival.status, arrival.reason = 401, reason
        self._rejected += 1
        self._arrivals.keep(arrival)
        _tell(arrival, f"401 {reason}")
        return json_response({"error": "Invalid signature", "reason": reason}, 401)

    def _act(self, arrival: Arrival) -> None:
        """Where a shop ships or refunds. Slow work belongs into a job of its own, after the answer."""
        self._counts[arrival.event or "unknown"] += 1
        if arrival.webhook_id is not None:
            self._seen[arrival.webhook_id] = None
        if len(self._seen) > REMEMBERED_IDS:
            del self._seen[next(iter(self._seen))]

    def _next_behaviour(self, event: str | None) -> Behaviour:
        behaviour = self._behaviour
        if not behaviour.applies_to(event):
            return OK
        self._behaviour = behaviour.after_one()
        return behaviour

    async def received(self, request: web.Request) -> web.Response:
        """`GET /received`: arrivals, newest first; and how many events of each type were acted on."""
        try:
            query = msgspec.convert(dict(request.query), Query, strict=False)
        except msgspec.ValidationError as error:
            return json_response({"error": "Invalid query", "reason": str(error)}, 400)
        found = self._arrivals.find(query)
        answer = {
            "data": found[: query.limit],
            "total": len(found),
            "counts": self._counts,
            "duplicates": self._duplicates,
            "rejected": self._rejected,
        }
        return json_response(answer)

    async def forget(self, _: web.Request) -> web.Response:
        """`DELETE /received`: start over, as if nothing had ever come; the behaviour stays."""
        deleted = len(self._arrivals)
        self._start_over()
        return json_response({"deleted": deleted})

    async def show_behaviour(self, _: web.Request) -> web.Response:
        """`GET /behaviour`: how the next webhook will be answered."""
        return json_response(self._behaviour)

    async def set_behaviour(self, request: web.Request) -> web.Response:
        """`PUT /behaviour`: how webhooks are answered from now on; requests already held stay held."""
        try:
            self._behaviour = msgspec.json.decode(await request.read(), type=Behaviour)
        except ValueError as error:  # msgspec's own errors, and bytes that are no UTF-8
            return json_response({"error": "Invalid behaviour", "reason": str(error)}, 400)
        return json_response(self._behaviour)

    async def health(self, _: web.Request) -> web.Response:
        """`GET /health`."""
        return json_response({"status": "running"})


def make_app(secret: str) -> web.Application:
    """The receiver for one webhook secret (with its `whsec_`), ready for `web.run_app` or a test server."""
    merchant = Merchant(secret)
    # What is signed is what is on the wire, so nothing may unpack it first.
    app = web.Application(client_max_size=BODY_LIMIT, handler_args={"auto_decompress": False})
    app.add_routes(
        [
            web.post("/webhook", merchant.webhook),
            web.get("/received", merchant.received),
            web.delete("/received", merchant.forget),
            web.get("/behaviour", merchant.show_behaviour),
            web.put("/behaviour", merchant.set_behaviour),
            web.get("/health", merchant.health),
        ]
    )
    return app


def _tell(arrival: Arrival, outcome: str) -> None:
    """One line a webhook; what could confuse a terminal is quoted."""
    words = (arrival.event or "webhook", arrival.webhook_id or "-")
    event, webhook_id = (word if word.isprintable() else ascii(word) for word in words)
    log.info("%s %s attempt %s -> %s", event, webhook_id, arrival.attempt or "-", outcome)
