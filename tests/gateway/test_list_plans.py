"""Plans of all lists, at a hundredth of the size that `make bench-lists` measures."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from bench import lists, plans


@pytest.fixture
def results(database_url: str) -> list[lists.Result]:
    """The costs of every list with every filter, over 20,000 payments and 50,000 deliveries of 30 days."""
    now = datetime.now(UTC)
    with lists.connections(database_url) as (owner, api):
        for _ in lists.fill(owner, lists.Scale(20_000, 50_000), now=now):
            pass
        return list(lists.measure(owner, api, now=now))


def test_every_list_reads_indexes_only_and_deep_pages_cost_no_more(results: list[lists.Result]) -> None:
    """No sequential scan, no bitmap, no large sort; a page after 95 % of the list costs what the first one does."""
    assert {one.case.query[1] for one in results} == {
        "list_orders", "list_payments", "list_pending_payments", "list_refunds", "list_pending_refunds",
        "list_deliveries", "count_deliveries", "list_events",
    }  # fmt: skip
    assert [(one.case, one.faults) for one in results if one.faults] == []
    for one in results:
        assert one.first.read > 0, one.case
        most = max(one.first.buffers, one.deep.buffers)
        assert most < 1_000 or one.walks, one.case
    used = {index for one in results for index in (*one.first.indexes, *one.deep.indexes)}
    assert used >= {
        "orders_by_age", "orders_by_receipt", "payments_pkey", "payments_by_order", "refunds_pkey",
        "refunds_by_payment", "outbox_pkey", "deliveries_pkey",
    }  # fmt: skip


def test_what_no_list_may_do_is_noticed(conn: psycopg.Connection[object]) -> None:
    """A sequential scan and a large sort are told from a plan."""
    (row,) = conn.execute(
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT n FROM (SELECT n FROM generate_series(1, 5000) AS n) t ORDER BY -n"
    ).fetchall()
    (sorting,) = row["QUERY PLAN"]  # type: ignore[index]
    (row,) = conn.execute("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM merchants").fetchall()
    (scanning,) = row["QUERY PLAN"]  # type: ignore[index]
    assert plans.faults(sorting["Plan"]) == ("Sort of 5000 rows",)
    assert plans.faults(scanning["Plan"]) == ("Seq Scan on merchants",)
