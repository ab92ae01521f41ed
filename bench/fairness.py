"""F: what somebody else's trouble costs: `python -m bench.fairness [--quick]`.

First 50 endpoints at a steady rate, in rounds: all of them well, then one that never answers and one that answers 500
among them. What counts is how long the webhooks of the other 48 were on their way, at the 99th percentile, against the
calm rounds of the same run.

Then single webhooks of one merchant, alone and while another merchant of the same bucket has 100,000 due: to a receiver
that is fast, and to one that hangs.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from typing import TYPE_CHECKING

import httpx
import msgspec
import psycopg

from bench.stage import ask, free_port, stage, until
from gateway.config import load
from kit import ids
from tests.support.crowd import add_endpoint, add_merchant

if TYPE_CHECKING:
    from bench.stage import Database

_ENDPOINTS = 50
_TICK = 0.02  # seconds
_DEFECT_RATIO = 3.0
_DEFECT_SECONDS = 2.0
_OWE = """
    WITH made AS (
        SELECT e.bucket, e.merchant_id, e.id AS endpoint_id, n,
               %(head)s || lpad((%(first)s + n)::text, 14, '0') || '00' AS tail
        FROM unnest(%(endpoints)s::text[]) WITH ORDINALITY AS w (id, n) JOIN endpoints e ON e.id = w.id
    ), told AS (
        INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)
        SELECT bucket, merchant_id, 'evt_' || tail, 'webhook.test', endpoint_id, 1,
               '{"t":' || %(now)s::float8 || ',"pad":"' || repeat('x', 500) || '"}', now()
        FROM made
    )
    INSERT INTO outbox (bucket, merchant_id, id, kind, event_id, event_type, subject_id, endpoint_id, next_retry_at,
                        created_at)
    SELECT bucket, merchant_id, 'dlv_' || tail, 'webhook.deliver', 'evt_' || tail, 'webhook.test', endpoint_id,
           endpoint_id, now(), now()
    FROM made
"""


class Scale(msgspec.Struct, frozen=True):
    """How long and how much; times in seconds."""

    rounds: int
    seconds: float
    rate: int
    """Webhooks a second, of all endpoints together."""
    backlog: int
    singles: int


FULL = Scale(rounds=4, seconds=12, rate=300, backlog=100_000, singles=100)
QUICK = Scale(rounds=1, seconds=4, rate=200, backlog=20_000, singles=25)


class Shop:
    """Endpoints at a receiver that times what it gets, and a dispatcher."""

    def __init__(self, database: Database, port: int) -> None:
        self._database = database
        self._config = load(database.env)
        self._port = port
        self._numbers = itertools.count(1, 1000)
        self._head = ids.lower_bound("x", time.time())[2:12]
        self.failed = False
        self.conn = psycopg.connect(database.url, autocommit=True)

    def endpoint(self, path: str, *, bucket: int) -> str:
        """An endpoint of a new merchant."""
        merchant = add_merchant(self.conn, bucket=bucket, name=path)
        return add_endpoint(self.conn, self._config, merchant, f"http://127.0.0.1:{self._port}{path}")

    def owe(self, endpoints: list[str]) -> None:
        """One webhook to each, due now, and the doorbell rung."""
        for first in range(0, len(endpoints), 1000):
            values = {"head": self._head, "first": next(self._numbers), "now": time.time()}
            self.conn.execute(_OWE, values | {"endpoints": endpoints[first : first + 1000]})
        self.conn.execute("SELECT pg_notify('ledgate_work', '')")

    def seen(self) -> dict[str, list[float]]:
        """How late what came since the last look was, by path."""
        answer = httpx.get(f"http://127.0.0.1:{self._port}/", timeout=10)
        return msgspec.json.decode(answer.content, type=dict[str, list[float]])


def troubled(shop: Shop, scale: Scale) -> tuple[list[float], list[float]]:
    """How late 48 endpoints' webhooks were: in calm rounds, and in those with two endpoints in trouble."""
    well = [shop.endpoint(f"/ok/{n}", bucket=n % 8) for n in range(_ENDPOINTS - 2)]
    late: tuple[list[float], list[float]] = ([], [])
    steady(shop, [*well, shop.endpoint("/ok/a", bucket=0), shop.endpoint("/ok/b", bucket=1)], scale)  # warms up
    shop.seen()
    for number in range(scale.rounds):
        for trouble, into in zip((False, True), late, strict=True):
            kinds = ("hang", "fail") if trouble else ("ok", "ok")
            two = [shop.endpoint(f"/{kind}/{number}-{n}", bucket=n) for n, kind in enumerate(kinds)]
            steady(shop, [*well, *two], scale)
            for path, seconds in shop.seen().items():
                if path.startswith("/ok/") and "-" not in path:
                    into.extend(seconds)
            shop.conn.execute("DELETE FROM outbox WHERE endpoint_id = ANY(%s)", [two])
    return late


