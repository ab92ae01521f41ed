"""Who may start how much now: what one dispatcher has in flight for each endpoint and merchant, and at which pace.

An endpoint's window works as TCP's does: it begins small, grows with every quick success and shrinks with every failure
or slow answer. So a receiver that hangs holds few connections, however much it is owed, and one that is fast gets as
many as it can use and no more: when answers take longer the more are asked for, the window stops growing (as in TCP
Vegas), and nobody else's work has to queue behind it in this process. Nothing is ever waited for: work that has no room
now is put back and comes again.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox.work import Work

FIRST_WINDOW = 8
SLOW = 2.0
"""Seconds after which even a success makes no room for more."""

_QUEUED = 0.02  # seconds that an answer may take longer than twice the quickest one
_FORGET = 1.001  # by which the quickest one grows with each success: a receiver may have become slower
_AGAIN = 0.25  # seconds until work that found its window full comes again, at first
_AGAIN_AT_MOST = 2.0
_SPREAD = 0.1  # share of a hold by which its works are kept apart
_BURST = 0.25  # seconds' worth of a rate that may come at once
_BELIEVED = 5.0  # seconds for which an open circuit is believed without asking
_KNOWN = 20_000  # endpoints that are remembered; a bound, not a policy


class Pace(msgspec.Struct):
    """What is known of one endpoint. Times are of the monotonic clock, in seconds."""

    merchant: str
    window: float
    in_flight: int = 0
    stuck_since: float = 0.0
    """Since then works found no room and none has ended; 0 for one that moves."""
    rate: float | None = None
    """Attempts a second of this dispatcher."""
    quickest: float = SLOW
    """Seconds of the quickest success of late."""
    spent_until: float = 0.0
    """By its rate, all time up to then is spent."""
    booked_until: float = 0.0
    """Work that was put back has places up to then."""
    held_until: float = 0.0
    """Its circuit is open."""


class Fairness:
    """Windows, rates and holds of endpoints, shares of merchants; shared by the delivering lanes of one dispatcher."""

    def __init__(self, *, ceiling: int, per_merchant: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Set up.

        Args:
            ceiling: the widest window of an endpoint, in attempts.
            per_merchant: attempts that one merchant may have in flight.
            clock: seconds that only grow.
        """
        self.dispatchers = 1
        """That share an endpoint's rate."""
        self._ceiling = ceiling
        self._per_merchant = per_merchant
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._merchants: Counter[str] = Counter()

    def admit(self, work: Work, *, roll: float = 0.0) -> float | None:
        """Count work as in flight and return None, or the seconds until it may be asked again.

        `roll` is chance, 0 to 1: it keeps apart what is put back together.
        """
        pace, now = self._pace(work), self._clock()
        if pace.held_until > now:
            return (pace.held_until - now) * (1 + _SPREAD * roll)
        if pace.in_flight >= int(pace.window) or self._merchants[work.merchant_id] >= self._per_merchant:
            pace.stuck_since = pace.stuck_since or now
            # Nothing ended for so long: nothing may end for as long again.
            return min(max(now - pace.stuck_since, _AGAIN), _AGAIN_AT_MOST) * (1 + roll)
        pace.in_flight += 1
        self._merchants[work.merchant_id] += 1
        return None

    def spend(self, work: Work, rate: int | None) -> float | None:
        """Take admitted work's place in its endpoint's rate; without one, the seconds until there may be."""
        pace, now = self._pace(work), self._clock()
        pace.rate = None if rate is None else rate / max(1, self.dispatchers)
        if pace.rate is None:
            return None
        step = 1 / pace.rate
        spent = max(pace.spent_until, now)
        if spent - now <= max(_BURST - step, 0.0):
            pace.spent_until = spent + step
            return None
        pace.booked_until = max(pace.booked_until, spent) + step
        return pace.booked_until - now

    def hold(self, work: Work, seconds: float) -> None:
        """The endpoint's circuit is open for so long: nothing of it is admitted until then, or until it is asked again.

        It may be closed sooner: its merchant mends the endpoint, or asks for a probe.
        """
        pace = self._pace(work)
        pace.held_until = max(pace.held_until, self._clock() + min(seconds, _BELIEVED))

    def leave(self, work: Work) -> None:
        """Admitted work was not sent after all, or has ended: its place is free."""
        pace = self._pace(work)
        pace.in_flight -= 1
        pace.stuck_since = 0.0
        self._merchants[work.merchant_id] -= 1
        if self._merchants[work.merchant_id] <= 0:
            del self._merchants[work.merchant_id]

    def hear(self, work: Work, *, success: bool, took: float) -> None:
        """An attempt ended after that many seconds: widen the window, or narrow it."""
        pace = self._pace(work)
        if took >= SLOW:
            pace.window = max(1.0, pace.window / 2)
        elif success:
            pace.quickest = min(pace.quickest * _FORGET, took)
            # Longer than it takes alone: more at once would only queue, at the receiver or in this process.
            if took <= 2 * pace.quickest + _QUEUED:
                pace.window = min(float(self._ceiling), pace.window + 1)
            elif pace.window > FIRST_WINDOW:
                pace.window -= 1
        else:
            pace.window = max(1.0, pace.window * 0.7)

    def rooms(self) -> dict[str, int]:
        """What each known endpoint may start now; others may start `FIRST_WINDOW`."""
        now = self._clock()
        return {endpoint: self._room(pace, now) for endpoint, pace in self._paces.items()}

    def _room(self, pace: Pace, now: float) -> int:
        if pace.held_until > now:
            return 0
        room = min(int(pace.window) - pace.in_flight, self._per_merchant - self._merchants[pace.merchant])
        if pace.rate is not None:
            behind = max(pace.spent_until - now, 0.0)
            room = min(room, int((max(_BURST, 1 / pace.rate) - behind) * pace.rate + 1e-9))
        return max(room, 0)

    def _pace(self, work: Work) -> Pace:
        endpoint = work.endpoint_id or ""
        if (pace := self._paces.get(endpoint)) is None:
            if len(self._paces) >= _KNOWN:
                self._forget()
            pace = self._paces[endpoint] = Pace(work.merchant_id, float(min(FIRST_WINDOW, self._ceiling)))
        return pace

    def _forget(self) -> None:
        now = self._clock()
        for endpoint, pace in list(self._paces.items()):
            if pace.in_flight == 0 and max(pace.held_until, pace.spent_until, pace.booked_until) <= now:
                del self._paces[endpoint]
