"""What operators are told first: which figures are trouble, and which are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard import operations
from dashboard.operations import History, database_findings, queue_findings
from dashboard.reading.operator import (
    DispatcherRow,
    MerchantRow,
    Migration,
    Partition,
    Queue,
    QueueRow,
    RunningStatement,
    Table,
)

NOW = datetime(2026, 1, 30, 23, 30, tzinfo=UTC)


def _dispatcher(*, live: bool = True) -> DispatcherRow:
    return DispatcherRow(
        id="d1", host="h", pid=1, version="1", delivered=0, processed=0, in_flight=0, started_at=NOW,
        seen_at=datetime.now(UTC) - timedelta(minutes=5), seen_s=0.1, live=live, lanes=[], per_second=0,
    )  # fmt: skip


def _work(kind: str, overdue_s: float) -> QueueRow:
    return QueueRow(
        kind=kind, merchant_id=None, merchant=None, open=7, due=7, waiting=0, leased=0, overdue_s=overdue_s, oldest_s=0
    )


def _queue(*kinds: QueueRow) -> Queue:
    return Queue(kinds=list(kinds), merchants=[], ages=[])


def _history(newest: str | None = "20260131", stray: int = 0) -> History:
    return History("events", 1, 1, 1, "20260101", newest, stray)


def _table(live: int, dead: int, *, size: int = 1) -> Table:
    return Table(
        name="outbox", live=live, dead=dead, bytes=size, last_autovacuum=None, last_vacuum=None,
        last_autoanalyze=None, updates=0, hot_updates=0,
    )  # fmt: skip


def _running(open_s: float, application: str = "ledgate-api") -> RunningStatement:
    return RunningStatement(
        pid=1, application=application, state="active", query="", running_s=1, open_s=open_s, waits_for=None
    )


@pytest.mark.parametrize(("overdue", "tone"), [(0, None), (9.9, None), (10.1, "wait"), (60, "wait"), (60.1, "bad")])
def test_work_is_late_after_ten_seconds_and_trouble_after_a_minute(overdue: float, tone: str | None) -> None:
    found = queue_findings(_queue(_work("webhook.deliver", overdue)), [_dispatcher()])
    assert [one.tone for one in found] == ([tone] if tone else [])


def test_the_worst_stands_first() -> None:
    queue = _queue(_work("refund.process", 20), _work("payment.process", 90), _work("webhook.retry", 30))
    told = [one.text for one in queue_findings(queue, [_dispatcher()])]
    assert told == [
        "Payments are late by 1 min 30 s", "Webhooks again are late by 30 s", "Refunds are late by 20 s",
    ]  # fmt: skip


def test_without_a_dispatcher_nothing_else_matters() -> None:
    (found,) = queue_findings(_queue(_work("webhook.deliver", 90)), [_dispatcher(live=False)])
    assert (found.tone, found.text) == ("bad", "No dispatcher works")
    assert found.about == (
        "Nothing is processed and nothing delivered. 7 are due, the oldest for 1 min 30 s."
        " The last one was seen 5 min ago."
    )
    (found,) = queue_findings(_queue(), [])
    assert found.about == "Nothing is processed and nothing delivered."


def test_a_database_that_keeps_well_gives_no_finding() -> None:
    applied = Migration(id="0001.x", applied_at=NOW)
    assert database_findings([_table(50_000, 20_000)], [_history()], [_running(29)], [applied], NOW) == []


@pytest.mark.parametrize("newest", [None, "20260130"])
def test_a_history_without_a_partition_for_tomorrow_is_trouble(newest: str | None) -> None:
    """Told while it is still today, UTC."""
    (found,) = database_findings([], [_history(newest)], [], [], NOW)
    assert (found.tone, found.text) == ("bad", "events has no partition for tomorrow")
    assert ("30 Jan 2026" if newest else "never") in found.about


def test_what_else_is_told() -> None:
    pending = [Migration(id=f"000{n}.x", applied_at=None) for n in (3, 2)]
    found = database_findings(
        [_table(50_000, 30_000), _table(10, 90), _table(90_000, 20_001)],
        [_history(stray=5)],
        [_running(31), _running(301, ""), _running(0.6)],
        pending,
        NOW,
    )
    assert [(one.tone, one.text) for one in found] == [
        ("bad", "2 migrations not applied"),
        ("bad", "Somebody has a transaction open for 5 min 1 s"),
        ("wait", "events has rows outside of its days"),
        ("wait", "ledgate-api has a transaction open for 31 s"),
        ("wait", "outbox is 38% dead rows"),
    ]
    assert found[0].about == "0002.x, 0003.x: run ledgate migrate."


def test_partitions_are_summed_up_by_history() -> None:
    def one(name: str, day: str | None, rows: int) -> Partition:
        return Partition(history="events", name=name, day=day, rows_estimated=rows, bytes=100)

    told = operations.histories([one("a", "20260102", 5), one("b", "20260101", 2), one("c", None, 1)])
    assert told == [History("events", 2, 300, 8, "20260101", "20260102", 1)]


def test_tables_that_cannot_matter_stand_aside() -> None:
    large, small, head = _table(500, 500), _table(999, 0), _table(0, 0, size=0)
    assert operations.by_size([large, small, head]) == ([large], [small])


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({}, ("quiet", "calm", "")),
        ({"payments": 1}, ("healthy", "good", "")),
        ({"endpoints": 1, "endpoints_failing": 1}, ("endpoint failing", "bad", "")),
        ({"endpoints": 3, "endpoints_disabled": 1}, ("1 of 3 endpoints disabled", "wait", "")),
        ({"endpoints": 3, "endpoints_failing": 2}, ("2 of 3 endpoints failing", "wait", "")),
        ({"endpoints": 3, "endpoints_disabled": 3}, ("all 3 endpoints disabled", "bad", "")),
        (
            {"endpoints": 2, "endpoints_disabled": 1, "endpoints_failing": 1},
            ("1 of 2 endpoints disabled", "bad", "1 more failing"),
        ),
    ],
)
def test_a_merchant_is_not_called_what_one_of_its_endpoints_is(
    about: dict[str, int], told: tuple[str, str, str]
) -> None:
    """Bad is it where nothing arrives anywhere."""
    figures = dict.fromkeys(
        ("payments", "succeeded", "failed", "deliveries", "open", "endpoints", "endpoints_disabled",
         "endpoints_failing"), 0,
    )  # fmt: skip
    merchant = MerchantRow(
        id="mer_x", name="X", created_at=NOW, volume={}, open_is="exact", oldest_at=None, last_payment_at=None,
        counted_to=None, **(figures | about),
    )  # fmt: skip
    assert operations.state(merchant) == told


@pytest.mark.parametrize(
    ("bytes_", "told"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (172_000, "172 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes_have_a_unit_that_fits(bytes_: float, told: str) -> None:
    assert operations.size(bytes_) == told
