"""The dashboard's whole pages over HTTP: how long each takes, how large it is, what it costs both processes.

The process is the one of `python -m dashboard`, the asker a browser without a script on one kept connection. Beside
each page `/health` is asked, which needs neither database nor template: on a machine that does other things too, the
ratio to it says more than milliseconds. The first request of each page is told apart: it plans the page's statements.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import statistics
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import psycopg

from bench import lists
from bench.processor import used
from bench.stage import ask, free_port, until
from gateway import demo, users
from kit import ids
from tests.dashboard_data.past import Past, endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from bench.stage import Database
    from gateway.merchants import Merchant

LIMIT = 150.0
"""Milliseconds for a page."""

_OWNER = "owner@large.test"
_OPERATOR = next(one.email for one in demo.USERS if one.operator)
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_IDLE = 1.0  # seconds
_BEFORE = 5  # requests of /health beside each page
_TOLD = "SELECT id FROM endpoints WHERE merchant_id = 'mer_large' ORDER BY length(id) DESC LIMIT 1"
_SPENT = """
    SELECT coalesce(sum(calls), 0)::int, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::int
    FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
    WHERE r.rolname IN ('ledgate_dashboard', 'ledgate_operator')
"""


class Page(msgspec.Struct, frozen=True):
    """An address; with `part`, what htmx asks for of it."""

    name: str
    path: str
    part: str = ""
    operator: bool = False


class Result(msgspec.Struct):
    """What a page took, in milliseconds."""

    page: str
    status: int
    first: float
    median: float
    p95: float
    beside: float
    """`/health`, the median."""
    size: int
    """Bytes of the body."""
    ours: float
    """The dashboard's processor time,"""
    server: float
    """and PostgreSQL's."""
    statements: int = 0
    """BEGIN and COMMIT are two of them."""
    buffers: int = 0

    @property
    def said(self) -> str:
        """What is wrong."""
        slow = "OVER 150" if self.median > LIMIT else "p95 over" if self.p95 > LIMIT else ""
        return " ".join(filter(None, (slow, "" if self.status in {200, 303} else f"answered {self.status}")))


