"""Two dashboards over one database: a session is the database's, an action happens wholly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from gateway import demo
from gateway.config import Config, load
from kit.embedded import Server
from tests.dashboard.paying import Till
from tests.faults.database import look
from tests.faults.shop import Look, assert_calm, count
from tests.support import calls
from tests.support.ports import steady_port
from tests.support.processes import Process, Stack, stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults

WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
ACTIVE = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'ledgate-dashboard' AND state <> 'idle'"
REVOKED = "SELECT count(*) AS n FROM api_keys WHERE revoked_at IS NOT NULL"
NOTED = "SELECT count(*) AS n FROM audit_log WHERE action = 'api_key.revoked'"
NEW = "event: new"


class Dashboard:
    """One of the processes, asked by a browser that they share."""

    def __init__(self, shop: Stack, browser: httpx.Client) -> None:
        port = steady_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process: Process = shop.process("dashboard", LEDGATE_DASHBOARD_PORT=str(port))
        self._browser = browser
        self.process.start()

    def status(self, path: str) -> int:
        """What it answers; 0 for nothing."""
        with contextlib.suppress(httpx.TransportError):
            return calls.get(f"{self.url}{path}").status_code
        return 0

    def await_ready(self) -> None:
        until(lambda: self.status("/health/ready") == 200, within=30, what=f"{self.url} ready")

    def get(self, path: str) -> httpx.Response:
        """A page."""
        return self._browser.get(f"{self.url}{path}")

    def post(self, path: str, page: httpx.Response, **form: str) -> httpx.Response:
        """Send a form of `page`, which any process may have made."""
        (token, *_) = re.findall(r'name="csrf" value="([^"]+)"', page.text)
        form["csrf"] = html.unescape(token)
        return self._browser.post(f"{self.url}{path}", data=form, headers={"Origin": self.url})

    def listen(self, path: str, opened: threading.Event) -> list[str]:
        """A stream's lines up to the first news, or to its end."""
        found: list[str] = []
        with self._browser.stream("GET", f"{self.url}{path}") as answer:
            opened.set()
            for line in answer.iter_lines():
                found.append(line)
                if line == NEW:
                    break
        return found


@pytest.fixture
def shop(url: str, tmp_path: Path) -> Iterator[Stack]:
    with stack(url, tmp_path, LEDGATE_PATIENCE="20") as made:
        asyncio.run(demo.seed(url, load(made.env)))
        yield made


def test_dashboards_through_outages_and_deaths(server: Server, url: str, shop: Stack) -> None:
    """They start without a database and are ready when it comes; what one has begun the other goes on with; a restart
    of the database is waited for; kill -9 leaves nothing half done; SIGTERM ends streams at once, actions when done."""
    server.stop()
    with ThreadPoolExecutor(4) as aside, httpx.Client(timeout=30, trust_env=False) as browser:
        first, second = Dashboard(shop, browser), Dashboard(shop, browser)
        for one in (first, second):
            until(lambda one=one: one.status("/health") == 200, within=30, what="a process that lives")
            assert one.status("/health/ready") == 503
        server.restart()
        for one in (first, second):
            one.await_ready()

        _sign_in_at_both(first, second)
        _see_it_live_at_both(first, second, aside, load(shop.env))
        _outlast_a_restart(first, second, server, aside, load(shop.env))
        with look(url) as conn:
            _killed_during_an_action(first, second, url, aside, conn)
            _ended_during_an_action(second, url, aside, conn)
    assert_calm(second.process)


def _sign_in_at_both(first: Dashboard, second: Dashboard) -> None:
    """The form of one, sent to the other, is a session at both."""
    form = first.get("/login")
    signed_in = second.post("/login", form, email=demo.USERS[0].email, password=demo.PASSWORD)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/dashboard")
    assert [one.get("/dashboard").status_code for one in (first, second)] == [200, 200]


def _see_it_live_at_both(first: Dashboard, second: Dashboard, aside: ThreadPoolExecutor, config: Config) -> None:
    """Who looks at either hears of a payment."""
    listening = [_listen(one, aside) for one in (first, second)]
    asyncio.run(_pay(config))
    assert all(one.result()[-1] == NEW for one in listening)


def _outlast_a_restart(
    first: Dashboard, second: Dashboard, server: Server, aside: ThreadPoolExecutor, config: Config
) -> None:
    """A page that is asked for meanwhile comes when the database is back, and a stream goes on."""
    listening = _listen(first, aside)
    server.stop("immediate")
    until(lambda: second.status("/health/ready") == 503, what="a process that knows of the outage")
    asked = aside.submit(second.get, "/dashboard/payments")
    server.restart()

    assert asked.result().status_code == 200
    asyncio.run(_pay(config))
    assert listening.result()[-1] == NEW


def _killed_during_an_action(
    first: Dashboard,
    second: Dashboard,
    url: str,
    aside: ThreadPoolExecutor,
    conn: Look,
) -> None:
    """kill -9 between an action and its note in the audit log: neither happened; sent again elsewhere, both do."""
    page = first.get("/dashboard/keys")
    revoke = f"/dashboard/keys/{demo.KEY_ID}/revoke"
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE audit_log IN SHARE MODE")
        cut = aside.submit(first.post, revoke, page)
        until(lambda: count(conn, WAITING) == 1, what="an action that waits to be noted")
        first.process.kill()
        assert isinstance(cut.exception(), httpx.TransportError)
    until(lambda: count(conn, ACTIVE) == 0, what="the end of what the dead one had begun")
    assert (count(conn, REVOKED), count(conn, NOTED)) == (0, 0)

    again = second.post(revoke, page)
    assert again.status_code == 303
    assert (count(conn, REVOKED), count(conn, NOTED)) == (1, 1)


def _ended_during_an_action(one: Dashboard, url: str, aside: ThreadPoolExecutor, conn: Look) -> None:
    """SIGTERM: streams end while an action still waits; that is done and answered, then the process is gone."""
    page = one.get("/dashboard/keys")
    listening = _listen(one, aside)
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE api_keys IN SHARE MODE")
        making = aside.submit(one.post, "/dashboard/keys", page, name="Till 4", scopes="read", once="once")
        until(lambda: count(conn, WAITING) == 1, what="an action in flight")
        ending = aside.submit(one.process.terminate)
        assert NEW not in listening.result()
        until(lambda: one.status("/health") == 0, what="a process that takes nothing new")
        assert not making.done()
        holder.rollback()
        assert "Till 4" in making.result().text
    assert ending.result() == 0
    assert count(conn, "SELECT count(*) AS n FROM api_keys WHERE name = 'Till 4'") == 1


def _listen(one: Dashboard, aside: ThreadPoolExecutor) -> Future[list[str]]:
    """Open the stream of the page of webhooks."""
    page = one.get("/dashboard/webhooks")
    (path,) = re.findall(r'data-live="(/dashboard/webhooks/live[^"]+)"', page.text)
    opened = threading.Event()
    listening = aside.submit(one.listen, html.unescape(path), opened)
    assert opened.wait(30)
    return listening


async def _pay(config: Config) -> None:
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        await Till(conn, config).pay(settled=False)
