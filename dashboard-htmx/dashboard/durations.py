"""Spans of time as people write them: `30s`, `5m`, `2h`, `1d`; and retry schedules, which are lists of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"(?P<number>[0-9]{1,7})\s*(?P<unit>s|sec|m|min|h|d)?", re.IGNORECASE)
_FINE = 10  # milliseconds
_WORDS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def read(text: str) -> int | None:
    """Seconds of `90`, `30s`, `5m`, `5 min`, `2h`, `1d`; None for anything else."""
    found = _SPAN.fullmatch(text.strip())
    return int(found["number"]) * _UNITS[(found["unit"] or "s")[0].lower()] if found else None


def read_schedule(text: str, field: str) -> list[int] | None:
    """The steps of a schedule, separated by commas or spaces; None for an empty one.

    Raises:
        BadRequestError: a step that is none; their number and size are the endpoint's own bounds.
    """
    steps = [one for one in re.split(r"[,;\n]+", text) if one.strip()] if re.search(r"[,;\n]", text) else text.split()
    found: list[int] = []
    for one in steps:
        seconds = read(one)
        if seconds is None:
            told = f"“{one.strip()[:20]}” is no span of time. Write 0, 30s, 5m, 2h or 1d, separated by commas."
            raise BadRequestError(told, field=field, reason="field_invalid")
        found.append(seconds)
    return found or None


def span(seconds: float) -> str:
    """In its two largest units: `5 min`, `1 h 30 min`, `2 d`."""
    left = round(seconds)
    told: list[str] = []
    for size, unit in _WORDS:
        if left >= size and len(told) < 2:  # noqa: PLR2004 - units
            told.append(f"{left // size} {unit}")
            left %= size
    return " ".join(told) or "0 s"


def written(schedule: Sequence[int]) -> str:
    """A schedule as one types it: `0, 1m, 5m, 30m, 2h`."""
    return ", ".join(_written(one) for one in schedule)


def _written(seconds: int) -> str:
    size, unit = next(((size, unit) for unit, size in reversed(_UNITS.items()) if seconds % size == 0), (1, "s"))
    return f"{seconds // size}{unit}" if seconds else "0"


def took(milliseconds: float | None) -> str:
    """How long an attempt took: `84 ms`, `1.2 s`; nothing where there was none."""
    if milliseconds is None:
        return "\N{EN DASH}"
    return f"{milliseconds:,.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.1f} s"  # noqa: PLR2004


def finely(ms: float) -> str:
    """As `took`, for what may take less than a millisecond: `0.08 ms`."""
    return f"{ms:.2f} ms" if ms < _FINE else took(ms)
