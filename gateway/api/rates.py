"""How often one may ask: token buckets in this process, one for each API key and one for each address that guesses."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable


class Rate(NamedTuple):
    """What a bucket says after a request; shown as `RateLimit-*` headers."""

    limit: int
    """Requests that may come at once."""
    remaining: int
    reset: int
    """Whole seconds until the bucket is full again."""


class RateLimiter:
    """Token buckets by name: `burst` requests at once, `rate` a second for ever.

    Each API process counts for itself: with N of them behind a balancer a key may ask up to N times as often. That
    costs no statement and no second store; the bound protects a process, it is not a price list.
    """

    MAX_BUCKETS = 100_000  # the longest unused is forgotten, which is to say: full

    def __init__(self, *, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Set up.

        Args:
            rate: requests a second; 0 for no limit.
            burst: most requests at once.
            clock: seconds.
        """
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> tokens, when

    def take(self, name: str) -> Rate | None:
        """Count one request; None without a limit.

        Raises:
            RateLimitedError: too many; it says when to come back.
        """
        if not self._rate:
            return None
        tokens = self._tokens(name)
        if tokens < 1:
            wait = (1 - tokens) / self._rate
            raise RateLimitedError(
                f"too many requests: at most {self._burst} at once and {self._rate:g} a second",
                retry_after=wait,
                rate=self._told(tokens),
            )
        self._buckets[name] = (tokens - 1, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > self.MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return self._told(tokens - 1)

    def _tokens(self, name: str) -> float:
        tokens, when = self._buckets.get(name, (float(self._burst), 0.0))
        return min(float(self._burst), tokens + (self._clock() - when) * self._rate)

    def _told(self, tokens: float) -> Rate:
        return Rate(self._burst, max(0, int(tokens)), -int((tokens - self._burst) // self._rate))
