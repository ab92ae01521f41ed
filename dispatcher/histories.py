"""Tend the histories: partitions for the days to come, nothing of what is past its retention."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import structlog

from gateway import audit
from schema import partitions

if TYPE_CHECKING:
    from datetime import date

    from psycopg.rows import TupleRow

    from gateway.config import Config

log = structlog.get_logger()


def tend(config: Config, today: date | None = None) -> None:
    """Make and drop partitions, as the login that owns the tables; say what was done, and what has to wait.

    Args:
        config: the settings.
        today: in UTC; the day that it is by default.

    Raises:
        psycopg.Error: the database is away, or the login may not.
    """
    today = today or datetime.now(UTC).date()
    with psycopg.connect(config.housekeeping_url, connect_timeout=10, autocommit=True) as conn:
        created = _make(conn, today)
        done = partitions.drop_past(conn, today, events=config.event_retention, attempts=config.attempts_kept)
        strays = {table: rows for table, rows in partitions.strays(conn).items() if rows}
        forgotten = audit.end(conn, config.audit_retention)
    if forgotten:
        log.info("audit.ended", entries=forgotten)
    if created:
        log.info("partitions.created", partitions=len(created))
    if done.partitions:
        log.info("partitions.dropped", partitions=len(done.partitions), newest=done.partitions[-1])
    if done.owed:
        # Something is open for longer than everything is kept: an endpoint in trouble, or a schedule that is too long.
        log.warning("partitions.owed", days=len(done.owed), oldest=str(done.owed[0]), reason="open deliveries")
    if done.busy:
        log.warning("partitions.busy", days=len(done.busy), oldest=str(done.busy[0]), reason="a long transaction")
    if strays:
        log.warning("partitions.missing", rows=strays)


def _make(conn: psycopg.Connection[TupleRow], today: date) -> list[str]:
    try:
        with conn.transaction():
            conn.execute(partitions.PATIENCE)
            return partitions.ensure(conn, today)
    except psycopg.errors.LockNotAvailable:
        # A week is there ahead; the next housekeeping is in an hour.
        log.warning("partitions.busy", days=1, oldest=str(today), reason="a long transaction")
        return []
