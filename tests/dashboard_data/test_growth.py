"""The past that `ledgate demo` makes up: believable, within every rule of the ledger, once, and in test mode only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from gateway import demo
from gateway.config import Config, load
from gateway.growth.grow import Grown, grow
from gateway.secrets import make_sealer
from kit.config import ConfigError
from schema.invariants import broken

NOW = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
"""The same in every run, as is the past that ends there."""
Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def growing(config: Config) -> Callable[..., Grown | None]:
    asyncio.run(demo.seed(config.database_url, config))

    def work(**options: Any) -> Grown | None:
        return grow(config.database_url, config, make_sealer(config), now=NOW, **{"payments": 250} | options)

    return work


def test_a_month_breaks_no_rule_and_comes_once(growing: Callable[..., Grown | None], conn: Conn) -> None:
    """Every invariant holds; every day has its partition; a second run adds nothing, unless it is asked to."""
    made = growing()
    assert made is not None
    with psycopg.connect(conn.info.dsn, password=conn.info.password) as plain:
        assert broken(plain) == {}
    assert growing() is None
    counts = conn.execute(
        "SELECT (SELECT count(*) FROM payments) AS payments, (SELECT count(*) FROM events) AS events,"
        " (SELECT count(*) FROM webhook_logs) AS deliveries,"
        " (SELECT count(*) FROM events_default) + (SELECT count(*) FROM delivery_attempts_default) AS strays"
    ).fetchone()
    assert counts == {
        "payments": made.payments, "events": made.events, "deliveries": made.deliveries, "strays": 0,
    }  # fmt: skip
    more = growing(again=True, payments=30)
    assert more is not None
    with psycopg.connect(conn.info.dsn, password=conn.info.password) as plain:
        assert broken(plain) == {}
    endpoints = conn.execute("SELECT count(*) AS n FROM endpoints").fetchone()
    assert endpoints == {"n": 7}


def test_there_is_something_to_see_of_everything(growing: Callable[..., Grown | None], conn: Conn) -> None:
    """Methods, currencies, failures with their reasons, captures, refunds; endpoints that are well, slow, dead."""
    growing(payments=600)

    def values(query: str) -> set[Any]:
        return {next(iter(row.values())) for row in conn.execute(query.encode()).fetchall()}

    assert values("SELECT method || ' ' || status FROM payments") >= {
        "upi success", "upi failed", "card success", "card failed",
    }  # fmt: skip
    assert len(values("SELECT error_code FROM payments WHERE status = 'failed'")) >= 4
    assert len(values("SELECT card_brand FROM payments WHERE method = 'card'")) == 4
    assert values("SELECT flow FROM payments WHERE method = 'upi'") == {"collect", "intent", "qr"}
    assert values("SELECT currency FROM payments") == {"INR", "USD"}
    assert values("SELECT status FROM refunds") >= {"processed", "failed"}
    assert values("SELECT amount_refunded = amount FROM payments WHERE amount_refunded > 0") == {True, False}
    assert values("SELECT type FROM events") >= {"endpoint.failing", "endpoint.disabled", "order.paid"}
    assert values("SELECT state FROM recoveries") == {"done"}
    assert values("SELECT status FROM webhook_logs") >= {"success", "failed"}
    (dead,) = conn.execute("SELECT disabled_reason, disabled_at < %s AS over FROM endpoints WHERE NOT enabled", [NOW])
    assert dead == {"disabled_reason": "every attempt failed for 5 days (last: no connection: connection refused)",
                    "over": True}  # fmt: skip
    codes = values("SELECT coalesce(response_code, 0) FROM delivery_attempts")
    assert codes >= {0, 200, 202, 500, 503}
    assert values("SELECT count(DISTINCT created_at::date) FROM payments").pop() >= 28
    night, evening = (
        values(f"SELECT count(*) FROM payments WHERE extract(hour FROM created_at AT TIME ZONE 'Asia/Kolkata') {hours}")
        for hours in ("BETWEEN 2 AND 5", "BETWEEN 18 AND 21")
    )
    assert evening.pop() > 5 * night.pop()


def test_the_same_seed_makes_the_same_past(growing: Callable[..., Grown | None], conn: Conn) -> None:
    growing(payments=60, days=5)
    query = b"SELECT md5(string_agg(id || amount || status || amount_refunded, ',' ORDER BY id)) AS sum FROM payments"
    first = conn.execute(query).fetchone()
    conn.execute(
        "TRUNCATE payments, refunds, orders, events, deliveries, delivery_attempts, outbox, idempotency_keys,"
        " simulator.charges, simulator.movements, endpoint_health, recoveries"
    )
    conn.execute("DELETE FROM endpoints WHERE NOT is_default OR merchant_id <> 'mer_demo'")
    conn.execute("DELETE FROM merchants WHERE id LIKE 'mer_demo_%'")
    growing(payments=60, days=5)
    assert conn.execute(query).fetchone() == first


def test_no_past_outside_of_test_mode_nor_without_a_demo(config: Config, database_url: str, conn: Conn) -> None:
    """Not in a database that is somebody's."""
    earnest = load({"DATABASE_URL": database_url, "LEDGATE_SECRET_KEYS": "a" * 64})
    with pytest.raises(ConfigError, match="test mode"):
        grow(database_url, earnest, make_sealer(config), now=NOW)
    with pytest.raises(ConfigError, match="no demo merchant"):
        grow(database_url, config, make_sealer(config), now=NOW)
    assert conn.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 0}
