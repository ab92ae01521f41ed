"""The schema goes up, down and up again, whoever else migrates, and is what `head.sql` says."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kit import ids
from schema import partitions
from schema.migrate import MIGRATIONS, migrate, pending, rollback
from tests.support.dump import dump
from tests.support.processes import ROOT
from tests.support.waiting import until

HEAD = ROOT / "schema" / "head.sql"
REFERENCE_TABLES = {
    "merchants", "api_keys", "dispatchers", "work_tally", "histories", "users", "memberships", "recovery_codes",
    "password_links", "sessions", "sign_in_tries",
}  # fmt: skip
"""Not a merchant's rows, or found before the bucket is known (DESIGN.md)."""

KEYS = """
    SELECT c.conrelid::regclass::text AS table_name, c.conname AS key_name, a.attname AS first_column
    FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    WHERE c.contype IN ('p', 'u', 'f') AND c.connamespace = 'public'::regnamespace
    UNION ALL
    SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, a.attname
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    JOIN pg_class t ON t.oid = i.indrelid WHERE t.relnamespace = 'public'::regnamespace AND i.indisvalid
"""


def test_up_down_up(empty_database_url: str) -> None:
    """Every migration can be taken back, and applied again."""
    applied = migrate(empty_database_url)
    assert applied == sorted(applied)
    assert migrate(empty_database_url) == []

    assert rollback(empty_database_url) == applied[::-1]
    with psycopg.connect(empty_database_url) as conn:
        left = conn.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'i')"
            " AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace,"
            " 'pg_toast'::regnamespace) AND relname NOT LIKE '%yoyo%'"
        ).fetchall()
        assert left == []
        assert pending(conn) == applied

    assert migrate(empty_database_url) == applied


def test_schema_is_what_head_sql_says(database_url: str) -> None:
    """The committed `schema/head.sql` shows a reader the whole schema. UPDATE_HEAD=1 writes it anew."""
    with psycopg.connect(database_url) as conn:
        if conn.info.server_version // 10000 != 18:
            # pg_dump words some clauses by the server's version; head.sql is PostgreSQL 18's.
            assert not pending(conn)
            return
    now = dump(database_url)
    if os.environ.get("UPDATE_HEAD"):
        HEAD.write_text(now)
    assert now == HEAD.read_text(), "the schema has changed: UPDATE_HEAD=1 make test ARGS=tests/schema"


def test_every_key_of_a_tenant_table_begins_with_bucket(database_url: str) -> None:
    """Primary keys, unique keys, foreign keys and indexes: a shard is named first everywhere."""
    with psycopg.connect(database_url) as conn:
        keys = conn.execute(KEYS).fetchall()
    tenant = [key for key in keys if key[0] not in REFERENCE_TABLES and "yoyo" not in key[0]]
    assert len(tenant) > 20
    assert [key for key in tenant if key[2] != "bucket"] == []


