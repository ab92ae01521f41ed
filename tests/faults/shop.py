"""A shop to break: real processes over a database, the demo merchant, and what must be true when all is quiet again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from gateway import demo
from gateway.config import load as read_settings
from schema.invariants import broken
from tests.support import calls
from tests.support.load import HEADERS, Load
from tests.support.ports import steady_port
from tests.support.processes import Process, Stack, stack
from tests.support.waiting import until

LONG = os.environ.get("FAULTS") == "long"
"""Whether to take the time for many rounds; `make test-faults` does."""

Row = dict[str, Any]
Look = psycopg.Connection[Row]


@contextlib.contextmanager
def open_shop(database_url: str, folder: Path, **settings: str) -> Iterator[Stack]:
    """A stack with the demo merchant and its receiver; API and dispatchers are the test's to start."""
    api, receiver = steady_port(), steady_port()
    settings = {"PORT": str(api), "LEDGATE_TEST_MERCHANT_PORT": str(receiver), **settings}
    with stack(database_url, folder, **settings) as shop:
        shop.api_port, shop.url = api, f"http://127.0.0.1:{api}"
        shop.merchant_port, shop.receiver_url = receiver, f"http://127.0.0.1:{receiver}"
        asyncio.run(demo.seed(database_url, read_settings(shop.env)))
        shop.start_receiver()
        yield shop


def pay(shop: Stack, **request: Any) -> Row:
    """Start one payment of the reusable order, or as asked."""
    body = {"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "user@paytm", **request}
    answer = calls.post(f"{shop.url}/api/v1/payments", json=body, headers=HEADERS)
    assert answer.status_code == 201, answer.text
    found: Row = answer.json()
    return found


def behave(shop: Stack, mode: str, **how: Any) -> None:
    """Tell the receiver how to answer from now on."""
    calls.put(f"{shop.receiver_url}/behaviour", json={"mode": mode, **how}).raise_for_status()


def received(shop: Stack, **query: Any) -> Row:
    """What came to the receiver."""
    found: Row = calls.get(f"{shop.receiver_url}/received", params=query, timeout=30).json()
    return found


def count(conn: Look, query: str, *values: Any) -> int:
    """The number in the only row of a `SELECT count(*) AS n`."""
    row = conn.execute(query, values).fetchone()  # type: ignore[call-overload]
    return int(row["n"])


def owed(conn: Look) -> int:
    """Works that are still open."""
    return count(conn, "SELECT count(*) AS n FROM outbox")


def leased(conn: Look, kind: str) -> int:
    """Works of a kind that a dispatcher holds."""
    return count(
        conn,
        "SELECT count(*) AS n FROM outbox WHERE kind = %s AND leased_by IS NOT NULL AND next_retry_at > now()",
        kind,
    )


def await_quiet(conn: Look, *, within: float = 60.0) -> None:
    """Wait until no work is left."""
    until(lambda: owed(conn) == 0, within=within, what="an empty outbox")


def assert_sound(conn: Look) -> None:
    """No invariant is broken, and nothing was given up."""
    assert broken(conn) == {}
    assert count(conn, "SELECT count(*) AS n FROM deliveries WHERE status <> 'success'") == 0


def assert_all_told(shop: Stack, conn: Look) -> Row:
    """The receiver acted on every event of the ledger exactly once, and on nothing else; returns what it says."""
    told = received(shop, limit=1)
    ledger = {row["type"]: row["n"] for row in conn.execute("SELECT type, count(*) AS n FROM events GROUP BY type")}
    assert told["counts"] == ledger
    assert told["rejected"] == 0
    return told


def assert_kept(load: Load, conn: Look) -> None:
    """Every 201 that a client saw is in the ledger once and as it was told, and nothing that nobody asked for."""
    assert load.wrong == []
    rows = {
        row["key"]: row
        for row in conn.execute(
            "SELECT k.key, k.body, p.id, p.order_id, p.amount, p.currency, p.method, p.vpa, p.card_last4, p.created_at"
            " FROM idempotency_keys k JOIN payments p ON p.bucket = k.bucket AND p.merchant_id = k.merchant_id"
            " AND p.id = k.body::json ->> 'id'"
        )
    }
    missing = load.acknowledged.keys() - rows.keys()
    assert not missing
    for key, answer in load.acknowledged.items():
        row, told = rows[key], msgspec.json.decode(answer.body)
        assert row["body"].encode() == answer.body
        assert {name: told.get(name) for name in ("id", "order_id", "amount", "currency", "method", "vpa")} == {
            name: row[name] for name in ("id", "order_id", "amount", "currency", "method", "vpa")
        }
        assert told.get("card", {}).get("last4") == row["card_last4"]
        assert told["status"] == "pending"
        assert told["amount"] == answer.request.get("amount", demo.AMOUNT)
    assert rows.keys() == load.acknowledged.keys()
    assert count(conn, "SELECT count(*) AS n FROM payments") == len(rows)


def report(figures: str) -> None:
    """Say what a test saw, for whoever runs it with -s or -rP."""
    sys.stdout.write(f"\n{figures}\n")


def outages(process: Process) -> tuple[int, int]:
    """How often a process said that the database is away, and that it is back."""
    return len(process.said("database.away")), len(process.said("database.back"))


def assert_calm(*processes: Process) -> None:
    """Nothing in these logs that an operator would have to look into."""
    for process in processes:
        text = process.log.read_text()
        assert "Traceback" not in text, text[-4000:]
        assert not [line for line in process.lines() if line.get("level") in {"error", "critical"}], text[-4000:]
        assert not [line for line in text.splitlines() if line and not line.startswith("{")], text[-4000:]
