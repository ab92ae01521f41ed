"""The outage of a day: what could not be delivered is recovered by one job, which is held, killed and resumed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from outbox.recoveries import COUNTED
from schema.invariants import broken
from tests.faults.shop import LONG, Look, Row, await_quiet, count, open_shop, owed, pay, report
from tests.support import calls
from tests.support.clock import Clock
from tests.support.load import HEADERS
from tests.support.ports import steady_port
from tests.support.processes import Stack
from tests.support.recovering import write_past
from tests.support.waiting import until

pytestmark = pytest.mark.faults

COUNT = 20_000 if LONG else 2_000
"""Deliveries that failed: those of the payments below failed really, all their attempts, the others are written in."""
RATE = 1000 if LONG else 200
PAYMENTS = 3 if LONG else 1
EACH = 3
"""Events of a payment: created, pending, success. With five attempts each, fewer failures than open the circuit."""
WITHIN = 300.0 if LONG else 60.0


class Receiver:
    """Counts what arrives by its webhook-id; is down, up, or holds its answers back."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        """Since it is up."""
        self.up = False
        self.held = 0
        self._hold = asyncio.Event()
        self._hold.set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def hold(self, *, on: bool) -> None:
        """Answer nothing for a while."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._hold.clear if on else self._hold.set)

    async def take(self, request: web.Request) -> web.Response:
        await request.read()
        if not self.up:
            return web.Response(status=503)
        self.arrived[request.headers["webhook-id"]] += 1
        self.held += 1
        await self._hold.wait()
        self.held -= 1
        return web.Response()

    async def serve(self, port: int, over: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application()
        app.router.add_post("/hook", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.to_thread(over.wait)
        self._hold.set()
        await runner.cleanup()


@contextmanager
def receiving(port: int) -> Iterator[Receiver]:
    """A receiver in a thread of its own."""
    over, receiver = threading.Event(), Receiver()
    thread = threading.Thread(target=lambda: asyncio.run(receiver.serve(port, over)))
    thread.start()
    try:
        yield receiver
    finally:
        over.set()
        thread.join(30)


def test_a_day_s_outage_is_recovered_by_one_job_each_delivery_once_more(
    database_url: str, conn: Look, tmp_path: Path
) -> None:
    """Held in the middle, its dispatcher killed -9, resumed. What was in flight at the kill may come twice, under the
    same webhook-id; all else comes once. A new payment's webhooks do not wait for it."""
    clock = Clock(database_url)
    port = steady_port()
    leases = {"LEDGATE_DELIVERY_LEASE": "11", "LEDGATE_PROCESSING_LEASE": "3"}
    with (
        receiving(port) as receiver,
        open_shop(database_url, tmp_path, WEBHOOK_RETRY_INTERVALS_TEST="false", **leases) as shop,
    ):
        row = conn.execute("UPDATE endpoints SET url = %s RETURNING id", [f"http://127.0.0.1:{port}/hook"]).fetchone()
        assert row is not None
        shop.start_api()
        dispatcher = shop.start_dispatcher()
        _live_through_a_day(shop, conn, clock)
        lived = _failed(conn)
        assert lived == PAYMENTS * EACH
        write_past(conn, COUNT - lived, to=[row["id"]], ago=timedelta(hours=5))
        claimed = {row["event_id"]: row["claims"] for row in conn.execute("SELECT event_id, claims FROM deliveries")}

        receiver.up = True
        since = {
            "since": min(row["at"] for row in conn.execute("SELECT min(created_at) AS at FROM events")).isoformat()
        }
        counted = _ask(shop, "/webhooks/recover", **since, dry_run=True)
        assert (counted["total"], counted["skipped"]) == (COUNT, 0)
        assert counted["total_is"] == ("exact" if COUNTED["events"] > COUNT else "at_least"), "none was missed so far"
        began = time.monotonic()
        job = _ask(shop, "/webhooks/recover", **since, rate=RATE)["id"]
        seen = [_progress(shop, job, COUNT // 4)]

        receiver.hold(on=True)
        until(lambda: receiver.held, what="requests in flight")
        dispatcher.kill()
        at_the_kill, receiver.held = receiver.held, 0
        receiver.hold(on=False)
        clock.move(seconds=12)  # the leases of the dead one
        shop.start_dispatcher()
        seen.append(_progress(shop, job, COUNT // 2))

        paused = _ask(shop, f"/webhooks/recoveries/{job}/pause")
        await_quiet(conn, within=WITHIN)
        held = _read(shop, job)
        assert (held["status"], held["scheduled"]) == ("paused", paused["scheduled"])
        assert COUNT // 2 <= held["scheduled"] < COUNT
        assert sum(one in claimed for one in receiver.arrived) == held["scheduled"], "and all of it arrived"

        seen.append(_ask(shop, f"/webhooks/recoveries/{job}/resume"))
        live = pay(shop)["id"]
        until(lambda: _told(conn, receiver, live), what="a new payment's first webhooks")
        seen.append(_read(shop, job))
        assert seen[-1]["status"] == "running", "they did not wait for the end of it"
        until(lambda: _read(shop, job)["status"] == "done", within=WITHIN, what="the end of the recovery")
        await_quiet(conn, within=WITHIN)
        took = time.monotonic() - began

    done = conn.execute("SELECT state, total, scheduled, skipped FROM recoveries").fetchall()
    assert done == [{"state": "done", "total": COUNT, "scheduled": COUNT, "skipped": 0}]
    progress = [one["scheduled"] for one in seen]
    assert progress == sorted(progress)
    assert _failed(conn) == 0
    assert broken(conn).keys() <= {"delivered_without_proof"}, "what was written in has no attempts of before"
    recovered = Counter({one: n for one, n in receiver.arrived.items() if one in claimed})
    assert recovered.keys() == claimed.keys(), "each came"
    twice = {one for one, n in recovered.items() if n > 1}
    again = {
        row["event_id"]
        for row in conn.execute("SELECT event_id, claims FROM deliveries WHERE event_id = ANY(%s)", [list(claimed)])
        if row["claims"] > claimed[row["event_id"]] + 1
    }
    assert max(recovered.values()) <= 2
    assert twice
    assert twice <= again, "twice only what a killed dispatcher held"
    report(
        f"{COUNT:,} failed deliveries ({lived} of them lived through) recovered by one job in {took:.1f} s,"
        f" progress {progress}, killed once with {at_the_kill} requests in flight: {len(twice)} came twice under the"
        f" same webhook-id, {len(recovered) - len(twice):,} exactly once"
    )


def _live_through_a_day(shop: Stack, conn: Look, clock: Clock) -> None:
    """Payments whose webhooks fail at every attempt of the real schedule; hours pass by moving the clock."""
    for _ in range(PAYMENTS):
        pay(shop)
    until(lambda: count(conn, "SELECT count(*) AS n FROM payments WHERE status = 'success'") == PAYMENTS, what="paid")
    for minutes in (0, 2, 6, 35, 140):  # each step of the schedule, and its jitter
        clock.move(minutes=minutes)
        until(lambda: not count(conn, f"SELECT count(*) AS n FROM outbox WHERE {_BUSY}"), what="attempts")
    assert owed(conn) == 0
    clock.move(hours=24)


_BUSY = (
    "leased_by IS NOT NULL OR next_retry_at <="
    " (SELECT pg_catalog.statement_timestamp() + by + interval '2 seconds' FROM clock.moved)"
)
"""Under way, due, or put back for a moment, by the clock that was moved; the test's own connection has another one."""


def _told(conn: Look, receiver: Receiver, payment: str) -> bool:
    told = conn.execute(
        "SELECT id FROM events WHERE subject_id = %s AND type IN ('payment.created', 'payment.pending')", [payment]
    ).fetchall()
    return len(told) == 2 and all(receiver.arrived[one["id"]] for one in told)


def _failed(conn: Look) -> int:
    return count(conn, "SELECT count(*) AS n FROM deliveries WHERE status = 'failed'")


def _progress(shop: Stack, job: str, at_least: int) -> Row:
    def far() -> Row | None:
        found = _read(shop, job)
        return found if found["scheduled"] >= at_least else None

    return until(far, within=WITHIN, what=f"{at_least} scheduled")


def _read(shop: Stack, job: str) -> Row:
    found: Row = calls.get(f"{shop.url}/api/v1/webhooks/recoveries/{job}", headers=HEADERS).json()
    return found


def _ask(shop: Stack, path: str, **body: object) -> Row:
    said = calls.post(f"{shop.url}/api/v1{path}", headers=HEADERS, json=body or None)
    assert said.status_code in {200, 202}, said.text
    found: Row = said.json()
    return found