class Browser:
    """One connection, kept; and who is signed in."""

    def __init__(self, port: int) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookies = {"ledgate_zone": "Asia/Kolkata"}
        self._asked = 0.0

    def ask(self, path: str, part: str = "", form: dict[str, str] | None = None) -> tuple[int, bytes]:
        """One request, its answer's status and body. Nothing is followed."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if part:
            headers |= {"HX-Request": "true", "HX-Target": part}
        body = None
        if form is not None:
            body, headers["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        if time.monotonic() - self._asked > _IDLE:
            self._line.close()  # it connects anew: the server does not wait for ever for a next request
            self._line.connect()
        self._line.request("GET" if form is None else "POST", path, body, headers)
        answer = self._line.getresponse()
        text = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies[key] = rest.partition(";")[0]
        self._asked = time.monotonic()
        return answer.status, text

    def sign_in(self, email: str) -> None:
        """With the demo users' password.

        Raises:
            RuntimeError: it was refused.
        """
        token = _CSRF.search(self.ask("/login")[1].decode())
        form = {"csrf": token[1] if token else "", "email": email, "password": demo.PASSWORD}
        status, text = self.ask("/login", form=form)
        if status != 303:
            raise RuntimeError(f"{email} was not let in: {status} {text[:300]!r}")


def settle_in(url: str, merchant: Merchant, *, now: datetime) -> str:
    """An owner for the large merchant, and a payment with a long story; its id."""
    asyncio.run(_add_owner(url, merchant))
    past = Past(merchant)
    refunds = tuple((now - timedelta(hours=20 - n / 4), 1_000, n % 5 != 0) for n in range(60))
    payment = past.pay(now - timedelta(hours=22), 500_000, captured=500_000, refunds=refunds)
    with psycopg.connect(url) as conn:
        endpoint(conn, merchant, ids.new("whep"))  # those of the fill are called as no address calls them
        (told,) = _row(conn, _TOLD)
    for event in past.business.events:
        for n, (which, answers) in enumerate(((told, (500, None, 503, 200)), ("whep_1", (200,)))):
            past.send(event, which, *answers, ordinal=n)
    past.lay(url)
    return payment.id


async def _add_owner(url: str, merchant: Merchant) -> None:
    async with await psycopg.AsyncConnection.connect(url) as conn:
        known = await users.find(conn, demo.USERS[0].email)
        assert known is not None
        assert known.password_hash is not None
        user_id = await users.add(conn, email=_OWNER, name="Owner")
        await users.set_password(conn, user_id, known.password_hash)
        await users.grant(conn, merchant.merchant_id, user_id, "owner")


def pages(conn: psycopg.Connection[Any], long: str, *, now: datetime) -> Iterator[Page]:
    """Every page, with every filter that is read in a way of its own; `conn` reads as the owner of the tables."""
    payments, webhooks, events = "/dashboard/payments", "/dashboard/webhooks", "/dashboard/events"
    deep = {table: lists.deep_in(conn, table) for table in ("payments", "deliveries")}
    payment, order = _row(
        conn, "SELECT id, order_id FROM payments WHERE status = 'success' AND id < %s ORDER BY id DESC OFFSET 99", long
    )
    refund, refunded = _row(conn, "SELECT id, payment_id FROM refunds WHERE status = 'processed' ORDER BY id LIMIT 1")
    (receipt,) = _row(conn, "SELECT receipt FROM orders WHERE receipt IS NOT NULL LIMIT 1")
    delivery, event = _row(conn, "SELECT id, event_id FROM deliveries ORDER BY id OFFSET 1000 LIMIT 1")
    tried, _ = _row(conn, "SELECT delivery_id, claim FROM delivery_attempts ORDER BY claim DESC, delivery_id LIMIT 1")
    (told,) = _row(conn, _TOLD)
    day = {"from": f"{now - timedelta(days=20):%Y-%m-%d}", "to": f"{now - timedelta(days=13):%Y-%m-%d}"}

    def to(path: str, **query: str) -> str:
        return f"{path}?{urlencode(query)}" if query else path

    for period in ("24h", "7d", "30d"):
        yield Page(f"overview {period}", to("/dashboard", period=period))
    yield Page("overview 30d, htmx", to("/dashboard", period="30d"), part="figures")
    yield Page("payments", payments)
    yield Page("payments, htmx", payments, part="payments")
    for name, query in (
        ("deep", {"after": deep["payments"]}),
        ("back", {"before": deep["payments"]}),
        ("failed", {"status": "failed"}),
        ("failed, deep", {"status": "failed", "after": deep["payments"]}),
        ("pending", {"status": "pending"}),
        ("card", {"method": "card"}),
        ("dear: none, a whole walk", {"least": "99999999"}),
        ("an order", {"order": order}),
        ("a frequent address", {"instrument": "user@psp"}),
        ("a frequent card", {"instrument": "1111"}),
        ("a week", {"since": day["from"], "until": day["to"]}),
    ):
        yield Page(f"payments, {name}", to(payments, **query))
    yield Page("payments, news", to(f"{payments}/news", newest=payment, waiting=f"{payment} {refunded}"), part="news")
    for name, text in (
        ("payment", payment), ("refund", refund), ("order", order), ("receipt", receipt), ("vpa", "user@psp"),
        ("handle", "user"), ("last four", "1111"), ("nothing", "no@where"),
    ):  # fmt: skip
        yield Page(f"search by {name}", to(payments, q=text))
    yield Page("payment", f"{payments}/{payment}")
    yield Page("payment, refunded", f"{payments}/{refunded}")
    yield Page("payment, a long story", f"{payments}/{long}")
    as_of = f"{now - timedelta(hours=10):%Y-%m-%dT%H:%M:%S}"
    yield Page("payment, a long story, as of", to(f"{payments}/{long}", as_of=as_of))
    yield Page("payment, its refund's form", f"{payments}/{long}/refund")
    yield Page("webhooks", webhooks)
    yield Page("log, htmx", webhooks, part="deliveries")
    for name, query in (
        ("deep", {"after": deep["deliveries"]}),
        ("back", {"before": deep["deliveries"]}),
        ("arrived", {"status": "success"}),
        ("failed", {"status": "failed"}),
        ("failed, deep", {"status": "failed", "after": deep["deliveries"]}),
        ("pending", {"status": "pending"}),
        ("an event", {"event": "payment.failed"}),
        ("an endpoint", {"endpoint": "whep_1"}),
        ("an endpoint with little", {"endpoint": "whep_rare"}),
        ("a payment", {"payment": refunded}),
        ("2xx", {"code": "2xx"}),
        ("5xx: few, a whole walk", {"code": "5xx"}),
        ("no answer: none, a whole walk", {"code": "none"}),
        ("an hour", {"when": "1h"}),
        ("a month", {"when": "30d"}),
        ("a week", day),
    ):
        yield Page(f"log, {name}", to(webhooks, **query), part="deliveries")
    yield Page("delivery", f"{webhooks}/{delivery}")
    yield Page("delivery, tried again", f"{webhooks}/{tried}")
    yield Page("endpoint", f"{webhooks}/endpoints/{told}")
    yield Page("endpoint, new", f"{webhooks}/endpoints/new")
    yield Page("recoveries", f"{webhooks}/recoveries")
    counted, month = f"{webhooks}/recoveries/new", f"{now - timedelta(days=30):%Y-%m-%dT%H:%M}"
    yield Page("recovery, its form", counted)
    for name, more in (
        ("failed and missed", {}),
        ("failed", {"status": "failed"}),
        ("missed", {"status": "missed"}),
        ("success", {"status": "success"}),
        ("an endpoint", {"status": "failed", "endpoint": told}),
    ):
        yield Page(f"dry run of a month, {name}", to(counted, since=month, **more))
    yield Page("dry run of a day", to(counted, since=f"{now - timedelta(days=1):%Y-%m-%dT%H:%M}"))
    yield Page("events", events)
    for name, query in (
        ("deep", {"after": "evt_" + deep["deliveries"].removeprefix("dlv_")}),
        ("a type", {"type": "payment.failed"}),
        ("a family", {"type": "payment.*"}),
        ("about a payment", {"about": refunded}),
        ("none: a whole walk", {"type": "endpoint.disabled"}),
        ("a week", {"since": day["from"], "until": day["to"]}),
    ):
        yield Page(f"events, {name}", to(events, **query))
    yield Page("event", f"{events}/{event}")
    for name in ("keys", "team", "audit", "account", "docs"):
        yield Page(name, f"/dashboard/{name}")
    for name in ("", "/merchants", "/merchants?q=large", "/database"):
        yield Page(f"operator{name}", f"/dashboard/operator{name}", operator=True)


def measure(database: Database, long: str, *, now: datetime, times: int) -> Iterator[Result]:
    """Ask for every page `times` times, and once more with statements and buffers counted."""
    with psycopg.connect(database.url, autocommit=True) as owner:
        found = list(pages(owner, long, now=now))
    with _serving(database) as (port, pid, started):
        yield started
        signed = {True: Browser(port), False: Browser(port)}
        signed[True].sign_in(_OPERATOR)
        signed[False].sign_in(_OWNER)
        results = [_asked(signed[one.operator], one, times, (pid, database.stage.server.pid)) for one in found]
        if database.stage.counts_statements:
            _count(database, signed, found, results)
    yield from results


def report(results: Iterator[Result]) -> bool:
    """Print a table; whether no page's median is over the limit."""
    well = True
    print(
        f"\n{'whole pages over HTTP':34}{'first':>8}{'median':>8}{'p95':>8}{'/health':>9}{'kB':>7}"
        f"{'statements':>12}{'buffers':>9}{'ours':>7}{'server':>8}   load {os.getloadavg()[0]:.1f}"
    )
    for one in results:
        print(
            f"{one.page:34}{one.first:8.1f}{one.median:8.1f}{one.p95:8.1f}{_ratio(one):>9}{one.size / 1000:7.1f}"
            f"{one.statements:12}{one.buffers:9,}{one.ours:7.1f}{one.server:8.1f}   {one.said}"
        )
        well &= one.median <= LIMIT and one.status in {200, 303}
    print(f"milliseconds; `ours` and `server` are processor time of one request; load {os.getloadavg()[0]:.1f}")
    return well


