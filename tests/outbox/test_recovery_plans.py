"""A step of a recovery costs what it looks at, whatever lies in the history: index walks only, and few pages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql as composed

from bench import plans
from gateway import demo
from gateway.config import Config
from kit import ids, sql
from kit.db import PLANS
from outbox import recoveries
from outbox.recoveries import COUNTED, LOOKED_AT, MAX_WAITING, Scope
from schema import partitions
from tests.faults.shop import report
from tests.support.paying import MERCHANT

DAYS, A_DAY = (20, 20_000) if os.environ.get("FAULTS") == "long" else (3, 2_000)
"""Days, and events of each: of ten, eight were delivered, one failed and one reached nobody."""

_PARAMETER = re.compile(r"%\((\w+)\)s")


@pytest.fixture
async def history(config: Config) -> str:
    """The default endpoint of a merchant with a history."""
    await demo.seed(config.database_url, config)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with psycopg.connect(config.database_url, autocommit=True) as conn:
        (endpoint,) = conn.execute("SELECT id FROM endpoints").fetchone() or ("",)
        for n in range(DAYS, 0, -1):
            day = midnight - timedelta(days=n)
            partitions.ensure(conn, day.date())
            values = {
                "id": ids.lower_bound("evt", day.timestamp())[4:14], "at": day, "count": A_DAY, "endpoint": endpoint,
                "bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id,
            }  # fmt: skip
            conn.execute(
                "INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)"
                " SELECT %(bucket)s, %(merchant_id)s, 'evt_' || %(id)s || lpad(n::text, 14, '0') || '00',"
                " 'payment.success', 'pay_' || n, 1, repeat('x', 600), %(at)s + n * interval '1 millisecond'"
                " FROM generate_series(1, %(count)s) AS n",
                values,
            )
            conn.execute(
                "INSERT INTO deliveries SELECT %(bucket)s, %(merchant_id)s,"
                " 'dlv_' || %(id)s || lpad(n::text, 14, '0') || '00', 'evt_' || %(id)s || lpad(n::text, 14, '0')"
                " || '00', 'payment.success', 'pay_' || n, %(endpoint)s,"
                " CASE n %% 10 WHEN 0 THEN 'failed' ELSE 'success' END, 1, 1, 200, %(at)s, %(at)s, %(at)s"
                " FROM generate_series(1, %(count)s) AS n WHERE n %% 10 <> 1",
                values,
            )
    return str(endpoint)


@pytest.mark.parametrize("analysed", ["never analysed", "analysed"])
async def test_steps_and_counts_read_indexes_only(config: Config, history: str, analysed: str) -> None:
    """Whether the planner knows what is there or not."""
    began = datetime.now(UTC) - timedelta(days=DAYS + 1)
    figures = [f"{DAYS * A_DAY:,} events of {DAYS} days, {analysed}"]
    with psycopg.connect(config.database_url, autocommit=True, options=f"{PLANS} -c jit=off -c timezone=UTC") as conn:
        if analysed == "analysed":
            conn.execute("ANALYZE")
        conn.execute("SET ROLE ledgate_dispatcher")
        for recovers in ("failed", "success", "missed"):
            scope = Scope(endpoint=None, event=None, recovers=(recovers,), since=began, until=datetime.now(UTC))
            walk = scope.walks[0]
            middle = scope.begin(walk)[:4] + ids.lower_bound("x", began.timestamp() + (DAYS // 2 + 1) * 86_400)[2:]
            values = recoveries.asked(scope, walk) | {
                "bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id, "place": middle,
            }  # fmt: skip
            name = {"deliveries": "count_recoverable", "events": "count_missed"}[walk]
            figures.append(_judge(conn, name, recovers, values | {"look": COUNTED[walk]}, most=None))
            conn.execute("RESET ROLE")
            conn.execute("DELETE FROM outbox")
            conn.execute("DELETE FROM recoveries")
            step = _leased(conn, scope, middle)
            conn.execute("SET ROLE ledgate_dispatcher")
            name = {"deliveries": "recover_deliveries", "events": "recover_missed"}[walk]
            # Some ten pages for each row that is moved, and up to seven for each that is looked at.
            figures.append(_judge(conn, name, recovers, values | step, most=10_000))
    report("\n".join(figures))
    assert history


def _leased(conn: psycopg.Connection[Any], scope: Scope, place: str) -> dict[str, object]:
    """A recovery in the middle of its walk, claimed; what its step of 100 asks for besides."""
    whose = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id}
    conn.execute(
        "INSERT INTO recoveries (bucket, merchant_id, id, recovers, since, until, up_to_now, rate, total,"
        " total_is_exact, place, xact_id, created_at, updated_at) SELECT %(bucket)s, %(merchant_id)s, 'rcv_x',"
        " %(recovers)s, %(since)s, %(until)s, false, 200, 0, true, %(place)s, '1', now(), now()",
        whose | {"recovers": list(scope.recovers), "since": scope.since, "until": scope.until, "place": place},
    )
    due = datetime.now(UTC)
    conn.execute(
        "INSERT INTO outbox (bucket, merchant_id, id, kind, claims, leased_by, next_retry_at, created_at)"
        " VALUES (%(bucket)s, %(merchant_id)s, 'rcv_x', 'recovery.run', 1, 'one', now() + interval '1 minute',"
        " now() - interval '1 minute')",
        whose,
    )
    return {
        "look": LOOKED_AT, "next_place": None, "chunk": 100, "most_open": MAX_WAITING, "id": "rcv_x", "claims": 1,
        "due_at": due, "dispatcher": "one",
    }  # fmt: skip


def _judge(
    conn: psycopg.Connection[Any], name: str, what: str, values: Mapping[str, object], *, most: int | None
) -> str:
    optional = sql.optional("outbox", name) & values.keys()
    text: str = sql.compose("outbox", name, frozenset(optional)).replace("%%", "%")
    names = list(dict.fromkeys(_PARAMETER.findall(text)))
    for number, parameter in enumerate(names, 1):
        text = text.replace(f"%({parameter})s", f"${number}")
    given = composed.SQL(", ").join(composed.Literal(values[parameter]) for parameter in names)
    with conn.transaction(force_rollback=True):
        conn.execute(f"PREPARE measured AS {text}".encode(), prepare=False)
        for _ in range(2):  # the second time no page is cold
            with conn.transaction(force_rollback=True):
                run = composed.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE measured ({})").format(given)
                row = conn.execute(run, prepare=False).fetchone()
    conn.execute("DEALLOCATE ALL")
    assert row is not None
    (explained,) = row[0]
    top = explained["Plan"]
    buffers = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    assert plans.faults(top) == (), name
    assert most is None or buffers < most, (name, what, buffers)
    return f"{name:20} {what:8} {buffers:7,} buffers {explained['Execution Time']:8.1f} ms"
