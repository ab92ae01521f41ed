"""The overview: what came in, what went out, and what is in trouble, over 24 hours, 7 or 30 days."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dashboard.reading import SQL
from dashboard.reading.periods import Period, Span, cut
from kit import ids
from kit.db import fetch
from outbox import endpoints
from outbox.endpoints import Endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from gateway.merchants import Merchant
    from kit.db import Connection

Row = dict[str, Any]

COUNTED = 10_000
"""Open work is counted up to that."""

_FRESH = 2_000  # events that `overview_figures` counts itself
_NOTICED = 5  # failures in a row: one alone is nobody's trouble
_ENDS = 2_000  # of a point, as `overview_ends` counts them


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """How payments ended: of one method, or of all."""

    method: str
    """`upi`, `card`; empty for all."""
    succeeded: int
    failed: int

    @property
    def rate(self) -> float | None:
        """0 to 1; None where none has ended."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Of one currency, in minor units."""

    currency: str
    created: int
    """Payments that were begun."""
    all: Share
    methods: list[Share]
    """By name."""
    payments: int
    """That succeeded."""
    volume: int
    """Of them."""
    captured: int
    refunds: int
    """That were processed."""
    refunds_failed: int
    refunded: int
    """By those that were processed."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a range of time. All by the time at which it happened."""

    created: int
    """Payments that were begun."""
    all: Share
    methods: list[Share]
    """By name."""
    money: list[Money]
    """By volume, the largest first."""
    refunds: int
    """Asked for."""
    refunds_processed: int
    refunds_failed: int
    events: int
    deliveries: int
    """That these events were owed to endpoints."""

    def of(self, currency: str) -> Money:
        """The money of a currency, nothing where there is none."""
        found = next((one for one in self.money if one.currency == currency), None)
        return found or _money([], currency)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the charts."""

    at: datetime
    """Where it begins, UTC; the next one's is its end, the last one goes on."""
    totals: Totals
    delivered: int
    deliveries_failed: int
    deliveries_pending: int
    """Their events happened in the point's time, whenever they were given up."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the deliveries of a period's events. What recoveries made besides is not in it."""

    total: int
    delivered: int
    failed: int
    pending: int
    counts_are: Literal["exact", "at_least"]
    """Of each point, 2,000 failed and 2,000 pending ones are counted."""

    @property
    def rate(self) -> float | None:
        """Delivered of those that have ended, 0 to 1."""
        ended = self.delivered + self.failed
        return self.delivered / ended if ended else None


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """Open work of one kind, counted up to 10,000."""

    kind: Literal["delivery", "payment", "refund", "recovery"]
    open: int
    open_is: Literal["exact", "at_least"]
    due: int
    """Could be done now."""
    under_way: int
    retrying: int
    """Deliveries that failed before."""
    oldest_at: datetime | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's first page. Times in UTC."""

    period: Period
    since: datetime
    now: datetime
    totals: Totals
    """From `since` to now."""
    before: Totals
    """Of the period before, cut where this one is: see `compared`."""
    compared: Totals
    """Of this period up to its last whole half hour: what `before` may be compared with."""
    points: list[Point]
    deliveries: Health
    backlog: list[Backlog]
    trouble: list[Endpoint]
    """Endpoints that fail again and again, are held up, or were turned off by Ledgate; `health` and
    `disabled_reason` say why."""
    endpoints: int
    complete: bool
    """False while more has happened than was counted (a backlog of events): the figures end at `counted_to`."""
    counted_to: datetime | None

    def work(self, kind: Literal["delivery", "payment", "refund", "recovery"]) -> Backlog:
        """The backlog of one kind."""
        return next(one for one in self.backlog if one.kind == kind)

    @property
    def oldest_pending(self) -> datetime | None:
        """Since when the oldest open delivery waits."""
        return self.work("delivery").oldest_at

    @property
    def depth(self) -> int:
        """Open work of all kinds; at least, where one of them was not counted to its end."""
        return sum(one.open for one in self.backlog)


def change(now: float, before: float) -> float | None:
    """How much more, as a share of what was before; None where nothing was."""
    return now / before - 1 if before else None


