"""Plans of all pages, at a hundredth of the size that `python -m bench.dashboard` measures."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from bench import dashboard, lists


async def test_every_page_reads_indexes_only(database_url: str) -> None:
    """No page reads a large table from end to end, or sorts more than a page; also within the database's functions.

    The operators' queue is the one that reads a table as a whole: the one that stays small.
    """
    now = datetime.now(UTC)
    with psycopg.connect(database_url, autocommit=True) as owner:
        for _ in lists.fill(owner, lists.Scale(20_000, 50_000), now=now):
            pass
        dashboard.enrich(owner)
        (events,) = owner.execute("SELECT count(*) FROM events").fetchall()
    assert (await dashboard.count(database_url))[:1] == events
    results = [one async for one in dashboard.measure(database_url, now=now, times=0)]
    assert [(one.page, one.faults) for one in results if one.faults and one.page != "operator, queue"] == []
    by_page = {one.page: one for one in results}
    assert all(one.statements > 0 for one in results)
    assert by_page["overview 30d"].indexes >= {"figures_pkey", "endpoints_pkey"}
    assert "payments_by_instrument" in by_page["search by nothing"].indexes
    assert "payments_by_order" in by_page["search by order"].indexes
