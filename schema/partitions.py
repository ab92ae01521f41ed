"""Make the histories' partitions ahead of time, drop those past their retention, and watch for rows without one.

The histories are cut by day at the time-ordered ids that they are keyed by; all days are UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from kit import ids

if TYPE_CHECKING:
    from collections.abc import Sequence

HISTORIES = {"events": "evt", "deliveries": "dlv", "delivery_attempts": "dlv"}
"""Table -> prefix of the id that it is cut by."""

DAYS_AHEAD = 7
_LOCK = 0x1ED6A7E5  # any constant: two processes must not make the same partition at once
_DROPPING = _LOCK + 1
_DAY = re.compile(r"_(\d{8})\Z")

# A new or dropped partition takes the history for itself, and whoever comes while it waits for a long reader waits
# behind it. So it waits shorter than the 1 s after which PostgreSQL looks for deadlocks: it is always the one that
# gives way, and comes back with the next housekeeping. (DETACH … CONCURRENTLY would wait for readers without holding
# anybody up, but PostgreSQL refuses it where there is a default partition, which is what catches rows without one.)
PATIENCE = "SET LOCAL lock_timeout = '300ms'"
"""The first statement of a transaction that makes or drops partitions."""


class Dropped(NamedTuple):
    """What became of days past their retention."""

    partitions: list[str]
    """Dropped, with all that was in them."""
    owed: list[date]
    """Kept, since deliveries of these days are still open."""
    busy: list[date]
    """Kept, since somebody reads or writes for long; to be tried again."""


def ensure(conn: psycopg.Connection[Any], today: date) -> list[str]:
    """Create what is missing from yesterday to `DAYS_AHEAD` days after `today`, and name what was created.

    Safe to call from several processes at once; the caller commits.
    """
    conn.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    there = {name for names in _days(conn).values() for name in names}
    created = []
    for table, prefix in HISTORIES.items():
        for offset in range(-1, DAYS_AHEAD + 1):
            day = today + timedelta(days=offset)
            name = f"{table}_{day:%Y%m%d}"
            if name in there:
                continue
            conn.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(name),
                    sql.Identifier(table),
                    _start(prefix, day),
                    _start(prefix, day + timedelta(days=1)),
                )
            )
            created.append(name)
    return created


def drop_past(conn: psycopg.Connection[Any], today: date, *, events: int, attempts: int) -> Dropped:
    """Drop the days that are past their retention, the oldest first, each in a transaction of its own.

    Events go with their deliveries and attempts; a day of which a delivery is still open stays. Safe in several
    processes at once, and to be killed in: a day is dropped with the note of where the history begins, or not at all.

    Args:
        conn: autocommits.
        today: in UTC; the day itself is always kept.
        events: days that events and finished deliveries are kept; 0 for ever.
        attempts: days that attempts are kept; 0 for as long as events. No more than `events`.
    """
    done = Dropped([], [], [])
    if conn.execute("SELECT pg_try_advisory_lock(%s)", [_DROPPING]).fetchone() != (True,):
        return done  # another process is at it
    try:
        _drop(conn, today, events, attempts, done)
    finally:
        if not conn.closed:
            conn.execute("SELECT pg_advisory_unlock(%s)", [_DROPPING])
    return done


def _drop(conn: psycopg.Connection[Any], today: date, events: int, attempts: int, done: Dropped) -> None:
    events_from = today - timedelta(days=events) if events else date.min
    attempts_from = today - timedelta(days=attempts) if attempts else events_from
    for day, names in sorted(_days(conn).items()):
        if done.busy:
            return  # whoever reads so long reads the next day too
        if day < events_from:
            _drop_day(conn, day, names, ("events", "delivery_attempts"), done)
        elif day < attempts_from:
            of_attempts = [name for name in names if name.startswith("delivery_attempts")]
            _drop_day(conn, day, of_attempts, ("delivery_attempts",), done)
    conn.execute(
        # What was sent once more after its day's attempts were dropped has nowhere else to go.
        "DELETE FROM delivery_attempts_default a USING histories h"
        " WHERE h.name = 'delivery_attempts' AND a.delivery_id < h.first_id AND a.started_at < h.kept_from"
    )


def strays(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows in each default partition, counted up to 1,000: anything but 0 means that partitions are missing.

    Attempts of deliveries whose day was dropped belong there.
    """
    counts = {}
    for table in HISTORIES:
        query = sql.SQL(
            "SELECT count(*) FROM (SELECT FROM {} WHERE {} >="
            " coalesce((SELECT first_id FROM histories WHERE name = %s), '') LIMIT 1000) AS stray"
        )
        key = "delivery_id" if table == "delivery_attempts" else "id"
        name = "delivery_attempts" if table == "delivery_attempts" else None
        found = conn.execute(query.format(sql.Identifier(f"{table}_default"), sql.Identifier(key)), [name]).fetchone()
        counts[table] = found[0] if found else 0
    return counts


def _drop_day(
    conn: psycopg.Connection[Any], day: date, names: Sequence[str], histories: Sequence[str], done: Dropped
) -> None:
    if not names:
        return
    if _owed(conn, day):  # asked first without a lock: a day may stay for long
        done.owed.append(day)
        return
    try:
        with conn.transaction():
            conn.execute(PATIENCE)
            tables = [sql.Identifier(name.rpartition("_")[0]) for name in names]
            # In the order in which the API takes them; whoever holds one and wants the other makes us give way.
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(", ").join(tables)))
            # From here on nothing can be moved back to the queue; what was before is seen by this statement.
            if _owed(conn, day):
                done.owed.append(day)
                return
            for name in names:
                conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
            for history in histories:
                after = day + timedelta(days=1)
                conn.execute(
                    "INSERT INTO histories AS h (name, kept_from, first_id) VALUES (%s, %s, %s) ON CONFLICT (name)"
                    " DO UPDATE SET kept_from = EXCLUDED.kept_from, first_id = EXCLUDED.first_id"
                    " WHERE h.kept_from < EXCLUDED.kept_from",
                    [history, _midnight(after), _bound(HISTORIES[history], after)],
                )
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        done.busy.append(day)
    else:
        done.partitions.extend(names)


def _owed(conn: psycopg.Connection[Any], day: date) -> bool:
    """Whether a delivery of that day is open: by key, merchant by merchant, since the queue may be long."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM merchants m CROSS JOIN LATERAL ("
        " SELECT FROM outbox o WHERE o.bucket = m.bucket AND o.merchant_id = m.id AND o.id >= %s AND o.id < %s"
        " LIMIT 1) AS open)",
        [_bound("dlv", day), _bound("dlv", day + timedelta(days=1))],
    ).fetchone()
    return row is None or bool(row[0])


def _days(conn: psycopg.Connection[Any]) -> dict[date, list[str]]:
    """The partitions that are there, by their day, in the order of `HISTORIES`."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " JOIN pg_class p ON p.oid = i.inhparent WHERE p.relname = ANY(%s)"
            " ORDER BY array_position(%s, p.relname::text)",
            [list(HISTORIES), list(HISTORIES)],
        )
        names = [row[0] for row in cursor]
    found: dict[date, list[str]] = {}
    for name in names:
        if day := _DAY.search(name):
            found.setdefault(datetime.strptime(day[1], "%Y%m%d").replace(tzinfo=UTC).date(), []).append(name)
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _bound(prefix: str, day: date) -> str:
    return ids.lower_bound(prefix, _midnight(day).timestamp())


def _start(prefix: str, day: date) -> sql.Literal:
    return sql.Literal(_bound(prefix, day))
