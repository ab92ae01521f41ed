"""A: payments a second through the API, against pgbench running the very same statement.

Both have 32 clients, each of which sends its next one when the last was answered; both pay the durable commit of each
payment. pgbench is what PostgreSQL itself can do with the statement on this machine while a client in C shares the
processors: the API's share of it is what HTTP, JSON, Python and the pool leave over.

pgbench cannot make JSON, so its script holds the batch of one real request, as `gateway.payments` encodes it, with a
mark in every place that differs from payment to payment (ids, events, Idempotency-Key, order), and the statement
reads `replace(<that text>, '<mark>', $1)::json` where the API's reads `$1::json`. Nothing else differs: prepared once
for each connection, one parameter, one row back. The `replace` takes 1 us of a statement of several hundred, less than
the API's longer parameter costs on its way. pgbench plans by nested loops over keys (`PLANNED`), which is the best plan
there is: a bad one of ours must show. Ids begin with the time, as real ones do,
so that both load the same ends of the same indexes and the same partitions.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from bench.compared import Compared, Round
from bench.load import REUSABLE, Result
from bench.processor import used
from bench.stage import PLANNED
from gateway import demo
from gateway.config import load
from gateway.merchants import SQL, Merchant, bucket_of
from gateway.payments import CreatePayment, draft
from gateway.secrets import make_sealer

if TYPE_CHECKING:
    from pathlib import Path

    from bench.stage import Api, Database

CLIENTS = 32
_MARK = "~"
_TPS, _COUNT = r"^tps = ([0-9.]+)", r"actually processed: ([0-9]+)"


def compare(database: Database, *, rounds: int, seconds: float) -> list[Compared]:
    """Alternate API and pgbench for `rounds` rounds of `seconds` each, with a reusable order and with new orders."""
    found = []
    with database.api() as api:
        for reuse in (True, False):
            through_api(database, api, seconds=0.5, reuse=reuse)  # fill pools and caches
            ours, peer, results = [], [], []
            for _ in range(rounds):
                round_, result = through_api(database, api, seconds=seconds, reuse=reuse)
                ours.append(round_)
                results.append(result)
                peer.append(_pgbench(database, seconds=seconds, reuse=reuse))
            p50, p99 = median(one.p50_ms for one in results), median(one.p99_ms for one in results)
            note = f"answered within {p50:.0f} ms (p50), {p99:.0f} ms (p99) at {CLIENTS} connections"
            found.append(Compared(f"payments/s, {'one reusable order' if reuse else 'new orders'}", ours, peer, note))
    return found


def through_api(database: Database, api: Api, *, seconds: float, reuse: bool) -> tuple[Round, Result]:
    """Load the API from a process of its own.

    Raises:
        RuntimeError: an answer was not 201.
    """
    salt = f"load-{datetime.now(UTC):%H%M%S%f}"
    argv = [sys.executable, "-m", "bench.load", "--port", api.port, "--seconds", seconds, "--salt", salt]
    argv += ["--connections", CLIENTS, *(["--reuse"] if reuse else [])]
    ours, server = used(api.pid), used(database.stage.server.pid)
    said = database.stage.result_of(argv, within=seconds + 30)
    ours, server = used(api.pid) - ours, used(database.stage.server.pid) - server
    result = msgspec.json.decode(said.splitlines()[-1], type=Result)
    if result.errors or not result.payments:
        raise RuntimeError(f"{result.errors} of {result.payments} answers were not 201: {result.first_error}")
    return Round(result.rate, ours / result.all_payments, server / result.all_payments), result


def _pgbench(database: Database, *, seconds: float, reuse: bool) -> Round:
    """Run the statement itself."""
    script = database.stage.folder / "payment.pgbench"
    write_script(script, database, reuse=reuse)
    argv = [database.stage.server.programs / "pgbench", "-n", "-M", "prepared", "-f", script]
    argv += ["-c", CLIENTS, "-j", 2, "-T", max(1, round(seconds)), "-D", "i=0", database.url]
    server = used(database.stage.server.pid)
    said = database.stage.result_of(argv, within=seconds + 30, env={"PGOPTIONS": PLANNED})
    server = used(database.stage.server.pid) - server
    rate, count = (re.search(found, said, re.MULTILINE) for found in (_TPS, _COUNT))
    if rate is None or count is None or "failed transactions: 0 (" not in said:
        raise RuntimeError(said[-2000:])
    return Round(float(rate[1]), 0.0, server / int(count[1]))


def write_script(path: Path, database: Database, *, reuse: bool) -> None:
    """Write the pgbench script of one round; its ids are unlike those of every other round."""
    batch = _marked_batch(database, reuse=reuse).replace("'", "''")
    statement = (
        SQL["create_payments"]
        .replace("%(merchant_id)s", f"'{demo.MERCHANT_ID}'")
        .replace("%(batch)s::json", f"replace('{batch}', '{_MARK}', :u::text)::json")
    )
    path.write_text(
        "\\set i :i + 1\n"
        "\\set u 1000000000000 + :i * 1000 + :client_id\n"  # 13 digits, which are base32 too
        f"{statement.replace('%%', '%')};\n"
    )


def _marked_batch(database: Database, *, reuse: bool) -> str:
    """The JSON of a batch of one, with marks."""
    config = load(database.env)
    merchant = Merchant(
        demo.MERCHANT_ID, bucket_of(demo.MERCHANT_ID), "Ledgate Demo", demo.KEY_ID, frozenset({"write"})
    )
    request = CreatePayment(order_id=REUSABLE, method="upi", vpa="user@paytm")
    if not reuse:
        request = msgspec.structs.replace(request, order_id=f"bench-{_MARK}", amount=demo.AMOUNT, currency="INR")
    now = datetime.now(UTC)
    item = draft(merchant, request, key=f"bench-{now:%H%M%S}-{_MARK}", sealer=make_sealer(config), now=now).item
    # 26 characters: ten of time, thirteen of the mark, one to tell them apart, and the two that deliveries count in.
    time, ids = item["id"][4:14], [item["id"], item["created_event"], item["pending_event"]]
    order = f"bench-{time}-{_MARK}"
    text = json.dumps([msgspec.to_builtins(item) | {"n": 0}], separators=(",", ": "), ensure_ascii=False)
    for kind, one in enumerate(ids):
        text = text.replace(one, f"{one[:4]}{time}{_MARK}{kind}00")
    # pgbench takes `:name` for a variable anywhere; within JSON strings a colon may be spelled like this.
    return re.sub(r":(?=[A-Za-z_])", r"\\u003a", text.replace(f"bench-{_MARK}", order))
