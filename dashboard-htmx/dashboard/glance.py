"""What the overview says at a glance: each figure with its change against the period before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from dashboard import charts, typed
from dashboard.reading import overview
from gateway.checkout.amounts import shown as amount

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from dashboard.reading.overview import Money, Overview
    from dashboard.reading.periods import Period

Tone = Literal["good", "bad", "calm"]
NAMES: dict[Period, str] = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
"""What the periods are called."""
_LOG = "/dashboard/webhooks?status={}#log"
_TIMES = 9  # from tenfold on, a change is told in times
_LEAST = 0.005  # half a percent is no change
_MEASURE = 20  # what had less than a twentieth of it, nothing is measured by
_LARGE = 1_000  # units of money from which nobody reads the hundredths


class Change(NamedTuple):
    """Against the period before, as far as both can be compared."""

    way: Literal["up", "down", "same"]
    text: str
    """How much: `12 %`, `0.8 points`, `14 times as much`."""
    tone: Tone
    before: str
    """What it was."""


class Figure(NamedTuple):
    """One number that is looked at first."""

    id: str
    label: str
    value: str
    about: str = ""
    """What it is made of."""
    alarm: str = ""
    """What of that should not be."""
    change: Change | None = None
    tone: Literal["bad", "wait", ""] = ""
    link: str = ""
    """Where to see more."""
    since: datetime | None = None
    """The value is how long ago that was."""


def of_payments(found: Overview, currency: str) -> list[Figure]:
    """Volume, payments, success and refunds of one currency."""
    whole, now, before = found.totals.of(currency), found.compared.of(currency), found.before.of(currency)
    measured = before if _ended(before) * _MEASURE >= _ended(now) else found.before.of("")
    return [
        Figure(
            "volume", "Volume", rounded(whole.volume, currency), _many(whole.payments, "payment"),
            change=_more(now.volume, measured.volume, "up", lambda was: rounded(was, currency)),
        ),
        Figure(
            "payments", "Succeeded", f"{whole.payments:,}", f"{whole.created:,} begun",
            change=_more(now.payments, measured.payments, "up", lambda was: f"{was:,}"),
        ),
        Figure(
            "success", "Success rate", charts.percent(whole.all.rate), f"{whole.all.failed:,} failed",
            change=_points(now.all.rate, measured.all.rate),
        ),
        Figure(
            "refunds", "Refunded", rounded(whole.refunded, currency), _many(whole.refunds, "refund"),
            change=_more(now.refunded, measured.refunded, "", lambda was: rounded(was, currency)),
            alarm=f"{whole.refunds_failed:,} failed" if whole.refunds_failed else "",
        ),
    ]  # fmt: skip


def of_deliveries(found: Overview) -> list[Figure]:
    """What arrived, what was given up, what waits, and since when."""
    health, waiting = found.deliveries, found.work("delivery")
    more = "+" if health.counts_are == "at_least" else ""
    ended = health.delivered + health.failed
    doing = [
        f"{number:,} {what}"
        for number, what in (
            (waiting.under_way, "being sent"),
            (waiting.due, "due"),
            (waiting.retrying, "tried before"),
        )
        if number
    ]
    oldest = found.oldest_pending
    return [
        Figure("arrived", "Arrived", charts.percent(health.rate), f"{health.delivered:,} of {ended:,} deliveries"),
        Figure(
            "given-up", "Given up", f"{health.failed:,}{more}",
            "every attempt failed" if health.failed else "nothing is lost",
            tone="bad" if health.failed else "", link=_LOG.format("failed") if health.failed else "",
        ),
        Figure(
            "waiting", "Waiting", f"{waiting.open:,}{'+' if waiting.open_is == 'at_least' else ''}",
            ", ".join(doing) or ("for their next attempt" if waiting.open else "nothing to send"),
            link=_LOG.format("pending") if waiting.open else "",
        ),
        Figure(
            "oldest", "Oldest waiting", charts.NONE if oldest is None else "",
            "nothing waits" if oldest is None else "since its event", since=oldest,
            tone="wait" if oldest is not None and (found.now - oldest).total_seconds() > 3600 else "",  # noqa: PLR2004
            link=_LOG.format("pending") if oldest is not None else "",
        ),
    ]  # fmt: skip


def rounded(minor: int, currency: str) -> str:
    """An amount without what is behind the point, if it is large."""
    digits = typed.digits(currency)
    unit = 10**digits
    if not digits or minor < _LARGE * unit:
        return amount(minor, currency)
    return amount((minor + unit // 2) // unit * unit, currency).partition(".")[0]


def _more(now: int, before: int, good: Literal["up", ""], write: Callable[[int], str]) -> Change | None:
    share = overview.change(now, before)
    if share is None:
        return None
    if abs(share) < _LEAST:
        return Change("same", "0\N{NO-BREAK SPACE}%", "calm", write(before))
    way: Literal["up", "down"] = "up" if share > 0 else "down"
    text = f"{abs(share):.0%}".replace("%", "\N{NO-BREAK SPACE}%")
    if share >= _TIMES:
        text = f"\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}{now / before:,.0f}"
    return Change(way, text, _tone(way, good), write(before))


def _points(now: float | None, before: float | None) -> Change | None:
    if now is None or before is None:
        return None
    points = round((now - before) * 100, 1)
    if not points:
        return Change("same", "0", "calm", charts.percent(before))
    way: Literal["up", "down"] = "up" if points > 0 else "down"
    return Change(way, f"{abs(points):g} points", _tone(way, "up"), charts.percent(before))


def _tone(way: Literal["up", "down"], good: Literal["up", ""]) -> Tone:
    if not good:
        return "calm"
    return "good" if way == good else "bad"


def _ended(of: Money) -> int:
    return of.all.succeeded + of.all.failed


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