def steady(shop: Shop, endpoints: list[str], scale: Scale) -> None:
    """Owe one webhook after the other, in turn, at the rate; wait until the well ones are there."""
    turn = itertools.cycle(endpoints)
    began = time.monotonic()
    owed = 0
    while (elapsed := time.monotonic() - began) < scale.seconds:
        count = int(elapsed * scale.rate) - owed
        if count:
            shop.owe([next(turn) for _ in range(count)])
            owed += count
        time.sleep(_TICK)
    time.sleep(0.5)


def behind(shop: Shop, scale: Scale, path: str) -> list[float]:
    """How late single webhooks were while another endpoint of their bucket had a backlog (none without a path)."""
    one = shop.endpoint(f"/ok/single{path}", bucket=33)
    if path:
        shop.owe([shop.endpoint(path, bucket=33)] * scale.backlog)
    shop.seen()
    late: list[float] = []
    for _ in range(scale.singles):
        shop.owe([one])
        until(lambda: bool(late.extend(shop.seen().get(f"/ok/single{path}", [])) or late), within=20)
        time.sleep(0.02)
    (left,) = shop.conn.execute("SELECT count(*) FROM outbox").fetchone() or (0,)
    if path:
        print(f"  {left:,} of {scale.backlog:,} still due at the end")
    shop.conn.execute("DELETE FROM outbox")
    return late


def percentile(late: list[float], share: float) -> float:
    """Milliseconds."""
    return statistics.quantiles(late, n=1000)[round(share * 1000) - 1] * 1000


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    scale = QUICK if parser.parse_args().quick else FULL
    port = free_port()
    with (
        stage() as on,
        on.database("fairness") as database,
        on.process("bench.witness", str(port)) as child,
        database.dispatcher(),
    ):
        until(lambda: bool(ask(port, "/")), child=child)
        shop = Shop(database, port)
        calm, beside = troubled(shop, scale)
        print(f"48 endpoints of 50, {scale.rate} webhooks/s, {len(calm):,} and {len(beside):,} webhooks")
        for share in (0.5, 0.99):
            one, two = percentile(calm, share), percentile(beside, share)
            print(
                f"  p{share * 100:g}: {one:.1f} ms calm, {two:.1f} ms beside one that hangs and one that fails:"
                f" {two / one:.2f}"
            )
            shop.failed |= two / one > _DEFECT_RATIO
        print(f"single webhooks beside {scale.backlog:,} due of another merchant in their bucket")
        alone = behind(shop, scale, "")
        for path in ("/ok/backlog", "/hang/backlog"):
            late = behind(shop, scale, path)
            print(
                f"  {path}: p50 {percentile(late, 0.5):.1f} ms, slowest {max(late) * 1000:.1f} ms;"
                f" alone p50 {percentile(alone, 0.5):.1f} ms, slowest {max(alone) * 1000:.1f} ms"
            )
            shop.failed |= max(late) > _DEFECT_SECONDS
    if shop.failed:
        sys.exit("somebody pays for another's trouble: far beyond noise")


if __name__ == "__main__":
    main()
