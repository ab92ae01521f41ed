"""Row security: what the API's role sees and may do, whatever a statement says."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import Config
from gateway.merchants import bucket_of
from kit.db import Connection
from tests.support.paying import pay

OTHER = "mer_other"
TABLES = (
    "api_keys", "orders", "payments", "refunds", "idempotency_keys", "endpoints", "events", "outbox", "deliveries",
    "delivery_attempts", "webhook_logs",
)  # fmt: skip
ENTER = "SELECT set_config('ledgate.tenant', %s, true)"


@pytest.fixture
async def api_role(config: Config, db: Connection, conn: psycopg.Connection[Any]) -> Any:
    """A session as the API's: two merchants with a payment each, and whatever hangs on it."""
    await pay(db, config)
    for table in ("merchants", "api_keys", "orders", "payments", "idempotency_keys", "endpoints", "events", "outbox"):
        _copy(conn, table)
    conn.execute(
        "INSERT INTO refunds (bucket, merchant_id, id, payment_id, amount, created_at)"
        " SELECT bucket, merchant_id, 'rfnd_x', id, 1, now() FROM payments"
    )
    with psycopg.connect(config.database_url, autocommit=True, row_factory=dict_row) as made:
        made.execute("SET ROLE ledgate_api")
        yield made


@pytest.mark.parametrize("table", TABLES)
def test_a_statement_that_forgets_its_merchant_finds_nothing_of_anothers(api_role: Any, table: str) -> None:
    with api_role.transaction():
        api_role.execute(ENTER, [demo.MERCHANT_ID])
        seen = api_role.execute(sql.SQL("SELECT merchant_id FROM {}").format(sql.Identifier(table))).fetchall()

    assert {row["merchant_id"] for row in seen} <= {demo.MERCHANT_ID}
    if table in {"orders", "payments", "refunds", "events", "outbox", "endpoints", "webhook_logs", "api_keys"}:
        assert seen


@pytest.mark.parametrize("table", ["orders", "payments", "refunds", "events", "webhook_logs", "api_keys", "merchants"])
def test_a_statement_that_names_no_merchant_fails(api_role: Any, table: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="names no tenant"):
        api_role.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))


def test_a_name_ends_with_its_transaction(api_role: Any) -> None:
    with api_role.transaction():
        api_role.execute(ENTER, [demo.MERCHANT_ID])
        assert api_role.execute("SELECT FROM payments").rowcount == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        api_role.execute("SELECT FROM payments")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments SET version = version + 1",
        "UPDATE endpoints SET url = 'http://evil'",
        "UPDATE outbox SET attempts = 0",
        "UPDATE api_keys SET revoked_at = now()",
        "DELETE FROM endpoints",
    ],
)
def test_no_write_reaches_anothers_rows(api_role: Any, conn: psycopg.Connection[Any], statement: str) -> None:
    table = sql.Identifier(statement.split()[1 if statement.startswith("UPDATE") else 2])
    rows = sql.SQL("SELECT *, xmin FROM {} WHERE merchant_id = %s ORDER BY id").format(table)
    mine, others = [conn.execute(rows, [merchant]).fetchall() for merchant in (demo.MERCHANT_ID, OTHER)]

    _as(api_role, OTHER, statement)

    assert conn.execute(rows, [demo.MERCHANT_ID]).fetchall() == mine
    assert conn.execute(rows, [OTHER]).fetchall() != others


def test_no_row_can_be_made_for_another(api_role: Any) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        _as(
            api_role,
            OTHER,
            "INSERT INTO orders (bucket, merchant_id, id, amount, currency, created_at, updated_at)"
            f" VALUES ({bucket_of(demo.MERCHANT_ID)}, '{demo.MERCHANT_ID}', 'o', 1, 'INR', now(), now())",
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}'",
        "DELETE FROM events",
        "TRUNCATE events",
        "UPDATE payments SET status = 'success'",
        "UPDATE payments SET amount = 1",
        "DELETE FROM payments",
        "UPDATE orders SET amount = 1",
        "UPDATE refunds SET amount = 1",
        "UPDATE api_keys SET secret_hash = ''",
        "UPDATE api_keys SET last_used_at = NULL",
        "SELECT * FROM sessions",
        "INSERT INTO deliveries SELECT * FROM deliveries",
        "SELECT * FROM events_default",
        "SELECT * FROM simulator.charges",
        "CREATE TABLE mine ()",
        "ALTER TABLE payments ADD COLUMN x int",
        "DROP TABLE payments",
        "ALTER TABLE payments DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON payments USING (true)",
        "DROP FUNCTION tenant()",
    ],
)
def test_the_api_may_not(api_role: Any, statement: str) -> None:
    """Alter the schema, change or delete a fact, settle a payment, read past the policies."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        _as(api_role, demo.MERCHANT_ID, statement)
    assert "names no tenant" not in str(caught.value)


def test_every_tenant_table_has_row_security(conn: psycopg.Connection[Any]) -> None:
    """A table of tomorrow with a merchant in it, without a policy, fails here.

    Sessions are looked up before it is known whose pages they show, and the API sees none of them.
    """
    open_tables = conn.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id'"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT c.relrowsecurity"
        " AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'sessions'"
    ).fetchall()
    assert open_tables == []


def _as(api_role: Any, merchant_id: str, statement: str) -> Any:
    with api_role.transaction():
        api_role.execute(ENTER, [merchant_id])
        return api_role.execute(statement)


def _copy(conn: psycopg.Connection[Any], table: str) -> None:
    """The demo merchant's rows once more, as another merchant's of the same bucket."""
    key = "id" if table == "merchants" else "merchant_id"
    names = [
        row["attname"]
        for row in conn.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
    ]
    picks = [sql.Literal(OTHER) if name == key else sql.Identifier(name) for name in names]
    if table == "api_keys":
        picks[names.index("id")] = sql.Literal("key_other")
    conn.execute(
        sql.SQL("INSERT INTO {table} ({names}) SELECT {picks} FROM {table} WHERE {key} = {demo}").format(
            table=sql.Identifier(table),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            picks=sql.SQL(", ").join(picks),
            key=sql.Identifier(key),
            demo=sql.Literal(demo.MERCHANT_ID),
        )
    )
