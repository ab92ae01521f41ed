"""kill -9 at each line between a delivery's claim and its settling: nothing is lost, nothing settled by the dead."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from gateway import webhooks
from gateway.config import Config
from gateway.secrets import make_sealer
from gateway.webhooks import SendTest
from kit.db import Connection
from outbox import endpoints
from schema.invariants import broken
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.faults.dying_deliverer import POINTS
from tests.faults.shop import LONG, Look
from tests.support.clock import Clock
from tests.support.paying import MERCHANT
from tests.support.processes import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults

KINDS = ("webhook.deliver", "webhook.retry", "webhook.ordered")
WORKS = 10 if LONG else 2
DEATHS = (1, 3, 7) if LONG else (1,)
"""At which passing of the line a dispatcher dies; one dispatcher for each."""
ARRIVES = {"sent", "answered", "settling", "settled"}
"""Where the receiver has the webhook when its sender dies."""

SESSIONS = (
    "SELECT count(*) AS n FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'ledgate-dispatcher'"
)


class Mortals:
    """Makes dispatchers that die, one at a time."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.dying_deliverer"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, start_new_session=True,
        )  # fmt: skip
        self.pid = 0

    async def make(self, config: Config, point: str, how: str, at: int) -> None:
        env = {"DATABASE_URL": config.database_url, "TEST_MODE": "true", "WEBHOOK_RETRY_INTERVALS_TEST": "true"}
        order = {"point": point, "how": how, "at": at, "log": str(self._log), "env": env}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said, number = (await self.hear()).split()
        assert said == "pid"
        self.pid = int(number)

    async def hear(self) -> str:
        """The next line."""
        assert self._process.stdout is not None
        return (await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), 30)).strip()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Log lines of all of them."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [
            line for line in map(json.loads, filter(lambda text: text.startswith("{"), lines)) if line["event"] == event
        ]

    def forget(self) -> None:
        self._log.unlink(missing_ok=True)

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture(scope="module")
def mortals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortals]:
    made = Mortals(tmp_path_factory.mktemp("mortals") / "log")
    try:
        yield made
    finally:
        made.close()


class Shop:
    """A receiver that remembers, two endpoints, and a clock that the test moves."""

    def __init__(self, config: Config, db: Connection, conn: Look, mortals: Mortals) -> None:
        self.config, self.db, self.conn, self.mortals = config, db, conn, mortals
        self.clock = Clock(config.database_url)
        self.arrivals: list[tuple[str, bytes]] = []
        self.owed: dict[str, list[str]] = {}
        self.kills_at = 0
        self._secret = endpoints.new_secret()

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(self._secret).verify(body, dict(request.headers))
        self.arrivals.append((request.headers["webhook-id"], body))
        self.kills_at -= 1
        if self.kills_at == 0:
            os.kill(self.mortals.pid, signal.SIGKILL)
        return web.Response()

    async def open(self, url: str) -> None:
        self.conn.execute("DELETE FROM endpoints")
        whose: dict[str, Any] = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id}
        sealer = make_sealer(self.config)
        self._endpoints = {
            kind: (await endpoints.add(self.db, sealer, url=url, secret=self._secret, **whose))[0] for kind in KINDS
        }
        self.conn.execute("UPDATE endpoints SET ordered = true WHERE id = %s", [self._endpoints["webhook.ordered"]])

    async def owe(self, kind: str) -> None:
        """Deliveries of that kind, due now; later ones have failed once."""
        for _ in range(WORKS):
            sent = await webhooks.send_test(self.db, MERCHANT, SendTest(endpoint_id=self._endpoints[kind]))
            self.owed.setdefault(kind, []).append(sent.event_id)
        self.conn.execute(
            "UPDATE outbox SET kind = %s, attempts = %s WHERE endpoint_id = %s",
            [kind, int(kind == "webhook.retry"), self._endpoints[kind]],
        )

    async def bury(self) -> None:
        """Wait for what a dead dispatcher had begun in the database: a claim that comes after the clock was moved has a
        lease that no test waits for."""

        async def over() -> bool:
            return self.conn.execute(SESSIONS).fetchone() == {"n": 0}

        await eventually(over, within=30, what="an end of the dead one's sessions")

    async def finish(self) -> None:
        """Another dispatcher does what is left."""
        async with dispatching(self.config):

            async def over() -> bool:
                return self.conn.execute("SELECT count(*) AS n FROM outbox").fetchone() == {"n": 0}

            await eventually(over, within=30, what="an empty outbox")

    def assert_told(self) -> Counter[str]:
        """Everything arrived, as it was written, in order where that was asked for, and is settled once; how often."""
        bodies = {row["id"]: row["body"].encode() for row in self.conn.execute("SELECT id, body FROM events")}
        assert set(self.arrivals) == set(bodies.items())
        rows = self.conn.execute("SELECT event_id, status, attempts, claims FROM deliveries").fetchall()
        assert len(rows) == len(bodies)
        assert {row["status"] for row in rows} == {"success"}
        retried = set(self.owed.get("webhook.retry", ()))
        assert all(row["attempts"] == 1 + (row["event_id"] in retried) for row in rows)
        attempts = self.conn.execute("SELECT d.claims = a.claim AS last FROM deliveries d JOIN delivery_attempts a"
                                     " ON a.delivery_id = d.id").fetchall()  # fmt: skip
        assert [row["last"] for row in attempts] == [True] * len(rows), "one attempt each, by the one that settled"
        line = [one for one, _ in self.arrivals if one in self.owed.get("webhook.ordered", ())]
        assert list(dict.fromkeys(line)) == sorted(set(line))
        assert [one for n, one in enumerate(line) if n and line[n - 1] > one] == [], (
            "none comes again behind a later one"
        )
        assert broken(self.conn) == {}
        times = Counter(one for one, _ in self.arrivals)
        assert all(times[row["event_id"]] <= row["claims"] for row in rows)
        return times


