"""The token bucket, with a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.rates import Rate, RateLimiter
from gateway.errors import RateLimitedError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 10), max_size=100),
)
def test_no_more_pass_than_the_burst_and_the_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(rate=rate, burst=burst, clock=clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        try:
            limiter.take("k")
        except RateLimitedError as error:
            # Whoever comes back when he is told to is let in.
            clock.now += error.retry_after + 1e-6
            limiter.take("k")
        passed += 1
    assert passed <= burst + rate * (clock.now - 1000) + 1e-6


def test_the_headers_count_down_and_recover() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=2, burst=3, clock=clock)

    assert [limiter.take("k") for _ in range(3)] == [Rate(3, 2, 1), Rate(3, 1, 1), Rate(3, 0, 2)]
    with pytest.raises(RateLimitedError) as refused:
        limiter.take("k")
    assert (refused.value.retry_after, refused.value.rate) == (0.5, (3, 0, 2))

    clock.now += 1.5
    assert limiter.take("k") == Rate(3, 2, 1)


def test_one_name_does_not_spend_anothers() -> None:
    limiter = RateLimiter(rate=1, burst=1, clock=Clock())
    limiter.take("a")
    assert limiter.take("b") == Rate(1, 0, 1)


def test_zero_is_no_limit() -> None:
    limiter = RateLimiter(rate=0, burst=1, clock=Clock())
    assert [limiter.take("a") for _ in range(5)] == [None] * 5


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RateLimiter, "MAX_BUCKETS", 10)
    limiter = RateLimiter(rate=1, burst=1, clock=Clock())
    for number in range(50):
        limiter.take(str(number))
    assert len(limiter._buckets) == 10
