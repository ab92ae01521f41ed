"""The profiles: PgBouncer in transaction mode between us and the database, and pgAdmin beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from tests.containers.composed import Composed, composed
from tests.faults.shop import report
from tests.support.load import load
from tests.support.waiting import until


@pytest.fixture(scope="module")
def pooled(failed: Callable[[], bool]) -> Iterator[Composed]:
    """API and dispatchers that reach the database through PgBouncer alone."""
    with composed(failed=failed, LEDGATE_DATABASE_HOST="pooler") as project:
        project("--profile", "pooler", "up", "--wait", "--no-build", within=300)
        yield project


def test_everything_works_through_a_pooler(pooled: Composed) -> None:
    """Payments and webhooks, over fewer connections than we have sessions: none of them needs a session's state."""
    with load(pooled.url, connections=12, thinks=0.06) as running:
        running.await_more(100, within=150)
    pooled.await_quiet(within=150)

    sessions = pooled.execute(
        "SELECT usename, host(client_addr) AS address, count(*) AS n FROM pg_stat_activity"
        " WHERE usename IN ('api', 'dispatcher') GROUP BY 1, 2"
    )
    told = pooled.execute("SELECT status, count(*) AS n FROM deliveries GROUP BY status")
    report(f"{len(running.acknowledged)} payments; {sessions}; deliveries {told}")
    assert (running.wrong, running.refused, running.broken_off) == ([], 0, 0)
    assert {row["usename"] for row in sessions} == {"api", "dispatcher"}
    assert len({row["address"] for row in sessions}) == 1
    assert [row["status"] for row in told] == ["success"]
    pooled("run", "--rm", "--no-deps", "-T", "ledgate", "check")


def test_the_pooler_is_in_transaction_mode(pooled: Composed) -> None:
    """As it is meant to be: connections of the server are lent for a transaction."""
    config = pooled("--profile", "pooler", "exec", "-T", "pooler", "cat", "/etc/pgbouncer/ledgate.ini")

    assert re.search(r"^\s*pool_mode\s*=\s*transaction$", config, re.MULTILINE)


def test_processes_outlive_a_restart_of_the_pooler(pooled: Composed) -> None:
    """It is back, and so are they."""
    pooled("--profile", "pooler", "restart", "pooler")

    with load(pooled.url, connections=4, thinks=0.06) as running:
        running.await_more(30, within=150)
    until(pooled.idle, within=150)
    assert running.wrong == []


def test_pgadmin_is_behind_a_profile() -> None:
    """On port 5050, with a password from a file, only for who asks. (Not started: its image is large.)"""
    project = Composed()
    plain = json.loads(project("config", "--format", "json"))["services"]
    admin = json.loads(project("--profile", "admin", "config", "--format", "json"))["services"]

    assert admin.keys() - plain.keys() == {"admin"}
    (port,) = admin["admin"]["ports"]
    assert (port["published"], port["host_ip"]) == ("5050", "127.0.0.1")
    environment = admin["admin"]["environment"]
    assert environment["PGADMIN_DEFAULT_PASSWORD_FILE"].startswith("/run/secrets/")
    assert "PGADMIN_DEFAULT_PASSWORD" not in environment
