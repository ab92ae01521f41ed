"""What the fold of figures costs those who write: payments through the API with and without it, round by round in turn.

`python -m bench.folding`. Beside the API runs what a dispatcher does for figures (`dispatcher.figures.watch`), in a
process of its own, and nothing else: nobody settles. A round with it ends when everything is folded, so that its whole
cost is in it; what a round without leaves is folded before the next one begins. Which comes first changes from pair to
pair, since a table that grows costs more. There is no checkpoint on the
way: who writes a page in full would be chance.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import psycopg
import uvloop

from bench.payments import through_api
from bench.processor import used
from bench.stage import PLANNED, stage, until
from dispatcher import figures as folder
from gateway import figures
from kit.db import Database as Pool

if TYPE_CHECKING:
    from bench.stage import Api, Database

_UNCHECKED = {"checkpoint_timeout": "1h", "max_wal_size": "8GB"}
_ROLE = "ledgate_dispatcher"
_LEFT = 1.2  # seconds until a backend has told what it counted
_LOOK = 0.5  # seconds between two looks whether all is folded: they are counted too
_COUNTED = """
    SELECT pg_current_wal_insert_lsn() - '0/0', xact_commit FROM pg_stat_database WHERE datname = current_database()
"""
_UP = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'folding'"


class Round(msgspec.Struct, frozen=True):
    """For one payment, but for the rate."""

    rate: float
    """Payments a second."""
    api: float
    """Microseconds of the API's processor time,"""
    server: float
    """of PostgreSQL's,"""
    folder: float
    """and of the process that folds."""
    wal: float
    """Bytes."""
    commits: float
    later_server: float = 0.0
    """Of a round without: microseconds of PostgreSQL's,"""
    later_wal: float = 0.0
    """and bytes, for folding what it left, in steps as large as they may be."""


def measure(database: Database, *, pairs: int, seconds: float) -> list[tuple[Round, Round]]:
    """Pairs of a round with and one without."""
    found = []
    with database.api() as api:
        through_api(database, api, seconds=1.0, reuse=False)
        asyncio.run(_catch_up(database.url))
        for pair in range(pairs):
            both = {folds: _round(database, api, seconds, folds=folds) for folds in (pair % 2 == 0, pair % 2 == 1)}
            found.append((both[True], both[False]))
            _tell(f"{pair + 1}", *found[-1])
    return found


def _round(database: Database, api: Api, seconds: float, *, folds: bool) -> Round:
    server = database.stage.server.pid
    with contextlib.ExitStack() as kept:
        pids = [api.pid, server]
        if folds:
            child = kept.enter_context(database.stage.process("bench.folding", "--fold", env=database.env))
            until(lambda: bool(database.run(_UP)), child=child)
            pids.append(child.pid)
        time.sleep(_LEFT)
        before, (wal, commits) = [used(pid) for pid in pids], database.run(_COUNTED)[0]
        _, result = through_api(database, api, seconds=seconds, reuse=False)
        if folds:
            asyncio.run(_folded(database.url))
        time.sleep(_LEFT)
        after, (wal_after, commits_after) = [used(pid) for pid in pids], database.run(_COUNTED)[0]
    count = result.all_payments
    spent = [(now - was) / count * 1e6 for was, now in zip(before, after, strict=True)]
    ours, theirs, fold = (*spent, 0.0)[:3]
    made = Round(result.rate, ours, theirs, fold, float(wal_after - wal) / count, (commits_after - commits) / count)
    if folds:
        return made
    asyncio.run(_catch_up(database.url))
    later, wal_later = (used(server) - after[1]) / count * 1e6, database.run(_COUNTED)[0][0]
    return msgspec.structs.replace(made, later_server=later, later_wal=float(wal_later - wal_after) / count)


def report(found: list[tuple[Round, Round]]) -> None:
    """The medians of the pairs' ratios and differences."""
    print("\nmedians of the pairs")
    for name in ("rate", "api", "server", "folder", "wal", "commits"):
        pairs = [(getattr(one, name), getattr(other, name)) for one, other in found]
        ratio = f"{median(one / other for one, other in pairs):.3f}" if all(other for _, other in pairs) else "-"
        plain, more = median(other for _, other in pairs), median(one - other for one, other in pairs)
        print(f"  {name:8} without {plain:9,.3f}   with, more {more:+9,.3f}   ratio {ratio}")
    later = [(other.later_server, other.later_wal) for _, other in found]
    server, wal = (median(each) for each in zip(*later, strict=True))
    print(f"  folded later, in one go: {server:.0f} us of the server, {wal:.0f} B of WAL for a payment")


def _tell(name: str, *rounds: Round) -> None:
    for text, one in zip(("with", "without"), rounds, strict=True):
        print(
            f"{name:3} {text:8} {one.rate:7,.0f}/s   api {one.api:6,.0f} us   server {one.server:6,.0f} us"
            f"   fold {one.folder:5,.0f} us   WAL {one.wal:6,.0f} B   commits {one.commits:.3f}"
            f"   load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


async def _catch_up(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, options=PLANNED) as conn:
        await conn.execute(f"SET ROLE {_ROLE}".encode())
        await figures.catch_up(conn)


async def _folded(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, options=PLANNED) as conn:
        await conn.execute(f"SET ROLE {_ROLE}".encode())
        async with asyncio.timeout(60):
            while await figures.behind(conn):  # noqa: ASYNC110 - another process folds
                await asyncio.sleep(_LOOK)


async def _fold(url: str) -> None:
    async with Pool(url, name="folding", size=2, statement_timeout=30, wait=30, role=_ROLE) as pool:
        await folder.watch(pool, days=0)


def main() -> None:
    """Measure, and tell; or be the process that folds."""
    parser = argparse.ArgumentParser(prog="python -m bench.folding", description=__doc__)
    parser.add_argument("--fold", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0, help="that payments are made for in each round")
    asked = parser.parse_args()
    if asked.fold:
        uvloop.run(_fold(os.environ["DATABASE_URL"]))
        return
    with stage(_UNCHECKED) as on, on.database("folding") as database:
        print(f"PostgreSQL {on.server.version}")
        report(measure(database, pairs=asked.pairs, seconds=asked.seconds))


if __name__ == "__main__":
    main()