def _ratio(one: Result) -> str:
    return f"{one.median / one.beside:.0f}x" if one.beside else ""


@contextmanager
def _serving(database: Database) -> Iterator[tuple[int, int, Result]]:
    """The dashboard: its port, its process, and what a browser's very first page took."""
    port = free_port()
    env = database.env | {"LEDGATE_DASHBOARD_PORT": str(port), "LEDGATE_RATE_LIMIT": "0"}
    began = time.perf_counter()
    with database.stage.process("dashboard", env=env) as child:
        until(lambda: b" 200 " in ask(port, "/health/ready"), child=child)
        ready = time.perf_counter()
        browser = Browser(port)
        status, text = browser.ask("/login")
        done = time.perf_counter()
        print(f"  ready {ready - began:.2f} s after its start; then the first page took {(done - ready) * 1000:.0f} ms")
        beside = [_took(browser, "/login")[0] for _ in range(20)]
        first = Result(
            "sign in, the first page", status, (done - ready) * 1000, statistics.median(beside), max(beside), 0.0,
            len(text), 0.0, 0.0,
        )  # fmt: skip
        yield port, child.pid, first


def _asked(browser: Browser, page: Page, times: int, pids: tuple[int, int]) -> Result:
    beside = statistics.median(_took(browser, "/health")[0] for _ in range(_BEFORE))
    first, _, _ = _took(browser, page.path, page.part)
    before = [used(pid) for pid in pids]
    took = [_took(browser, page.path, page.part) for _ in range(times)]
    ours, server = ((used(pid) - was) / times * 1000 for pid, was in zip(pids, before, strict=True))
    times_taken = sorted(each[0] for each in took)
    return Result(
        page.name,
        took[-1][1],
        first,
        statistics.median(times_taken),
        times_taken[min(times - 1, int(times * 0.95))],
        beside,
        took[-1][2],
        ours,
        server,
    )


def _took(browser: Browser, path: str, part: str = "") -> tuple[float, int, int]:
    began = time.perf_counter()
    status, text = browser.ask(path, part)
    return (time.perf_counter() - began) * 1000, status, len(text)


def _count(database: Database, signed: dict[bool, Browser], found: Sequence[Page], results: Sequence[Result]) -> None:
    with database.stage.counting(database):
        for page, result in zip(found, results, strict=True):
            database.run("SELECT pg_stat_statements_reset()")
            signed[page.operator].ask(page.path, page.part)
            ((result.statements, result.buffers),) = database.run(_SPENT)


def _row(conn: psycopg.Connection[Any], query: str, *values: object) -> tuple[Any, ...]:
    row = conn.execute(query.encode(), values or None).fetchone()
    assert row is not None, query
    return tuple(row)
