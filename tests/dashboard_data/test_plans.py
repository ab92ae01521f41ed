"""Plans of all pages, at a hundredth of the size that `python -m bench.dashboard` measures."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from bench import dashboard, lists


async def test_every_page_reads_indexes_only(database_url: str) -> None:
    """No page reads a large table or index from end to end, or sorts more than a page; also within functions.

    But the operators' queue. Each index that is named below has a page that needs it, and would miss it.
    """
    now = datetime.now(UTC)
    with psycopg.connect(database_url, autocommit=True) as owner:
        for _ in lists.fill(owner, lists.Scale(20_000, 50_000, days=3), now=now):
            pass
        dashboard.enrich(owner)
        (events,) = owner.execute("SELECT count(*) FROM events").fetchall()
    assert (await dashboard.count(database_url))[:1] == events
    results = [one async for one in dashboard.measure(database_url, now=now, times=0)]
    assert [(one.page, one.faults) for one in results if one.faults] == []
    assert all(one.statements > 0 for one in results)
    by_page = {one.page: one.indexes for one in results}
    assert by_page["overview 30d"] >= {"figures_pkey", "endpoints_pkey", "outbox_pkey"}
    assert by_page["search by nothing"] >= {"payments_by_instrument", "orders_by_receipt"}
    assert by_page["search by order"] >= {"payments_by_order"}
    assert {name for used in by_page.values() for name in used} >= {
        "api_keys_by_merchant", "deliveries_pkey", "delivery_attempts_pkey", "events_pkey", "figure_places_pkey",
        "merchants_pkey", "orders_pkey", "outbox_due", "outbox_lines", "payments_pkey", "recoveries_pkey",
        "refunds_by_payment", "work_tally_pkey",
        "deliveries_bucket_merchant_id_id_idx",  # of failures
        "deliveries_bucket_merchant_id_subject_id_id_idx", "events_bucket_merchant_id_xact_id_id_idx",
    }  # fmt: skip
