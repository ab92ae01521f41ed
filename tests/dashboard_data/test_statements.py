"""Every list of the dashboard with every pair of filters is a statement that PostgreSQL prepares."""

from __future__ import annotations

import itertools
import re
from typing import Any

import psycopg

from gateway import listing
from kit import sql

LISTS = [name for name in sql.load("dashboard") if sql.optional("dashboard", name)]


def test_every_pair_of_filters_prepares(conn: psycopg.Connection[Any]) -> None:
    assert {*LISTS} >= {"list_payments", "list_payments_of_instrument", "list_pending_payments", "newest_events"}
    for name in LISTS:
        known = sorted(sql.optional("dashboard", name))
        for given in (frozenset(some) for size in range(3) for some in itertools.combinations(known, size)):
            text, numbers = listing.statement("dashboard", name, given), itertools.count(1)
            for parameter in set(re.findall(r"%\(\w+\)s", text)):
                text = text.replace(parameter, f"${next(numbers)}")
            conn.execute(f"PREPARE checked AS {text.replace('%%', '%')}".encode())
            conn.execute("DEALLOCATE checked")
