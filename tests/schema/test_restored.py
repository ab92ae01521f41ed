"""A ledger that was restored to another server goes on after what it holds."""

from __future__ import annotations

from typing import Any

import psycopg

from schema import restored
from schema.migrate import migrate
from tests.support import alone

server_alone, database_url = alone.server_alone, alone.database_url

_APPEND = "INSERT INTO events ({}) VALUES (1, 'mer_x', %s, 'payment.created', 'pay_x', 0, '{{}}', now(){})"
_COLUMNS = "bucket, merchant_id, id, type, subject_id, deliveries, body, created_at"
_LEDGER = "SELECT id FROM events WHERE xact_id < events_horizon() ORDER BY xact_id, id"


def _append(conn: psycopg.Connection[dict[str, Any]], event_id: str, xact_id: str | None = None) -> None:
    if xact_id is None:
        conn.execute(_APPEND.format(_COLUMNS, ""), [event_id])
    else:
        conn.execute(_APPEND.format(_COLUMNS + ", xact_id", ", %s"), [event_id, xact_id])


def _ledger(conn: psycopg.Connection[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in conn.execute(_LEDGER)]


def test_new_events_come_after_restored_ones(database_url: str, conn: psycopg.Connection[dict[str, Any]]) -> None:
    """Another server's transactions had high numbers; here they count from low ones. Twice, as restores may be."""
    _append(conn, "evt_restored_1", "900000000001")
    _append(conn, "evt_restored_2", "900000000002")
    assert _ledger(conn) == []

    migrate(database_url)
    _append(conn, "evt_new")
    assert _ledger(conn) == ["evt_restored_1", "evt_restored_2", "evt_new"]

    _append(conn, "evt_again", "5000000000000")
    migrate(database_url)
    _append(conn, "evt_last")
    assert _ledger(conn) == ["evt_restored_1", "evt_restored_2", "evt_new", "evt_again", "evt_last"]


def test_a_server_s_own_events_change_nothing(database_url: str, conn: psycopg.Connection[dict[str, Any]]) -> None:
    """Its newest event may be the newest of all transactions."""
    _append(conn, "evt_1")
    with psycopg.connect(database_url) as plain:
        assert restored.go_on(plain) is None
    _append(conn, "evt_2")
    assert _ledger(conn) == ["evt_1", "evt_2"]


def test_an_open_transaction_holds_the_shifted_ledger_too(
    database_url: str, conn: psycopg.Connection[dict[str, Any]]
) -> None:
    _append(conn, "evt_restored", "900000000001")
    migrate(database_url)
    with psycopg.connect(database_url) as slow:
        slow.execute(_APPEND.format(_COLUMNS, ""), ["evt_late"])
        _append(conn, "evt_after")
        assert _ledger(conn) == ["evt_restored"]
        slow.commit()
    assert _ledger(conn) == ["evt_restored", "evt_late", "evt_after"]