def test_several_processes_migrate_at_once(empty_database_url: str) -> None:
    """Four processes start together: all succeed, each migration is applied once."""
    env = {**os.environ, "DATABASE_URL": empty_database_url}
    started = [
        subprocess.Popen([sys.executable, "-m", "schema"], env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[0] for process in started]

    assert [process.returncode for process in started] == [0] * 4
    lines = "".join(said).splitlines()
    migrations = [
        path.stem for path in sorted((ROOT / "schema/migrations").glob("*.sql")) if "rollback" not in path.name
    ]
    assert sorted(line for line in lines if line != "up to date") == [f"applied {name}" for name in migrations]
    assert lines.count("up to date") == 3


def test_a_migration_and_the_note_that_it_was_applied_are_one_commit(empty_database_url: str) -> None:
    """A migrator that is killed between the two leaves a database that the next one migrates."""
    applied = migrate(empty_database_url)
    rollback(empty_database_url)
    env = {**os.environ, "DATABASE_URL": empty_database_url}
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        with conn.transaction():
            conn.execute("LOCK TABLE _yoyo_migration IN SHARE MODE")  # it can read what is there, and note nothing
            migrator = subprocess.Popen([sys.executable, "-m", "schema"], env=env, cwd=ROOT, start_new_session=True)
            until(lambda: _waits_to_note(empty_database_url), what="a migrator that has done its steps")
            migrator.kill()
            migrator.wait(10)
        until(lambda: not _others(empty_database_url), what="the end of its connections")
    assert migrate(empty_database_url) == applied


def _waits_to_note(url: str) -> bool:
    with psycopg.connect(url) as conn:
        query = "SELECT count(*) FROM pg_locks WHERE relation = '_yoyo_migration'::regclass AND NOT granted"
        return conn.execute(query).fetchone() == (1,)


def _others(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row[0] if row else 0


def test_a_lock_that_a_dead_migrator_left_is_broken(empty_database_url: str) -> None:
    """yoyo's lock is a row; one whose holder was killed must not stop everybody for ever."""
    migrate(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        conn.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 999999)")
    assert migrate(empty_database_url) == []


def test_an_index_is_built_while_payments_are_written(database_url: str) -> None:
    """Where a writer's transaction stands open, others write on. A build that was broken off is begun anew."""
    name = "0019.instruments"
    with psycopg.connect(database_url, autocommit=True) as conn, ThreadPoolExecutor(1) as migrator:
        conn.execute((MIGRATIONS / f"{name}.rollback.sql").read_text())
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [name])
        conn.execute(f'ALTER DATABASE "{conn.info.dbname}" SET lock_timeout = 50')
        with psycopg.connect(database_url) as writer:
            writer.execute("UPDATE payments SET notes = notes")
            broken_off = migrator.submit(migrate, database_url)
            builder = until(lambda: _builder(conn), what="an index's build")
            with conn.transaction():
                conn.execute("LOCK TABLE payments IN ROW EXCLUSIVE MODE NOWAIT")  # as every write does
            conn.execute("SELECT pg_sleep(0.2), pg_terminate_backend(%s)", [builder])
            with pytest.raises(psycopg.errors.AdminShutdown):
                broken_off.result(15)
            assert _valid(conn) is False

            second = migrator.submit(migrate, database_url)
            until(lambda: _builder(conn) or second.done(), what="another build")
            with conn.transaction():
                conn.execute("LOCK TABLE payments IN ROW EXCLUSIVE MODE NOWAIT")
        assert second.result(15) == [name]
        assert _valid(conn) is True
        assert migrate(database_url) == []


def _builder(conn: psycopg.Connection[tuple[Any, ...]]) -> int | None:
    """The backend that waits for others' transactions with an index of payments under its hands."""
    found = conn.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND query ~ '^(CREATE|DROP) INDEX'"
    ).fetchone()
    return found[0] if found else None


def _valid(conn: psycopg.Connection[tuple[Any, ...]]) -> bool | None:
    found = conn.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('payments_by_instrument')"
    ).fetchone()
    return found[0] if found else None


def test_partitions_are_made_ahead(database_url: str) -> None:
    """A week of days is there; running again makes nothing; another day makes one more for each history."""
    today = datetime.now(UTC).date()
    with psycopg.connect(database_url, autocommit=True) as conn:
        with conn.transaction():
            assert partitions.ensure(conn, today) == []
        with conn.transaction():
            created = partitions.ensure(conn, today + timedelta(days=1))
    day = f"{today + timedelta(days=partitions.DAYS_AHEAD + 1):%Y%m%d}"
    assert sorted(created) == [f"{table}_{day}" for table in sorted(partitions.HISTORIES)]


@pytest.mark.parametrize(("when", "table"), [("today", "events_{:%Y%m%d}"), ("in a month", "events_default")])
def test_an_event_goes_to_its_day_and_strays_are_watched(database_url: str, when: str, table: str) -> None:
    """The id alone says which partition; a row without one lands in the default partition, which is counted."""
    today = datetime.now(UTC)
    moment = today if when == "today" else today + timedelta(days=30)
    event_id = ids.lower_bound("evt", moment.timestamp())
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO events VALUES (1, 'mer_x', %s, 'payment.created', 'pay_x', 0, '{}', now())", [event_id]
        )
        row = conn.execute("SELECT tableoid::regclass::text FROM events").fetchone()
        strays = partitions.strays(conn)
    assert row == (table.format(today),)
    assert strays["events"] == (0 if when == "today" else 1)


def test_day_bounds_are_utc_midnights() -> None:
    """An id made one millisecond before midnight sorts before the bound, one at midnight does not."""
    midnight = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    bound = ids.lower_bound("evt", midnight)
    assert ids.lower_bound("evt", midnight - 0.001) < bound
    assert bound == ids.lower_bound("evt", datetime.combine(date(2026, 3, 1), datetime.min.time(), UTC).timestamp())


def test_migrations_have_a_way_back() -> None:
    """No migration without its rollback file."""
    folder = ROOT / "schema/migrations"
    up = {path.stem for path in folder.glob("*.sql") if not path.name.endswith(".rollback.sql")}
    down = {Path(path.stem).stem for path in folder.glob("*.rollback.sql")}
    assert up == down
