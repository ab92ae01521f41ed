"""Databases for tests: a migrated template for the run, a copy of it for each test that asks."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator

import psycopg
from psycopg import sql

from schema.migrate import migrate

RUN = os.environ.setdefault("TEST_SERVER_RUN", uuid.uuid4().hex[:8])
"""Stands in the name of every database of this run, workers' too: several runs can share a server."""


def make_template(url: str) -> str:
    """A migrated database that tests copy; returns its name."""
    name = _name("template")
    _create(url, name)
    migrate(at(url, name))
    return name


@contextlib.contextmanager
def fresh_database(url: str, template: str) -> Iterator[str]:
    """A copy of the template of one's own; dropped afterwards. Yields its URL."""
    name = _name("test")
    _create(url, name, template)
    try:
        yield at(url, name)
    finally:
        drop(url, name)


def drop(url: str, name: str) -> None:
    """Drop a database, whoever is connected."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


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


def _name(kind: str) -> str:
    return f"ledgate_{kind}_{RUN}_{uuid.uuid4().hex[:8]}"


def _create(url: str, name: str, template: str = "template1") -> None:
    query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(query)


if __name__ == "__main__":  # conftest.py has this run when a run has ended, whichever way
    drop_all(os.environ["TEST_SERVER_URL"], RUN)
