"""When to try again: pure functions of the schedule, the attempt and chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import endpoint_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT = endpoint_rules.DEFAULT_SCHEDULE
TEST = endpoint_rules.TEST_SCHEDULE
JITTER = 0.1

_PROCESSOR_STEPS = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)


def next_delay(
    schedule: Sequence[int],
    attempt: int,
    *,
    roll: float,
    jitter: float = JITTER,
    retry_after: float | None = None,
) -> float | None:
    """Seconds until the next attempt, or None when the schedule is exhausted.

    Args:
        schedule: seconds before each attempt.
        attempt: the number of the one that just failed, from 1.
        roll: chance, 0 to 1.
        jitter: share of the step by which the delay may be shorter or longer.
        retry_after: seconds that the receiver asked for; honoured between one and two times the step.
    """
    if attempt >= len(schedule):
        return None
    step = float(schedule[attempt])
    if retry_after is not None:
        return min(max(retry_after, step), 2 * step)
    return step * (1 - jitter + 2 * jitter * roll)


def processor_delay(claims: int) -> float:
    """Seconds until a processor that gave no answer is asked again: for ever, since money may have moved."""
    return _PROCESSOR_STEPS[min(max(claims, 1), len(_PROCESSOR_STEPS)) - 1]
