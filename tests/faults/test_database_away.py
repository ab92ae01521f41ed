"""PostgreSQL goes away and comes back: nobody has to do anything, and nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from kit.embedded import Server
from tests.faults.database import AWAY, look, watch
from tests.faults.shop import (
    LONG,
    assert_all_told,
    assert_calm,
    assert_kept,
    assert_sound,
    await_quiet,
    open_shop,
    outages,
    pay,
    report,
)
from tests.support import calls
from tests.support.load import load
from tests.support.processes import Process, Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults

OUTAGE = 10.0 if LONG else 4.0
"""Seconds; a fault's length, not a wait for anything."""
KNOWN_WITHIN = 5.0
"""Seconds within which a process that starts without its database must know it: at once, but for a busy machine."""
QUICK = 2.0
"""Seconds within which a request during an outage must be answered: a quarter of one, but for a busy machine."""
PAYMENTS_BETWEEN = 200 if LONG else 100
LEASES = {"LEDGATE_DELIVERY_LEASE": "11", "LEDGATE_PROCESSING_LEASE": "5", "LEDGATE_PATIENCE": "0"}
"""And no patience: what an outage is to callers that do not wait; `test_database_restarted` is about those that do."""

STOPS: list[Callable[[Server], None]] = [
    lambda server: server.stop("immediate"),
    lambda server: server.kill(),
    lambda server: server.stop("fast"),
]


@pytest.mark.parametrize("outage", [0.0, OUTAGE], ids=["short", "long"])
def test_restart_under_load(server: Server, url: str, tmp_path: Path, outage: float) -> None:
    """Crashed or shut down and started again: clients get 503, quickly and never 500, then 201 again; no 201 is
    forgotten, all is delivered, and each process says once that the database is away and once that it is back."""
    rounds = STOPS * 3 if LONG else STOPS if outage == 0 else STOPS[:1]
    recoveries = []
    with open_shop(url, tmp_path, **LEASES) as shop:
        shop.start_api()
        dispatcher = shop.start_dispatcher()
        with load(shop.url, thinks=0.02) as clients:
            for number, stop in enumerate(rounds, 1):
                clients.await_more(PAYMENTS_BETWEEN)
                stop(server)
                seen = watch(shop, seconds=outage)
                server.restart()
                back = time.monotonic()
                clients.await_more(1)
                recoveries.append(time.monotonic() - back)
                _await_back(number, shop.api, dispatcher)
                assert seen.answers == (AWAY if outage else set())
                assert seen.slowest < QUICK
        with look(url) as conn:
            await_quiet(conn)

            assert_kept(clients, conn)
            assert_sound(conn)
            told = assert_all_told(shop, conn)
        assert clients.broken_off == clients.refused == 0
        assert set(clients.statuses) == {201, 503}
        assert [outages(one) for one in (shop.api, dispatcher)] == [(len(rounds), len(rounds))] * 2
        assert_calm(shop.api, dispatcher)
        report(
            f"{len(rounds)} outages of {outage:g} s and the restart: {len(clients.acknowledged)} payments acknowledged,"
            f" 0 missing, {clients.statuses[503]} answers 503, the slowest after {clients.slowest_refusal:.2f} s;"
            f" first 201 {max(recoveries):.2f} s after the server was up, at worst;"
            f" {sum(told['counts'].values())} events told, {told['duplicates']} twice"
        )


def test_absent_at_the_start_and_later(server: Server, url: str, tmp_path: Path) -> None:
    """API and dispatcher are started without a database, and lose it once more later: they serve and work as soon as
    it is there, and say each time once that it is away and once that it is back."""
    with open_shop(url, tmp_path, **LEASES) as shop:
        server.stop()
        shop.api.start()
        dispatcher = shop.start_dispatcher()
        until(lambda: _lives(shop), what="an API that lives")
        until(lambda: outages(shop.api)[0] and outages(dispatcher)[0], within=KNOWN_WITHIN, what="a known outage")

        seen = [watch(shop, seconds=OUTAGE)]
        server.restart()
        _await_back(1, shop.api, dispatcher)
        _await_success(shop, url)
        server.stop()
        until(lambda: outages(dispatcher)[0] == 2, what="the second outage")
        seen.append(watch(shop, seconds=OUTAGE))
        server.restart()
        _await_back(2, shop.api, dispatcher)
        _await_success(shop, url)

        assert [one.answers for one in seen] == [AWAY, AWAY]
        assert max(one.slowest for one in seen) < QUICK
        assert [outages(one) for one in (shop.api, dispatcher)] == [(2, 2), (2, 2)]
        assert_calm(shop.api, dispatcher)


def test_processes_stop_without_a_database(server: Server, url: str, tmp_path: Path) -> None:
    """SIGTERM during an outage ends both in order; the leases that cannot be given back end by themselves."""
    with open_shop(url, tmp_path, TEST_PROCESSING_DELAY="60000", LEDGATE_DRAIN="1", **LEASES) as shop:
        shop.start_api()
        dispatcher = shop.start_dispatcher()
        pay(shop)
        with look(url) as conn:
            until(lambda: conn.execute("SELECT FROM outbox WHERE leased_by IS NOT NULL").rowcount, what="a lease")
        server.stop()

        assert dispatcher.terminate(within=15) == 0
        assert shop.api.terminate(within=15) == 0

        server.restart()
        shop.start_api()
        shop.start_dispatcher(TEST_PROCESSING_DELAY="0")
        with look(url) as conn:
            await_quiet(conn)
            assert_sound(conn)
            assert_all_told(shop, conn)
        assert_calm(shop.api, dispatcher)


def _await_back(times: int, *processes: Process) -> None:
    until(lambda: all(outages(one) == (times, times) for one in processes), within=5, what=f"{times} times back")


def _await_success(shop: Stack, url: str) -> None:
    shop.await_api()
    payment = pay(shop)
    with look(url) as conn:
        await_quiet(conn)
        assert conn.execute("SELECT status FROM payments WHERE id = %s", [payment["id"]]).fetchone() == {
            "status": "success"
        }
        assert_sound(conn)
        assert_all_told(shop, conn)


def _lives(shop: Stack) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return calls.get(f"{shop.url}/health", timeout=5).status_code == 200
    return False
