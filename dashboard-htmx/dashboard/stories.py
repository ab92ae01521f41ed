"""A payment's timeline in words: what happened, who said so, and where to look further."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from dashboard import typed, words, zones
from gateway.checkout.amounts import shown as money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from zoneinfo import ZoneInfo

    from dashboard.reading.timeline import Entry, Source

OURS = "dashboard-"
"""How the idempotency keys of the dashboard's own forms begin."""

Tone = Literal["good", "bad", "wait", "calm"]
_TONES: dict[str | None, Tone] = {"good": "good", "bad": "bad", "waiting": "wait", None: "calm"}
_STATES = {
    "payment.pending": "Payment pending",
    "payment.success": "Payment succeeded",
    "payment.failed": "Payment failed",
    "payment.captured": "Captured {amount}",
    "refund.created": "Refund of {amount} asked for",
    "refund.processed": "Refund of {amount} processed",
    "refund.failed": "Refund of {amount} failed",
    "order.paid": "Order paid",
}
_ANSWERS = {
    "payment.approved": "Processor approved the payment",
    "payment.declined": "Processor declined the payment",
    "refund.approved": "Processor sent the money back",
    "refund.declined": "Processor declined the refund",
}
_WORK = {
    "payment.process": "The processor is asked about the payment",
    "refund.process": "The processor is asked to refund",
}
_CALLS = {
    "POST /payments": "Payment created",
    "POST /capture": "Capture asked for",
    "POST /refunds": "Refund asked for",
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the story. Every text may hold what strangers wrote."""

    at: datetime
    source: str
    title: str
    tone: Tone = "calm"
    minor: bool = False
    """Of what follows from the rest: events and what went well with their deliveries."""
    text: str = ""
    code: str = ""
    """In the type of code: an id, a call."""
    href: str = ""
    """Where to look further,"""
    link: str = ""
    """and what is to be seen there."""
    due: bool = False
    """It has not happened yet."""

    @property
    def when(self) -> When:
        """When it happened, as the page writes it."""
        return _when(self.at, zones.reader())


class When(NamedTuple):
    """A moment, in each way in which a step needs it."""

    address: str
    """For the page as it was just then."""
    iso: str
    both: str
    clock: str


@functools.lru_cache(maxsize=1000)  # what happened at once makes several steps, and a page is looked at more than once
def _when(at: datetime, zone: ZoneInfo) -> When:  # noqa: ARG001 - the words are this reader's
    return When(typed.address(at), words.iso(at), words.both(at), words.clock(at))


class Day(NamedTuple):
    """The steps of one day, the reader's."""

    at: datetime
    steps: list[Step]


def days(entries: Iterable[Entry], currency: str) -> list[Day]:
    """The story by days; what has still to come stands at the end, on no day."""
    made: list[Day] = []
    for entry in entries:
        step = tell(entry, currency)
        if not made or made[-1].steps[-1].due != step.due or _day(made[-1].at) != _day(step.at):
            made.append(Day(step.at, []))
        made[-1].steps.append(step)
    return made


def tell(entry: Entry, currency: str) -> Step:
    """One entry in words."""
    return _TELLERS[entry.source](entry, currency)


def _call(entry: Entry, _currency: str) -> Step:
    key = entry.detail or ""
    title = _CALLS.get(entry.what, entry.what)
    if key.startswith(OURS):
        return Step(at=entry.at, source="Dashboard", title=title)
    answered = f"answered {entry.code}" if entry.code else ""
    text = " · ".join(filter(None, (answered, f"Idempotency-Key {key}" if key else "")))
    path = entry.what.removeprefix("POST ")
    path = path if path == "/payments" else f"/payments/…{path}"
    return Step(at=entry.at, source="API call", title=title, code=f"POST /api/v1{path}", text=text)


def _state(entry: Entry, currency: str) -> Step:
    amount = money(entry.amount, currency) if entry.amount is not None else ""
    title = _STATES.get(entry.what, entry.what).format(amount=amount)
    code = "" if entry.what.startswith("payment.") else entry.subject_id
    tone = _TONES[entry.outcome]
    return Step(at=entry.at, source="Ledger", title=title, tone=tone, text=entry.detail or "", code=code)


def _answer(entry: Entry, _currency: str) -> Step:
    text = entry.detail or ""
    if text and entry.outcome == "good":
        text = f"Its reference: {text}"
    title = _ANSWERS.get(entry.what, entry.what)
    return Step(at=entry.at, source="Processor", title=title, tone=_TONES[entry.outcome], text=text)


def _event(entry: Entry, _currency: str) -> Step:
    count = entry.deliveries or 0
    text = f"For {count} endpoint{'s' if count > 1 else ''}" if count else "No endpoint wants it"
    href = f"/dashboard/events/{entry.id}"
    return Step(at=entry.at, source="Event", title=entry.what, minor=True, text=text, href=href, link="Body")


def _to_do(entry: Entry, _currency: str) -> Step:
    text = "It is being done now" if entry.detail else _tries(entry.number)
    title = _WORK.get(entry.what, entry.what)
    return Step(at=entry.at, source="Next", title=title, tone="wait", text=text, due=True)


def _attempt(entry: Entry, _currency: str) -> Step:
    tone = _TONES[entry.outcome]
    said = f"answered {entry.code}" if entry.code is not None else "no answer"
    took = f"in {entry.duration_ms:,} ms" if entry.duration_ms is not None else ""
    detail = entry.detail if entry.outcome == "bad" else None
    text = " · ".join(filter(None, (f"{_host(entry)} {said} {took}".strip(), detail)))
    return Step(
        at=entry.at, source="Webhook", title=f"{entry.what}, attempt {entry.number}", tone=tone,
        minor=entry.outcome == "good", text=text, href=f"/dashboard/webhooks/{entry.id}", link="Delivery",
    )  # fmt: skip


def _delivery(entry: Entry, _currency: str) -> Step:
    tone = _TONES[entry.outcome]
    href, link = f"/dashboard/webhooks/{entry.id}", "Delivery"
    if entry.outcome == "bad":
        title = f"{entry.what} was given up"
        text = f"{_host(entry)} · after {entry.number} attempt{'s' if entry.number != 1 else ''}"
        return Step(at=entry.at, source="Webhook", title=title, tone=tone, text=text, href=href, link="Look and retry")
    due = entry.at > datetime.now(UTC)
    title = f"{entry.what} will be sent again" if entry.number else f"{entry.what} is on its way"
    text = f"{_host(entry)} · {_tries(entry.number)}".rstrip(" ·")
    return Step(at=entry.at, source="Webhook", title=title, tone=tone, text=text, href=href, link=link, due=due)


def _host(entry: Entry) -> str:
    if entry.endpoint_url is None:
        return "An endpoint that is no longer there"
    try:
        return urlsplit(entry.endpoint_url).netloc.rpartition("@")[2] or entry.endpoint_url
    except ValueError:
        return entry.endpoint_url


def _tries(number: int | None) -> str:
    return f"{number} time{'s' if number > 1 else ''} so far" if number else ""


def _day(at: datetime) -> object:
    return zones.here(at).date()


_TELLERS: dict[Source, Callable[[Entry, str], Step]] = {
    "api": _call,
    "ledger": _state,
    "processor": _answer,
    "event": _event,
    "attempt": _attempt,
    "delivery": _delivery,
    "to_do": _to_do,
}
