"""What an operator must know first: the figures of queue, dispatchers and database, judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from dashboard.addresses import OPERATIONS
from dashboard.durations import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.reading.operator import (
        DispatcherRow,
        MerchantRow,
        Migration,
        Partition,
        Queue,
        RunningStatement,
        Table,
    )

OVERVIEW = OPERATIONS
MERCHANTS, DATABASE = f"{OVERVIEW}/merchants", f"{OVERVIEW}/database"
KINDS = {
    "payment.process": "Payments",
    "refund.process": "Refunds",
    "webhook.deliver": "Webhooks",
    "webhook.retry": "Webhooks again",
    "webhook.ordered": "Webhooks in order",
    "recovery.run": "Recoveries",
}
"""Kinds of work as people say them."""
_LATE, _VERY_LATE = 10, 60  # seconds that due work may wait
_OPEN, _VERY_OPEN = 30, 300  # seconds that a transaction may stand open
_DEAD_SHARE, _DEAD = 0.3, 20_000
_SMALL = 1_000  # rows, living and dead: nothing that a table of so few does matters


class Finding(NamedTuple):
    """Something that is not as it should be."""

    tone: Literal["bad", "wait"]
    text: str
    about: str
    """What it means, or what to do."""
    path: str


class State(NamedTuple):
    """How a merchant is, in a few words."""

    text: str
    tone: Literal["good", "bad", "wait", "calm"]
    """`bad` where nothing arrives anywhere."""
    more: str
    """What else is wrong."""


class History(NamedTuple):
    """The partitions of one history, summed up."""

    name: str
    partitions: int
    bytes: int
    rows: int
    oldest: str | None
    """The first day, `20260131`; None without any."""
    newest: str | None
    stray_rows: int
    """In the partition for days that have none."""


def queue_findings(queue: Queue, dispatchers: Sequence[DispatcherRow]) -> list[Finding]:
    """What is wrong with the work, the worst first."""
    if not any(one.live for one in dispatchers):
        seen = max((one.seen_at for one in dispatchers), default=None)
        due, late = sum(one.due for one in queue.kinds), max((one.overdue_s for one in queue.kinds), default=0)
        about = "Nothing is processed and nothing delivered."
        about += f" {due:,} are due, the oldest for {span(late)}." if due else ""
        about += f" The last one was seen {span((datetime.now(UTC) - seen).total_seconds())} ago." if seen else ""
        return [Finding("bad", "No dispatcher works", about, OVERVIEW)]
    found = [
        Finding(
            "bad" if one.overdue_s > _VERY_LATE else "wait",
            f"{KINDS.get(one.kind or '', one.kind)} are late by {span(one.overdue_s)}",
            f"{one.due:,} are due and wait. More dispatchers, or a look at why these are slow.",
            OVERVIEW,
        )
        for one in sorted(queue.kinds, key=lambda one: -one.overdue_s)
        if one.overdue_s > _LATE
    ]
    return sorted(found, key=lambda one: one.tone)


def database_findings(
    tables: Sequence[Table],
    histories: Sequence[History],
    running: Sequence[RunningStatement],
    migrations: Sequence[Migration],
    now: datetime,
) -> list[Finding]:
    """What is wrong with the database, the worst first."""
    found: list[Finding] = []
    if pending := [one.id for one in migrations if one.applied_at is None]:
        text = f"{len(pending)} migration{'s' if len(pending) > 1 else ''} not applied"
        found.append(Finding("bad", text, f"{', '.join(sorted(pending)[:3])}: run ledgate migrate.", DATABASE))
    tomorrow = f"{now.astimezone(UTC) + timedelta(days=1):%Y%m%d}"
    for one in histories:
        if (one.newest or "") < tomorrow:
            about = f"The last is of {day(one.newest)}. A dispatcher makes them; see its log."
            found.append(Finding("bad", f"{one.name} has no partition for tomorrow", about, DATABASE))
        if one.stray_rows:
            about = f"About {one.stray_rows:,} rows came when their day had no partition."
            found.append(Finding("wait", f"{one.name} has rows outside of its days", about, DATABASE))
    for tx in running:
        if tx.open_s > _OPEN:
            about = "It holds up cleaning and the ledger's end. Find out who it is, or end it."
            text = f"{tx.application or 'Somebody'} has a transaction open for {span(tx.open_s)}"
            found.append(Finding("bad" if tx.open_s > _VERY_OPEN else "wait", text, about, DATABASE))
    found += [
        Finding(
            "wait",
            f"{one.name} is {one.dead_share:.0%} dead rows",
            f"{one.dead:,} dead of {one.live + one.dead:,}: vacuum does not keep up, or something holds it up.",
            DATABASE,
        )
        for one in tables
        if one.dead > _DEAD and one.dead_share > _DEAD_SHARE
    ]
    return sorted(found, key=lambda one: one.tone)


def by_size(tables: Sequence[Table]) -> tuple[list[Table], list[Table]]:
    """Tables that can matter, and those too small for it; without the heads of histories, which hold nothing."""
    own = [one for one in tables if one.bytes]
    return [one for one in own if one.live + one.dead >= _SMALL], [one for one in own if one.live + one.dead < _SMALL]


def histories(partitions: Sequence[Partition]) -> list[History]:
    """The partitions by history, in the order of their names."""
    found = []
    for name in sorted({one.history for one in partitions}):
        own = [one for one in partitions if one.history == name]
        days = sorted(one.day for one in own if one.day)
        found.append(
            History(
                name,
                len(days),
                sum(one.bytes for one in own),
                sum(one.rows_estimated for one in own),
                days[0] if days else None,
                days[-1] if days else None,
                sum(one.rows_estimated for one in own if one.day is None),
            )
        )
    return found


def day(digits: str | None) -> str:
    """`31 Jan 2026` of `20260131`."""
    return f"{datetime.strptime(digits, '%Y%m%d').replace(tzinfo=UTC):%-d %b %Y}" if digits else "never"


def state(merchant: MerchantRow) -> State:
    """How a merchant is: whether its endpoints get what they asked for, and if so, whether it has work."""
    counts = {"disabled": merchant.endpoints_disabled, "failing": merchant.endpoints_failing}
    wrong = [(number, word) for word, number in counts.items() if number]
    if not wrong:
        busy = merchant.payments or merchant.deliveries
        return State("healthy", "good", "") if busy else State("quiet", "calm", "")
    (number, word), *rest = wrong
    of = merchant.endpoints
    whose = "endpoint" if of == 1 else f"all {of} endpoints" if number == of else f"{number} of {of} endpoints"
    more = "".join(f"{number} more {word}" for number, word in rest)
    return State(f"{whose} {word}", "bad" if sum(counts.values()) >= of else "wait", more)


def size(number: float) -> str:
    """Bytes, in a unit that fits: `512 B`, `1.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:  # noqa: PLR2004
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"  # noqa: PLR2004
        number /= 1000
    return f"{number:,.1f} TB"
