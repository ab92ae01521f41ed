"""Notice events of another server: a ledger that was restored goes on after what it holds.

Events are read in the order of the transactions that wrote them (docs/decisions/0007). A dump that is restored to
another server brings the numbers of the old one's transactions, and the new one counts from a low number again: new
events would come before the restored ones, where no reader looks any more. So the difference is added to every number
from then on. Dumps within a server, physical copies and failovers keep counting, and change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

# Every transaction that this server has begun is below; a visible event above was not written here.
_FOREIGN = """
    SELECT max(xact_id)::text::bigint FROM events
    WHERE xact_id >= (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + events_shift())::text::xid8
"""


def go_on(conn: psycopg.Connection[Any]) -> int | None:
    """Raise `events_shift()` above the highest foreign transaction; what it is then, or None if there was none.

    Run after a restore and before anything writes. The caller commits.
    """
    if conn.execute(_FOREIGN).fetchone() == (None,):
        return None
    conn.execute("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE")
    row = conn.execute(_FOREIGN).fetchone()
    if row is None or row[0] is None:
        return None
    shift = int(row[0]) + 1
    body = sql.SQL("CREATE OR REPLACE FUNCTION events_shift() RETURNS bigint LANGUAGE sql IMMUTABLE RETURN {}::bigint")
    conn.execute(body.format(sql.Literal(shift)))
    return shift
