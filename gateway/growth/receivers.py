"""Make up what became of deliveries: receivers that are well, slow, down for an afternoon, or dead."""

from __future__ import annotations

import html
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.growth.business import Event, micros, moment
from kit import signing

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random


Character = Literal["well", "slow", "was_down", "fails", "dead"]

SCHEDULE = (0, 60, 300, 1800, 7200)
"""Seconds before each attempt, as `dispatcher.schedule` has them by default."""

_SECOND = 1_000_000
_GATEWAY_TIMEOUT, _UNAVAILABLE, _ERROR = 504, 503, 500
_WORDS = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of the demo, and how its server behaves. Times in microseconds."""

    endpoint_id: str
    url: str
    secret: str
    events: tuple[str, ...]
    character: Character
    bad_from: int = 0
    bad_until: int = 0
    """When it was down; up to `bad_until`, exclusive."""
    ends: int | None = None
    """When it was disabled: nothing is owed to it from then on."""
    recovered_at: int | None = None
    """When what had failed was sent again,"""
    recovered_until: int = 0
    """of events before that time."""
    known: bool = False
    """It was there before: what was told of it is not told again."""

    def wants(self, event: Event) -> bool:
        """Whether the event was owed to it."""
        family = event.type.partition(".")[0] + ".*"
        alive = self.ends is None or event.at < self.ends
        return alive and event.subject_id != self.endpoint_id and not {"*", family, event.type}.isdisjoint(self.events)


class Try(msgspec.Struct):
    """One attempt."""

    claim: int
    number: int
    at: int
    duration_ms: int
    request_headers: str
    code: int | None = None
    headers: str | None = None
    body: bytes | None = None
    error: str | None = None

    @property
    def good(self) -> bool:
        """A 2xx."""
        return self.code is not None and 200 <= self.code < 300  # noqa: PLR2004


class Sent(msgspec.Struct):
    """A delivery and all that became of it."""

    id: str
    event: Event
    endpoint_id: str
    status: Literal["pending", "success", "failed"]
    tries: list[Try]
    attempts: int
    """Since it was last started over."""
    ended_at: int
    """When it was finished; when it is next tried, if it is pending."""
    again: bool = False
    """It was sent again by the recovery."""


class Post:
    """Sends events that nobody ever sent."""

    def __init__(self, *, now: datetime, chance: Random, agent: str) -> None:
        self._now = micros(now)
        self._chance = chance
        self._agent = agent

    def send(self, event: Event, receiver: Receiver, ordinal: int) -> Sent:
        """What became of an event at one receiver; `ordinal` counts those that wanted it."""
        delivery_id = f"dlv_{event.id[4:28]}{_two(ordinal)}"
        sent = Sent(delivery_id, event, receiver.endpoint_id, "pending", [], 0, event.at)
        self._try(sent, receiver, event.at + self._chance.randrange(8_000, 60_000))
        if sent.status == "failed" and receiver.recovered_at is not None and event.at < receiver.recovered_until:
            sent.again, sent.status = True, "pending"
            self._try(sent, receiver, receiver.recovered_at + self._chance.randrange(90 * _SECOND))
        return sent

    def _try(self, sent: Sent, receiver: Receiver, at: int) -> None:
        for number in range(1, len(SCHEDULE) + 1):
            if at >= self._now:
                sent.ended_at = at
                return
            if receiver.ends is not None and at >= receiver.ends:
                sent.status, sent.ended_at = "failed", receiver.ends + self._chance.randrange(_SECOND)
                return
            one = self._answer(sent, receiver, number, at)
            sent.tries.append(one)
            sent.attempts = number
            ended = at + one.duration_ms * 1000
            if one.good or number == len(SCHEDULE):
                sent.status, sent.ended_at = "success" if one.good else "failed", ended
                return
            at = ended + int(SCHEDULE[number] * _SECOND * (1 + 0.1 * self._chance.random()))

    def _answer(self, sent: Sent, receiver: Receiver, number: int, at: int) -> Try:
        chance = self._chance
        claim = len(sent.tries) + 1
        headers = self._headers(sent, receiver, number, at)
        one = Try(claim, number, at, 0, headers)
        down = receiver.bad_from <= at < receiver.bad_until
        match receiver.character:
            case "well" if chance.random() < 0.003:  # noqa: PLR2004 - a deployment
                _page(one, 502, "nginx/1.24.0", chance.randrange(4, 40))
            case "well":
                _json(one, {"status": "received"}, chance.lognormvariate(3.6, 0.45), "Python/3.12 aiohttp/3.13.2")
            case "slow" if chance.random() < 0.025:  # noqa: PLR2004
                one.duration_ms, one.error = chance.randrange(10_000, 10_040), "no full answer within 10 s"
            case "slow":
                took = min(chance.lognormvariate(7.9, 0.5), 9_800)
                _json(one, {"ok": True, "queued": chance.random() < 0.3}, took, "Apache-Coyote/1.1")  # noqa: PLR2004
            case "was_down" if down:
                _page(one, _UNAVAILABLE if chance.random() < 0.8 else _GATEWAY_TIMEOUT, "nginx",  # noqa: PLR2004
                      chance.randrange(2, 90))  # fmt: skip
            case "was_down" if chance.random() < 0.012:  # noqa: PLR2004
                trace = {"error": "Internal Server Error", "message": "deadlock detected", "requestId": _hex(chance, 8)}
                _json(one, trace, chance.lognormvariate(5.6, 0.5), "Express", code=_ERROR)
            case "was_down":
                _json(one, {"received": True}, chance.lognormvariate(4.6, 0.4), "Express", code=202)
            case "fails" if down:
                said = {"statusCode": 500, "error": "TypeError", "message": "Cannot read properties of undefined "
                        "(reading 'vpa')"}  # fmt: skip
                _json(one, said, chance.lognormvariate(4.2, 0.4), "cloudflare", code=_ERROR)
            case "dead" if down:
                one.duration_ms, one.error = chance.randrange(1, 60), "no connection: connection refused"
            case _:
                _json(one, None, chance.lognormvariate(4.4, 0.5), "gunicorn", code=204)
        return one

    def _headers(self, sent: Sent, receiver: Receiver, number: int, at: int) -> str:
        body, stamp = sent.event.body.encode(), at // _SECOND
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            "X-Webhook-Signature": signing.plain(receiver.secret, body),
            "X-Webhook-Event": sent.event.type,
            "X-Webhook-Id": sent.id,
            "X-Webhook-Attempt": str(number),
            "webhook-id": sent.event.id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signing.standard([receiver.secret], sent.event.id, stamp, body),
        }
        return msgspec.json.encode(headers).decode()


def _json(one: Try, said: object, took: float, server: str, *, code: int = 200) -> None:
    one.code, one.duration_ms = code, max(2, int(took))
    one.body = None if said is None else msgspec.json.encode(said)
    headers = {"Date": _date(one)} | ({"X-Powered-By": server} if server == "Express" else {"Server": server})
    if one.body is not None:
        headers |= {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(one.body))}
    one.headers = msgspec.json.encode(headers | {"Connection": "keep-alive"}).decode()


def _page(one: Try, code: int, server: str, took: int) -> None:
    title = html.escape(f"{code} {_WORDS[code]}")
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        f"<hr><center>{server}</center>\r\n</body>\r\n</html>\r\n"
    )
    one.code, one.duration_ms, one.body = code, took, page.encode()
    headers = {"Server": server, "Date": _date(one), "Content-Type": "text/html", "Content-Length": str(len(page))}
    one.headers = msgspec.json.encode(headers | {"Connection": "keep-alive"}).decode()


def _date(one: Try) -> str:
    return f"{moment(one.at) + timedelta(milliseconds=one.duration_ms):%a, %d %b %Y %H:%M:%S GMT}"


def _hex(chance: Random, size: int) -> str:
    return f"{chance.getrandbits(size * 4):0{size}x}"


def _two(ordinal: int) -> str:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return alphabet[ordinal // 32] + alphabet[ordinal % 32]
