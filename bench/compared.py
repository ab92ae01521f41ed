"""One comparison: the same work by Ledgate and by a peer, round by round in turn."""

from __future__ import annotations

from statistics import median

import msgspec


class Round(msgspec.Struct, frozen=True):
    """One run of one side."""

    rate: float
    """Units of work a second."""
    processes: float
    """Processor seconds of the client or our process, for one unit of work."""
    server: float
    """Processor seconds of PostgreSQL, for one unit of work."""


class Compared(msgspec.Struct, frozen=True):
    """All rounds of both sides."""

    what: str
    ours: list[Round]
    peer: list[Round]
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours / peer in each round."""
        return [mine.rate / theirs.rate for mine, theirs in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        """Their median."""
        return median(self.ratios)


def middle(rounds: list[Round]) -> Round:
    """The median of each figure."""
    return Round(
        median(one.rate for one in rounds),
        median(one.processes for one in rounds),
        median(one.server for one in rounds),
    )