@pytest.fixture
async def shop(config: Config, db: Connection, conn: Look, mortals: Mortals) -> AsyncIterator[Shop]:
    mortals.forget()
    made = Shop(config, db, conn, mortals)
    async with receiving(made.receive) as url:
        await made.open(url)
        yield made


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_line(shop: Shop, point: str) -> None:
    """First attempts, later ones, and one after the other: each dispatcher dies there with each kind of delivery in its
    hands; once its lease is over, another one delivers what the receiver did not get, and what it got under the same
    webhook-id."""
    for kind in KINDS:
        for at in DEATHS:
            await shop.owe(kind)
            shop.kills_at = at if point == "sent" else 0
            # Batches are passed whole: such a line is passed once, by however many.
            nth = at if point in {"sending", "connecting", "answered"} and kind != "webhook.ordered" else 1
            await shop.mortals.make(shop.config, point, "die", nth)
            assert await shop.mortals.hear() == f"ended {-signal.SIGKILL}"
            await shop.bury()
            shop.kills_at = 0
            if at != DEATHS[-1]:
                shop.clock.move(seconds=60)
    before = Counter(one for one, _ in shop.arrivals)
    left = {row["event_id"] for row in shop.conn.execute("SELECT event_id FROM outbox")}
    assert bool(before) == (point in ARRIVES), "it died where it was to"

    shop.clock.move(seconds=60)
    await shop.finish()

    times = shop.assert_told()
    assert all(times[one] == before[one] + (one in left) for one in times)
    assert all(before[one] for one in times if one not in left), "what was settled had come"
    if point in ARRIVES - {"settled"}:
        assert max(times.values()) > 1, "what had come and was not settled comes again"
    elif point != "settled":
        assert max(times.values()) == 1


@pytest.mark.parametrize("point", ["claimed", "answered"])
async def test_one_that_comes_back_settles_nothing(shop: Shop, point: str) -> None:
    """It stands still past its lease while another one does its work, then goes on: what it writes changes nothing, and
    it says so."""
    for kind in KINDS:
        await shop.owe(kind)
        await shop.mortals.make(shop.config, point, "pause", 1)
        assert await shop.mortals.hear() == "stopped"
        shop.clock.move(seconds=60)
        await shop.finish()
        settled = shop.conn.execute("SELECT * FROM deliveries ORDER BY id").fetchall()
        attempts = shop.conn.execute("SELECT * FROM delivery_attempts ORDER BY delivery_id").fetchall()

        os.kill(shop.mortals.pid, signal.SIGCONT)

        async def told() -> list[dict[str, Any]]:
            return shop.mortals.said("delivery.lease_lost")

        await eventually(told, what="a lost lease")
        os.kill(shop.mortals.pid, signal.SIGTERM)
        assert await shop.mortals.hear() == "ended 0"
        shop.mortals.forget()
        assert shop.conn.execute("SELECT * FROM deliveries ORDER BY id").fetchall() == settled
        assert shop.conn.execute("SELECT * FROM delivery_attempts ORDER BY delivery_id").fetchall() == attempts
    assert broken(shop.conn) == {}
