"""Every named statement of every package is one that the schema understands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import psycopg
import pytest

from kit import sql
from tests.support.server import fresh_database

PACKAGES = ("gateway", "outbox", "schema", "dashboard")
QUERIES = [(package, name) for package in PACKAGES for name in sql.load(package)]


@pytest.fixture(scope="module")
def schema() -> Iterator[str]:
    """One database for all statements: none of them is run."""
    with fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url:
        yield url


@pytest.mark.parametrize(("package", "name"), QUERIES)
def test_postgres_prepares(schema: str, package: str, name: str) -> None:
    """PREPARE parses, resolves and types the statement without running it."""
    seen: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in seen:
            seen.append(found[1])
        return f"${seen.index(found[1]) + 1}"

    text = re.sub(r"%\((\w+)\)s", number, sql.load(package)[name]).replace("%%", "%")
    with psycopg.connect(schema) as conn:
        conn.execute(f"PREPARE checked AS {text}")
        row = conn.execute("SELECT cardinality(parameter_types) FROM pg_prepared_statements").fetchone()
    assert row == (len(seen),)
