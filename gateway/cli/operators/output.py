"""Say what was found: as a table that fits the terminal, or as JSON.

The rule of `--json`: a command prints one JSON document, an object; a list is `{"data": [...], "has_more": …}`. What
goes on by itself (`events tail`, `queue status --watch`) prints JSON lines, one object each. Times are RFC 3339 in
UTC, amounts are integers in minor units.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gateway.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for programs.")]
Row = dict[str, Any]

_COLOURS = {
    **dict.fromkeys(("success", "processed", "paid", "enabled", "live", "active"), "green"),
    **dict.fromkeys(("failed", "disabled", "silent", "revoked"), "red"),
    **dict.fromkeys(("pending", "attempted", "failing"), "yellow"),
}
_NO_DECIMALS = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())  # noqa: SIM905
_THREE_DECIMALS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())  # noqa: SIM905 - ISO 4217, like the line above
_GAPS = (2, 1)  # columns between two: where there is room, and where there is not
_LEAST = 8  # columns that an elastic one keeps
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Ids are never cut, so that they can be copied."""

    title: str
    of: Callable[[Row], str]
    optional: bool = False
    """Left out where the terminal is too narrow; the last one first."""
    elastic: bool = False
    """Cut with an ellipsis where the terminal is too narrow."""
    right: bool = False


def show_json(document: object, screen: Screen | None = None) -> None:
    """Print one JSON document on one line."""
    (screen or Screen()).line(msgspec.json.encode(document).decode())


def show_list(columns: Sequence[Column], rows: Sequence[Row], *, nothing: str, more: bool = False) -> None:
    """Print a table, or in words that there is nothing to put into it."""
    screen = Screen()
    if not rows:
        screen.say(nothing)
        return
    screen.tabulate(table(columns, rows, width=screen.width))
    if more:
        screen.say(Text(f"The first {len(rows)}; there are more (--limit).", style="dim"))


def table(columns: Sequence[Column], rows: Iterable[Row], *, width: int) -> Table:
    """Lay out rows for `width` columns."""
    cells = [[plain(column.of(row)) for column in columns] for row in rows]
    natural = [
        max([cell_len(column.title), *(cell_len(line[n]) for line in cells)]) for n, column in enumerate(columns)
    ]
    least = [min(_LEAST, natural[n]) if column.elastic else natural[n] for n, column in enumerate(columns)]
    # An optional column that would be empty says nothing.
    kept = [n for n, column in enumerate(columns) if not column.optional or any(line[n] for line in cells)]
    gap = _GAPS[0] if sum(least[n] + _GAPS[0] for n in kept) - _GAPS[0] <= width else _GAPS[1]
    while sum(least[n] + gap for n in kept) - gap > width:
        droppable = [n for n in kept if columns[n].optional]
        if not droppable:
            break
        kept.remove(droppable[-1])
    spare = max(0, width - sum(least[n] + gap for n in kept) + gap)
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold", show_edge=False)
    for n in kept:
        extra = min(spare, natural[n] - least[n])
        spare -= extra
        column = columns[n]
        made.add_column(
            column.title,
            width=least[n] + extra,
            no_wrap=True,
            overflow="ellipsis" if column.elastic else "fold",
            justify="right" if column.right else "left",
        )
    for line in cells:
        made.add_row(*(Text(line[n], style=_COLOURS.get(line[n], "")) for n in kept))
    return made


def facts(screen: Screen, pairs: Iterable[tuple[str, str | None]]) -> None:
    """Print names and values under each other; long values go on in the next line, and None is left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(name, Text(plain(value), style=_COLOURS.get(value, "")))
    screen.show(grid)


def heading(screen: Screen, text: str) -> None:
    """Print a line that begins a part."""
    screen.say()
    screen.say(Text(text, style="bold"))


def plain(text: str) -> str:
    """Only what can be seen: what merchants and receivers wrote must not steer the operator's terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def money(amount: int, currency: str) -> str:
    """An amount in minor units as people write it: `500.00 INR`."""
    places = 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    whole, rest = divmod(amount, 10**places)
    return f"{whole}.{rest:0{places}} {currency}" if places else f"{whole} {currency}"


def brief(time: datetime | None) -> str:
    """A time in a list, in UTC: the second within the last day, the minute within the year, the day before that."""
    if time is None:
        return "-"
    age = datetime.now(UTC) - time
    if age < timedelta(hours=20):
        return f"{time:%H:%M:%S}"
    return f"{time:%m-%d %H:%M}" if age < timedelta(days=300) else f"{time:%Y-%m-%d}"


def full(time: datetime | None) -> str | None:
    """A time in a view of one thing, in UTC and to the millisecond."""
    return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03} UTC" if time else None


def span(seconds: float) -> str:
    """How long in one or two figures: `4 s`, `12 min`, `3 h`, `2 d`."""
    seconds = max(0.0, seconds)
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < _DAY else f"{seconds / _DAY:.1f} d"
