"""What is the matter with an endpoint, in words that its owner can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from dashboard import durations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from dashboard.reading.webhooks import EndpointCard, State
    from outbox.endpoints import Endpoint

STATES: dict[State, tuple[str, str]] = {
    "healthy": ("healthy", "good"),
    "failing": ("failing", "wait"),
    "held_up": ("held up", "bad"),
    "probing": ("probing", "wait"),
    "disabled_by_us": ("turned off", "bad"),
    "disabled": ("off", "calm"),
}
"""How a state is called, and its colour."""

_REFUSED = ("HTTP 401", "HTTP 403")

Mend = Literal["recover", "retry_now", ""]


class Trouble(NamedTuple):
    """Why an endpoint gets nothing, or less than it should."""

    title: str
    """What is: one sentence."""
    why: str
    """Why, as far as it is known; the last part of it is the receiver's own words."""
    then: str
    """What happens by itself."""
    mend: Mend
    """The button that mends it: turn it on and `recover`, or `retry_now`."""


def all_of(cards: Iterable[EndpointCard], now: datetime) -> list[tuple[EndpointCard, Trouble]]:
    """The endpoints that need a look, with what to say of them: those first that get nothing at all."""
    found = [(card, told) for card in cards if (told := of(card, now)) is not None]
    return sorted(found, key=lambda one: STATES[one[0].state][1] != "bad")


def of(card: EndpointCard, now: datetime) -> Trouble | None:
    """What to say of an endpoint; None if its owner need not look at it."""
    return _told(card, now) if card.trouble else None


def _told(card: EndpointCard, now: datetime) -> Trouble:
    one, health = card.endpoint, card.endpoint.health
    more = "+" if card.traffic.open_is == "at_least" else ""
    waiting = f"{card.traffic.open:,}{more} deliveries wait. " if card.traffic.open > 1 else ""
    since = _since(health.failing_since, now)
    failing = _failing(one, since)
    match card.state:
        case "disabled_by_us":
            ago = f" {durations.span((now - one.disabled_at).total_seconds())} ago" if one.disabled_at else ""
            return Trouble(
                f"Ledgate turned it off{ago}, and sends it nothing.",
                _sentence(one.disabled_reason or ""),
                "Its events are kept. When the receiver is mended, turn it on, and it gets what it missed.",
                "recover",
            )
        case "held_up":
            left = (health.probe_at - now).total_seconds() if health.probe_at else 0.0
            return Trouble(
                "Held up: it failed too often, and is spared for a while.",
                failing,
                f"{waiting}One delivery tries it {'in ' + durations.span(left) if left > 1 else 'in a moment'}; "
                f"if that arrives, all follow.{_end(one, now)}",
                "retry_now",
            )
        case "probing":
            return Trouble(
                "Held up, and about to be tried with one delivery.",
                failing,
                f"{waiting}If it arrives, all follow.{_end(one, now)}",
                "retry_now",
            )
        case _:
            return Trouble(
                f"Every attempt has failed{since}." if since else "Every attempt fails.",
                _failing(one),
                f"{waiting}Each is tried again by its schedule.{_end(one, now)}",
                "",
            )


def _failing(one: Endpoint, since: str = "") -> str:
    health = one.health
    times = f"{health.failures:,} failure{'s' if health.failures != 1 else ''} in a row"
    last = _sentence(health.last_error or "unknown")
    hint = " It may have another secret." if health.last_error in _REFUSED else ""
    return f"{times}{since}. The last: {last}{hint}"


def _since(at: datetime | None, now: datetime) -> str:
    return f" for {durations.span((now - at).total_seconds())}" if at else ""


def _end(one: Endpoint, now: datetime) -> str:
    until = one.health.will_be_disabled_at
    if until is None:
        return ""
    left = (until - now).total_seconds()
    return f" If nothing arrives, Ledgate turns it off {'in ' + durations.span(left) if left > 60 else 'soon'}."  # noqa: PLR2004


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
