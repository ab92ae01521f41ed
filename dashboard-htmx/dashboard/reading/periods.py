"""Cut the time that a page looks back on into points, in the reader's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Period = Literal["24h", "7d", "30d"]

SLOT = timedelta(minutes=30)
"""What figures are counted by."""

_STEPS: dict[Period, tuple[int, int]] = {"24h": (24, 1), "7d": (28, 6), "30d": (30, 24)}
"""Points, and hours of each."""


class Span(msgspec.Struct, frozen=True):
    """A period as it is read: points of time in UTC, and the period before it, cut at the same hour."""

    points: list[datetime]
    """Where each point begins, oldest first; the last one goes on."""
    until: datetime
    """The last whole half hour before now: up to there the two periods can be compared."""
    before: datetime
    """Where the period before begins,"""
    before_until: datetime
    """and where it is cut."""

    @property
    def since(self) -> datetime:
        """Where the period begins."""
        return self.points[0]

    @property
    def bounds(self) -> list[datetime]:
        """Every cut, ascending, each once."""
        return sorted({self.before, self.before_until, self.until, *self.points})


def cut(period: Period, now: datetime, zone: ZoneInfo) -> Span:
    """Cut a period that ends now.

    24 h are 24 hours, the one that has begun included; 7 d are 28 quarters of days; 30 d are 30 days as the zone's
    clocks have them, so that one of them may have 23 or 25 hours. Zones whose days begin at a quarter of an hour see
    days that begin 15 minutes early.
    """
    count, hours = _STEPS[period]
    until = _floor(now)
    points = _points(now, zone, count, hours)
    length = timedelta(hours=count * hours)
    earlier = _points((points[0] - timedelta(seconds=1)), zone, count, hours) if hours > 1 else [points[0] - length]
    before = max(earlier[0], datetime(1970, 1, 2, tzinfo=UTC))
    return Span(points, until, before, min(before + (until - points[0]), points[0]))


def _points(now: datetime, zone: ZoneInfo, count: int, hours: int) -> list[datetime]:
    local = now.astimezone(zone)
    if hours == 1:
        last = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        return [_floor(last) - timedelta(hours=n) for n in range(count - 1, -1, -1)]
    hour = local.hour - local.hour % hours
    points: list[datetime] = []
    day = local.date()
    while len(points) < count:
        points.append(_floor(datetime.combine(day, time(hour), zone).astimezone(UTC)))
        hour -= hours
        if hour < 0:
            hour, day = 24 - hours, day - timedelta(days=1)
    return sorted(points)


def _floor(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return moment - timedelta(seconds=(moment.minute % 30) * 60 + moment.second, microseconds=moment.microsecond)
