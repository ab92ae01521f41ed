"""B: webhooks a second that one dispatcher drains, against a bare aiohttp client that sends as many equal POSTs.

Both send to the same receiver in a process of its own, with the same concurrency, body size and headers. The client
has nothing to claim, to sign or to write down: what the dispatcher keeps of its rate is what reliable delivery costs.
Payments are made first and their processing put off, so that only deliveries are due; they become due by one UPDATE
while the dispatcher is already up, and the clock runs until the receiver has counted all of them and the outbox holds
none any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from bench.compared import Compared, Round
from bench.processor import used
from bench.stage import ask, free_port, until
from gateway import demo, payments
from gateway.config import load
from gateway.merchants import Merchant, bucket_of
from gateway.payments import CreatePayment
from gateway.secrets import make_sealer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.stage import Database

CONCURRENCY = load({}).max_deliveries
_BATCH = 100
_OPEN = "SELECT count(*) FROM outbox WHERE kind = 'webhook.deliver'"
_PUT_OFF = "UPDATE outbox SET next_retry_at = statement_timestamp() + interval '1 day'"
_DUE = (
    "WITH due AS (UPDATE outbox SET next_retry_at = statement_timestamp() WHERE kind = 'webhook.deliver' RETURNING 1),"
    " counted AS (SELECT count(*) AS n FROM due)"
    " SELECT n, pg_notify('ledgate_work', '') FROM counted"
)


def compare(database: Database, *, rounds: int, count: int) -> Compared:
    """Alternate dispatcher and bare client for `rounds` rounds of `count` webhooks each."""
    with receiver(database) as port:
        turns = [(drain(database, port, count=count), _bare(database, port, count=count)) for _ in range(rounds)]
    ours, peer = (list(side) for side in zip(*turns, strict=True))
    return Compared(f"webhooks/s, {count:,} drained", ours, peer)


@contextlib.contextmanager
def receiver(database: Database) -> Iterator[int]:
    """The receiver on a free port, as the demo merchant's endpoint."""
    port = free_port()
    with database.stage.process("bench.receiver", str(port)) as child:
        until(lambda: bool(ask(port, "/")), child=child)
        database.run("UPDATE endpoints SET url = %s", [f"http://127.0.0.1:{port}/webhook"])
        yield port


def drain(database: Database, port: int, *, count: int) -> Round:
    """Make `count` deliveries and have one dispatcher drain them."""
    fill(database, count=count)
    before = _received(port)
    with database.dispatcher() as child, psycopg.connect(database.url, autocommit=True) as conn:
        server = database.stage.server.pid
        started, ours, theirs = time.perf_counter(), used(child.pid), used(server)
        due = conn.execute(_DUE).fetchone()
        assert due is not None
        assert due[0] == count, f"{due[0]} deliveries were made due, not {count}"

        def done() -> bool:
            return _received(port) - before >= count and conn.execute(_OPEN).fetchone() == (0,)

        until(done, within=120, child=child)
        took = time.perf_counter() - started
        return Round(count / took, (used(child.pid) - ours) / count, (used(server) - theirs) / count)


def fill(database: Database, *, count: int) -> None:
    """Commit payments with `count` deliveries (two each), none of which is due, nor is any payment."""

    async def make() -> None:
        sealer = make_sealer(load(database.env))
        merchant = Merchant(demo.MERCHANT_ID, bucket_of(demo.MERCHANT_ID), "", demo.KEY_ID, frozenset())
        request = CreatePayment(order_id=demo.ORDER_IDS[0], method="upi", vpa="user@paytm")
        async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as conn:
            for first in range(0, count // 2, _BATCH):
                size, now = min(_BATCH, count // 2 - first), datetime.now(UTC)
                drafts = [payments.draft(merchant, request, key=None, sealer=sealer, now=now) for _ in range(size)]
                verdicts = await payments.create_batch(conn, drafts)
                assert all(one.verdict == "created" for one in verdicts), verdicts[:1]

    asyncio.run(make())
    database.run(_PUT_OFF)


def _bare(database: Database, port: int, *, count: int) -> Round:
    (body_bytes,) = database.run("SELECT octet_length(body) FROM events LIMIT 1")[0]
    argv = [sys.executable, "-m", "bench.bare", "--port", port, "--count", count]
    argv += ["--concurrency", CONCURRENCY, "--body-bytes", body_bytes]
    wall, processor = database.stage.result_of(argv, within=120).splitlines()[-1].split()
    return Round(count / float(wall), float(processor) / count, 0.0)


def _received(port: int) -> int:
    return int(ask(port, "/").rpartition(b"\r\n\r\n")[2] or 0)
