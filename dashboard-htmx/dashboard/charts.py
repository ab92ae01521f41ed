"""The overview's charts as tables: the page shows the table, and a script draws the chart from it (static/charts.js).

So there is one set of numbers and of words: what is drawn, what the read-out says, and what screen readers get.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from dashboard import typed
from gateway.checkout.amounts import shown as amount

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from dashboard.reading.overview import Overview, Share
    from dashboard.reading.periods import Period

NONE = "\N{EN DASH}"
"""Where there is no value."""
METHODS = {"upi": "UPI", "card": "Cards"}
"""What methods are called."""

Colour = Literal["1", "2", "3", "4", "bad", ""]
_LINES: tuple[Colour, ...] = ("1", "4", "3", "2")
_HOURS: dict[Period, int] = {"24h": 1, "7d": 6, "30d": 24}


class Unit(NamedTuple):
    """What the values are of."""

    kind: Literal["count", "money", "rate"]
    minor: int = 1
    """Minor units of one unit of money."""
    symbol: str = ""
    lakhs: bool = False
    """Whether large numbers are told in lakhs and crores."""


class Column(NamedTuple):
    """One series; without a colour it is read and not drawn."""

    label: str
    colour: Colour
    total: str = ""
    """Of the whole period."""


class Cell(NamedTuple):
    """A value, and how it is written."""

    value: float | None
    text: str


class Row(NamedTuple):
    """One point in time."""

    at: datetime
    label: str
    """In full: `Sat 22 Nov, 14:00-15:00`, with a longer dash."""
    tick: str
    """As the axis names it; empty where it names none."""
    place: int
    """The hour of the day, or the number of the day: an axis with little room names every second or third of them."""
    cells: list[Cell]


class Chart(NamedTuple):
    """A chart and its table, oldest row first."""

    id: str
    title: str
    kind: Literal["bars", "stack", "lines"]
    unit: Unit
    columns: list[Column]
    rows: list[Row]


def money(currency: str) -> Unit:
    """The unit of a currency."""
    minor = 10 ** typed.digits(currency)
    return Unit("money", minor, amount(0, currency).rstrip("0."), "1,00,000" in amount(100_000 * minor, currency))


def percent(rate: float | None) -> str:
    """`92.4 %`; never 100 % where one is missing."""
    if rate is None:
        return NONE
    shown = f"{rate:.1%}"
    if shown == "100.0%" and rate < 1:
        shown = "99.9%"
    return shown.replace(".0%", "%").replace("%", "\N{NO-BREAK SPACE}%")


def of_payments(found: Overview, currency: str, zone: ZoneInfo) -> list[Chart]:
    """Volume, payments, their success by method, and refunds: of one currency."""
    unit, own = money(currency), [point.totals.of(currency) for point in found.points]
    whole = found.totals.of(currency)
    methods = [one.method for one in whole.methods]
    shares = [{share.method: share for share in one.methods} for one in own]
    columns = [
        Column(METHODS.get(one.method, one.method), _LINES[n % len(_LINES)], _share(one))
        for n, one in enumerate(whole.methods)
    ]
    return [
        Chart(
            "volume", "Volume", "bars", unit, [Column("Volume", "1"), Column("Payments", "")],
            _rows(found, zone, [[_money(one.volume, currency), _count(one.payments)] for one in own]),
        ),
        Chart(
            "payments", "Payments", "stack", Unit("count"),
            [Column("Succeeded", "2", f"{whole.all.succeeded:,}"), Column("Failed", "bad", f"{whole.all.failed:,}")],
            _rows(found, zone, [[_count(one.all.succeeded), _count(one.all.failed)] for one in own]),
        ),
        Chart(
            "success", "Success rate by method", "lines", Unit("rate"), columns,
            _rows(found, zone, [[_rate(one.get(method)) for method in methods] for one in shares]),
        ),
        Chart(
            "refunds", "Refunds", "bars", unit, [Column("Refunded", "3"), Column("Refunds", ""), Column("Failed", "")],
            _rows(
                found, zone,
                [[_money(one.refunded, currency), _count(one.refunds), _count(one.refunds_failed)] for one in own],
            ),
        ),
    ]  # fmt: skip


def of_deliveries(found: Overview, zone: ZoneInfo) -> Chart:
    """What became of the deliveries that each point's events were owed."""
    health = found.deliveries
    more = "+" if health.counts_are == "at_least" else ""
    columns = [
        Column("Arrived", "2", f"{health.delivered:,}"),
        Column("Given up", "bad", f"{health.failed:,}{more}"),
        Column("Waiting", "3", f"{health.pending:,}{more}"),
    ]
    cells = [
        [_count(one.delivered), _count(one.deliveries_failed), _count(one.deliveries_pending)] for one in found.points
    ]
    return Chart("deliveries", "Deliveries", "stack", Unit("count"), columns, _rows(found, zone, cells))


def _rows(found: Overview, zone: ZoneInfo, cells: list[list[Cell]]) -> list[Row]:
    last = len(cells) - 1
    made = []
    for n, (point, own) in enumerate(zip(found.points, cells, strict=True)):
        begin = point.at.astimezone(zone)
        end = found.points[n + 1].at if n < last else point.at + timedelta(hours=_HOURS[found.period])
        label, tick = f"{begin:%a %-d %b}", f"{begin:%-d %b}"
        if found.period != "30d":
            label += f", {begin:%H:%M}{NONE}{end.astimezone(zone):%H:%M}"
            tick = f"{begin:%H:%M}" if found.period == "24h" else tick if not begin.hour else ""
        place = begin.hour if found.period == "24h" else begin.toordinal()
        made.append(Row(point.at, label if n < last else f"{label} so far", tick, place, own))
    return made


def _money(minor: int, currency: str) -> Cell:
    return Cell(minor, amount(minor, currency))


def _count(number: int) -> Cell:
    return Cell(number, f"{number:,}")


def _rate(share: Share | None) -> Cell:
    if share is None or share.rate is None:
        return Cell(None, NONE)
    return Cell(round(share.rate, 4), _share(share))


def _share(share: Share) -> str:
    return f"{percent(share.rate)} ({share.succeeded:,} of {share.succeeded + share.failed:,})"