async def overview(
    conn: Connection,
    merchant: Merchant,
    period: Period,
    *,
    now: datetime,
    zone: ZoneInfo,
    disable_after: timedelta | None = None,
) -> Overview:
    """Read the overview.

    Args:
        conn: as the API's role, autocommitting or in a transaction.
        merchant: whose.
        period: how far back.
        now: UTC.
        zone: where days begin.
        disable_after: `Config.disabling`, so that endpoints in trouble say when they are turned off.
    """
    span = cut(period, now, zone)
    rows = await fetch(conn, SQL["overview_figures"], merchant.scope | {"bounds": span.bounds})
    (fresh,) = (row["events"] for row in rows if row["n"] is None)
    figures: dict[datetime, list[Row]] = defaultdict(list)
    for row in rows:
        if row["n"] is not None:
            figures[span.bounds[row["n"] - 1]].append(row)
    place = await fetch(conn, SQL["overview_place"], merchant.scope)
    ends = await _ends(conn, merchant, span)
    open_work = await fetch(conn, SQL["overview_open"], merchant.scope)
    all_endpoints = await endpoints.all_of(
        conn, bucket=merchant.bucket, merchant_id=merchant.merchant_id, disable_after=disable_after
    )
    totals = _totals(figures, span.since, None)
    failed, pending = sum(row["failed"] for row in ends), sum(row["pending"] for row in ends)
    health = Health(
        total=totals.deliveries,
        delivered=max(0, totals.deliveries - failed - pending),
        failed=failed,
        counts_are="at_least" if any(max(row["failed"], row["pending"]) >= _ENDS for row in ends) else "exact",
        pending=pending,
    )
    return Overview(
        period=period,
        since=span.since,
        now=now.astimezone(UTC),
        totals=totals,
        before=_totals(figures, span.before, span.before_until),
        compared=_totals(figures, span.since, span.until),
        points=_points(figures, span, ends),
        deliveries=health,
        backlog=[_backlog(row) for row in open_work],
        trouble=[one for one in all_endpoints if in_trouble(one)],
        endpoints=len(all_endpoints),
        complete=fresh < _FRESH,
        counted_to=place[0]["counted_at"] if place else None,
    )


def in_trouble(endpoint: Endpoint) -> bool:
    """Whether its owner should look at it: turned off by us, held up, or failing for more than a moment."""
    if not endpoint.enabled:
        return endpoint.disabled_reason is not None
    health = endpoint.health
    return health.circuit != "closed" or health.warnings > 0 or health.failures >= _NOTICED


async def _ends(conn: Connection, merchant: Merchant, span: Span) -> list[dict[str, Any]]:
    cuts = [ids.lower_bound("dlv", point.timestamp()) for point in span.points]
    return await fetch(conn, SQL["overview_ends"], merchant.scope | {"lows": cuts, "highs": [*cuts[1:], "dlv`"]})


def _backlog(row: dict[str, Any]) -> Backlog:
    more = row["open"] > COUNTED
    return Backlog(
        kind=row["kind"],
        open=min(row["open"], COUNTED),
        open_is="at_least" if more else "exact",
        due=row["due"],
        under_way=row["under_way"],
        retrying=row["retrying"],
        oldest_at=row["oldest_at"],
    )


def _points(figures: dict[datetime, list[Row]], span: Span, found: list[dict[str, Any]]) -> list[Point]:
    ends: list[datetime | None] = [*span.points[1:], None]
    points = []
    for at, end, row in zip(span.points, ends, found, strict=True):
        totals = _totals(figures, at, end)
        # An event is dated by its time, and a delivery by its id, made a moment later: at the edge of a point one may
        # belong here and the other there.
        points.append(
            Point(
                at=at,
                totals=totals,
                delivered=max(0, totals.deliveries - row["failed"] - row["pending"]),
                deliveries_failed=row["failed"],
                deliveries_pending=row["pending"],
            )
        )
    return points


def _totals(figures: dict[datetime, list[Row]], since: datetime, until: datetime | None) -> Totals:
    """Add up what lies between two cuts."""
    rows = [row for at, found in figures.items() if at >= since and (until is None or at < until) for row in found]

    money = [_money(rows, currency) for currency in sorted({row["currency"] for row in rows} - {""})]
    return Totals(
        created=_sum(rows, "created"),
        all=_share(rows),
        methods=_methods(rows),
        money=sorted(money, key=lambda one: -one.volume),
        refunds=_sum(rows, "refunds"),
        refunds_processed=_sum(rows, "refunds_processed"),
        refunds_failed=_sum(rows, "refunds_failed"),
        events=_sum(rows, "events"),
        deliveries=_sum(rows, "deliveries"),
    )


def _money(rows: Sequence[Row], currency: str) -> Money:
    own = [row for row in rows if row["currency"] == currency]
    return Money(
        currency=currency,
        created=_sum(own, "created"),
        all=_share(own),
        methods=_methods(own),
        payments=_sum(own, "succeeded"),
        volume=_sum(own, "volume"),
        captured=_sum(own, "captured"),
        refunds=_sum(own, "refunds_processed"),
        refunds_failed=_sum(own, "refunds_failed"),
        refunded=_sum(own, "refunded"),
    )


def _methods(rows: Sequence[Row]) -> list[Share]:
    names = sorted({row["method"] for row in rows} - {""})
    return [_share([row for row in rows if row["method"] == name], name) for name in names]


def _share(rows: Sequence[Row], method: str = "") -> Share:
    return Share(method=method, succeeded=_sum(rows, "succeeded"), failed=_sum(rows, "failed"))


def _sum(rows: Sequence[Row], name: str) -> int:
    return sum(row[name] for row in rows)
