"""Bring a database to the newest schema: safe to run by several processes at once, and after one that died."""

from __future__ import annotations

import contextlib
import logging
import time
from contextlib import closing
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlunsplit

import psycopg
import yoyo

from kit import oldest
from schema import indexes, partitions, restored

if TYPE_CHECKING:
    from collections.abc import Iterator

# One process migrates at a time. The server frees this lock with the connection of whoever dies; yoyo's own lock is a
# row that would stay, and is broken while we hold ours.
_LOCK = 0x1ED6A7E
_AGAIN = 0.1

MIGRATIONS = resources.files("schema") / "migrations"


def migrate(database_url: str) -> list[str]:
    """Apply what is missing, make the coming days' partitions, and name the migrations that were applied.

    Raises:
        psycopg.OperationalError: the database is away, or too old.
    """
    return _run(database_url, up=True)


def rollback(database_url: str) -> list[str]:
    """Take back every migration, newest first, with all data, and name them. For tests and for a fresh start."""
    return _run(database_url, up=False)


def pending(conn: psycopg.Connection[Any]) -> list[str]:
    """Migrations that this code knows and the database has not applied."""
    known = sorted(
        entry.name.removesuffix(".sql")
        for entry in MIGRATIONS.iterdir()
        if entry.name.endswith(".sql") and not entry.name.endswith(".rollback.sql")
    )
    if conn.execute("SELECT to_regclass('_yoyo_migration')").fetchone() == (None,):
        return known
    applied = {row[0] for row in conn.execute("SELECT migration_id FROM _yoyo_migration")}
    return [name for name in known if name not in applied]


def _run(database_url: str, *, up: bool) -> list[str]:
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    with closing(psycopg.connect(database_url, autocommit=True, connect_timeout=10)) as conn:
        oldest.require(conn.info.server_version)
        _lock(conn)
        if missing := pending(conn) if up else []:
            with closing(psycopg.connect(database_url, autocommit=True, connect_timeout=10)) as builder:
                indexes.build(builder, [(MIGRATIONS / f"{name}.sql").read_text() for name in missing])
        with resources.as_file(MIGRATIONS) as folder:
            changed = list(_yoyo(database_url, str(folder), up=up))
        if up:
            with conn.transaction():
                partitions.ensure(conn, datetime.now(UTC).date())
                restored.go_on(conn)
            _count_statements(conn)
    return changed


def _lock(conn: psycopg.Connection[Any]) -> None:
    # Whoever waits within a statement has a snapshot, which an index that is built under this lock would wait for.
    while conn.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        time.sleep(_AGAIN)


def _count_statements(conn: psycopg.Connection[Any]) -> None:
    """Let operators see which statements are slow, where the server counts them and the login may say so."""
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
        loaded = str((conn.execute("SHOW shared_preload_libraries").fetchone() or ("",))[0])
        if "pg_stat_statements" in loaded.replace(" ", "").split(","):
            conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def _yoyo(database_url: str, folder: str, *, up: bool) -> Iterator[str]:
    backend = yoyo.get_backend(_yoyo_url(database_url))
    try:
        backend.break_lock()
        known = yoyo.read_migrations(folder)
        todo = backend.to_apply(known) if up else backend.to_rollback(known)
        with backend.lock():
            for migration in todo:
                # yoyo's own `apply_one` commits the steps and, later, that they were done: whoever died in between
                # left a database that nobody could migrate any more.
                with backend.transaction():
                    migration.process_steps(backend, "apply" if up else "rollback")
                    (backend.mark_one if up else backend.unmark_one)(migration, log=False)
                yield migration.id
    finally:
        backend.connection.close()


def _yoyo_url(database_url: str) -> str:
    """Yoyo takes URLs only; libpq also takes `host=… dbname=…`, and sockets as `?host=`."""
    given = psycopg.conninfo.conninfo_to_dict(database_url)
    user, password = (quote(str(given.pop(key, "") or ""), safe="") for key in ("user", "password"))
    host, port, name = (
        str(given.pop("host", "") or ""),
        given.pop("port", ""),
        str(given.pop("dbname", "") or ""),
    )
    options = {key: str(value) for key, value in given.items() if value is not None}
    if host.startswith("/"):
        options["host"], host = host, ""
    account = f"{user}:{password}@" if password else f"{user}@" if user else ""
    if ":" in host:
        host = f"[{host}]"
    place = f"{account}{host}" + (f":{port}" if port else "")
    if port and not host:
        options["port"] = str(port)
        place = account
    return urlunsplit(("postgresql+psycopg", place, "/" + quote(name), urlencode(options), ""))
