"""C: statements and commits for each payment and each webhook; D: what a dispatcher does that has nothing to do.

Counted by pg_stat_statements, so that the bench's own statements can be told from the processes'. Every statement of
ours that is not between BEGIN and COMMIT is a commit of its own and one round trip.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from bench.deliveries import drain, receiver
from bench.payments import through_api
from bench.processor import used

if TYPE_CHECKING:
    from bench.stage import Database

# By the words that only one statement has; whatever is not named here is shown as `other`.
_NAMES = """
    SELECT CASE WHEN query ~ 'json_to_recordset.*head text' THEN 'create_payments'
                WHEN query ~ 'pg_notify.*set_config' THEN 'notify'
                WHEN query ~ 'FROM unnest.*SKIP LOCKED' THEN 'claim_due'
                WHEN query ~ 'LEFT JOIN events v' THEN 'load_deliveries'
                WHEN query ~ 'INSERT INTO delivery_attempts' THEN 'settle_deliveries'
                WHEN query ~ 'INSERT INTO dispatchers' THEN 'beat'
                WHEN query ~ 'FROM api_keys' THEN 'find_key'
                ELSE 'other' END AS name, sum(calls)::int, sum(total_exec_time), sum(total_plan_time)
    FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND query !~ 'pg_stat_statements|bench:'
    GROUP BY 1 ORDER BY 2 DESC
"""


class Counted(msgspec.Struct, frozen=True):
    """Calls of each statement for one unit of work."""

    units: int
    calls: dict[str, int]

    @property
    def commits(self) -> float:
        """Commits for one unit of work."""
        return sum(self.calls.values()) / self.units


class Idle(msgspec.Struct, frozen=True):
    """A second of a dispatcher without work."""

    statements: float
    cpu: float
    """Share of one processor, 1.0 being all of it."""
    server_cpu: float
    """The same of all processes of PostgreSQL together."""


def payments(database: Database, *, seconds: float) -> Counted:
    """Count under load through the API."""
    with database.api() as api:
        through_api(database, api, seconds=0.5, reuse=True)
        with database.stage.counting(database):
            _, result = through_api(database, api, seconds=seconds, reuse=True)
        return Counted(result.all_payments, _calls(database))


def webhooks(database: Database, *, count: int) -> Counted:
    """Count while a dispatcher drains, its start and its stop included."""
    with receiver(database) as port, database.stage.counting(database):
        drain(database, port, count=count)
    calls = _calls(database)
    # The bench's own: filling by batches, putting off, making due, counting what is open, waiting for the first beat.
    for name in ("other", "create_payments"):
        calls.pop(name, None)
    return Counted(count, calls)


def idle(database: Database, *, seconds: float) -> Idle:
    """Watch a dispatcher that found nothing for a while."""
    with database.dispatcher() as child:
        time.sleep(1.0)
        with database.stage.counting(database):
            server = database.stage.server.pid
            began, ours, theirs = time.perf_counter(), used(child.pid), used(server)
            time.sleep(seconds)
            took = time.perf_counter() - began
            ours, theirs = used(child.pid) - ours, used(server) - theirs
        return Idle(sum(_calls(database).values()) / took, ours / took, theirs / took)


def _calls(database: Database) -> dict[str, int]:
    return {name: calls for name, calls, _, _ in database.run(_NAMES)}
