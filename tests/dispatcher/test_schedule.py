"""When to try again is decided by pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher import buckets, schedule

chance = st.floats(min_value=0, max_value=1)


def test_the_contract_s_schedules() -> None:
    """Five attempts: at once, 1 min, 5 min, 30 min, 2 h after the one before; in test mode 0, 5, 10, 15, 20 s."""
    for steps, expected in ((schedule.DEFAULT, [60, 300, 1800, 7200, None]), (schedule.TEST, [5, 10, 15, 20, None])):
        assert [schedule.next_delay(steps, n, roll=0.5, jitter=0) for n in range(1, 6)] == expected


@given(attempt=st.integers(1, 4), roll=chance)
def test_jitter_stays_within_a_tenth(attempt: int, roll: float) -> None:
    delay = schedule.next_delay(schedule.DEFAULT, attempt, roll=roll)
    assert delay is not None
    assert 0.9 <= delay / schedule.DEFAULT[attempt] <= 1.1 + 1e-9


@given(attempt=st.integers(1, 4), roll=chance, asked=st.floats(min_value=0, max_value=1e9))
def test_retry_after_is_honoured_between_one_and_two_steps(attempt: int, roll: float, asked: float) -> None:
    delay = schedule.next_delay(schedule.DEFAULT, attempt, roll=roll, retry_after=asked)
    step = schedule.DEFAULT[attempt]
    assert delay is not None
    assert step <= delay <= 2 * step
    if step <= asked <= 2 * step:
        assert delay == asked


@given(steps=st.lists(st.integers(0, 600_000), min_size=1, max_size=20), roll=chance)
def test_a_schedule_has_as_many_attempts_as_steps(steps: list[int], roll: float) -> None:
    delays = [schedule.next_delay(steps, n, roll=roll) for n in range(1, len(steps) + 1)]
    assert None not in delays[:-1]
    assert delays[-1] is None


def test_a_processor_without_an_answer_is_asked_for_ever_at_growing_distance() -> None:
    delays = [schedule.processor_delay(n) for n in range(1, 50)]
    assert delays == sorted(delays)
    assert delays[-1] == 300


@given(st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=8))
def test_buckets_are_shared_out_whole_and_move_little(dispatchers: set[str]) -> None:
    shares = {one: set(buckets.favourites(one, dispatchers)) for one in dispatchers}
    assert sorted(bucket for share in shares.values() for bucket in share) == list(range(64))
    gone = min(dispatchers)
    for one in dispatchers - {gone}:
        assert shares[one] <= set(buckets.favourites(one, dispatchers - {gone})), "nobody loses a bucket to a leaver"


@pytest.mark.parametrize("count", [2, 4])
def test_shares_are_roughly_even(count: int) -> None:
    names = [f"dsp_{n}" for n in range(count)]
    assert all(len(buckets.favourites(one, names)) >= 64 // count // 3 for one in names)
