"""Databases for tests: a migrated template for the run, a copy of it for each test that asks."""

from __future__ import annotations

import contextlib
import functools
import os
import uuid
from collections.abc import Iterator

import psycopg
from psycopg import sql

from schema.migrate import migrate

RUN = os.environ.setdefault("TEST_SERVER_RUN", uuid.uuid4().hex[:8])
"""Stands in the name of every database of this run, workers' too: several runs can share a server."""

_open: dict[str, psycopg.Connection] = {}


def make_template(url: str) -> str:
    """A migrated database that tests copy; returns its name."""
    name = _name("template")
    _create(url, name)
    migrate(at(url, name))
    return name


def copied(url: str, template: str, kind: str) -> str:
    """A copy of the template, which `kind` says the use of; returns its name."""
    name = _name(kind)
    _create(url, name, template)
    return name


@contextlib.contextmanager
def fresh_database(url: str, template: str, kind: str = "test") -> Iterator[str]:
    """A copy of the template of one's own; dropped afterwards. Yields its URL."""
    name = copied(url, template, kind)
    try:
        yield at(url, name)
    finally:
        drop(url, name)


def drop(url: str, name: str) -> None:
    """Drop a database, whoever is connected."""
    _run(url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def drop_all(url: str, run: str) -> None:
    """Drop every database of a run."""
    with psycopg.connect(url) as conn:
        found = conn.execute("SELECT datname FROM pg_database WHERE datname ~ %s", [f"^ledgate_[a-z]+_{run}_"])
        names = [str(name) for (name,) in found]
    for name in names:
        drop(url, name)


def at(url: str, name: str) -> str:
    """The same server, another database."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return psycopg.conninfo.make_conninfo(**{**parts, "dbname": name})


def is_kind(url: str, kind: str) -> bool:
    """Whether it is the URL of a database of that kind."""
    return f"ledgate_{kind}_" in url


def _name(kind: str) -> str:
    return f"ledgate_{kind}_{RUN}_{uuid.uuid4().hex[:8]}"


def _create(url: str, name: str, template: str = "template1") -> None:
    # To copy files takes half the processor time of copying through the log, but syncs each of them.
    strategy = sql.SQL("FILE_COPY" if _in_memory(url) else "WAL_LOG")
    query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}")
    _run(url, query.format(sql.Identifier(name), sql.Identifier(template), strategy))


def _run(url: str, query: sql.Composable) -> None:
    """By a connection that stays for the next test."""
    for again in (True, False):
        conn = _open.get(url)
        if conn is None:
            conn = _open[url] = psycopg.connect(url, autocommit=True)
        try:
            conn.execute(query)
        except psycopg.OperationalError:
            conn.close()  # another server may have come to its port
            del _open[url]
            if not again:
                raise
        else:
            return


def close() -> None:
    """Close the connections that stayed."""
    while _open:
        _open.popitem()[1].close()


@functools.cache
def _in_memory(url: str) -> bool:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT current_setting('data_directory') ~ '^/(dev/shm|memory)/'").fetchone()
    return row == (True,)


if __name__ == "__main__":  # conftest.py has this run when a run has ended, whichever way
    drop_all(os.environ["TEST_SERVER_URL"], RUN)
