"""`docker compose up` is enough, and what it starts survives what happens to containers: a story, told in order."""

from __future__ import annotations

import base64
import hashlib
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import zip_longest
from typing import Any

import httpx
import msgspec
import pytest

from kit import ids
from tests.containers.composed import Composed, composed, docker, inspect
from tests.containers.visiting import signed_in, visiting
from tests.faults.shop import assert_kept, report
from tests.support.load import Answer, Load, load, payment
from tests.support.processes import ROOT
from tests.support.waiting import until

PATIENCE = 150  # seconds; where it is calm everything here takes a few
LOAD = {"connections": 8, "thinks": 0.1}  # below the rate of one key, and what two cores can do beside the engine
CALM = {"connections": 12, "thinks": 0.4}  # many under way at once, and time left for what starts beside them


@pytest.fixture(scope="module")
def shop(failed: Callable[[], bool]) -> Iterator[Composed]:
    """The whole compose file with three dispatchers, started as anybody would."""
    with composed(failed=failed) as project:
        began = time.monotonic()
        project("up", "--wait", "--no-build", "--scale", "dispatcher=3", within=300)
        report(f"up --wait with three dispatchers: {time.monotonic() - began:.1f} s")
        yield project


@pytest.fixture(scope="module")
def loads() -> list[Load]:
    """Everything that was asked of the shop so far."""
    return []


def test_everything_comes_up_in_order(shop: Composed) -> None:
    """Each service is healthy; nothing began before what it needs was done, so nothing had to be tried again."""
    states = shop.states()
    found = {(state["Service"], state["State"], state["Health"]) for state in states if state["Service"] != "demo"}
    started, ended = _times(shop, "StartedAt", min), _times(shop, "FinishedAt", max)
    restarts = [inspect(state["ID"], "{{.RestartCount}}") for state in states]

    assert found == {
        *((name, "exited", "") for name in ("secrets", "migrate")),
        *(
            (name, "running", "healthy")
            for name in ("postgres", "api", "checkout", "dashboard", "proxy", "dispatcher", "test-merchant", "shop")
        ),
    }
    assert [state["Service"] for state in states].count("dispatcher") == 3
    assert [state["Service"] for state in states].count("api") == 2
    assert [state["Service"] for state in states].count("dashboard") == 2
    assert ended["secrets"] <= started["postgres"] <= started["migrate"]
    assert ended["migrate"] <= min(started["api"], started["dashboard"], started["dispatcher"])
    assert started["api"] <= started["proxy"] <= min(started["demo"], started["shop"])
    assert set(restarts) == {"0"}


def test_the_first_payment_went_through(shop: Composed) -> None:
    """By itself, to three webhooks that the test merchant has verified."""
    (demo,) = until(partial(_ended, shop, "demo"), within=PATIENCE)

    assert demo["ExitCode"] == 0
    assert "3 webhooks received and verified: created, pending, success" in shop.logs("demo")
    told = shop.received()
    assert told["counts"] == {"payment.created": 1, "payment.pending": 1, "payment.success": 1}
    assert all(arrival["verified"] for arrival in told["data"])


def test_no_container_has_more_than_it_needs(shop: Composed) -> None:
    """No root, no capability, nothing to write but a small /tmp, no password in the environment, bounded memory."""
    passwords = shop("exec", "-T", "-u", "0", "postgres", "cat", "/run/secrets/password").split()
    services = ("api", "checkout", "dashboard", "dispatcher", "proxy", "test-merchant", "shop")
    for container in [shop.containers(service)[0] for service in services]:
        status = docker("exec", container, "cat", "/proc/self/status").stdout
        facts = dict(line.split(":\t", 1) for line in status.splitlines())
        assert facts["Uid"].split() == ["10001"] * 4
        assert facts["CapEff"] == facts["CapBnd"] == "0" * 16
        assert facts["NoNewPrivs"] == "1"
        assert "Read-only file system" in docker("exec", container, "touch", "/opt/x", code=1).stderr
        told = inspect(container, "{{json .Config.Env}} {{json .Config.Cmd}} {{json .HostConfig}}")
        assert not [password for password in passwords if password in told]
        assert int(inspect(container, "{{.HostConfig.Memory}}")) > 0
    (postgres,) = shop.containers("postgres")
    listed = docker("top", postgres, "-eo", "pid,uid,comm").stdout
    users = re.findall(r"(\d+) +postgres$", listed, re.MULTILINE)
    assert users
    assert "0" not in users


def test_four_dispatchers_share_the_work(shop: Composed, loads: list[Load]) -> None:
    """Each does a part, together they do it once; the table tells how long webhooks took to arrive."""
    _scale(shop, 4)
    with load(shop.url, **LOAD) as running:
        running.await_more(250, within=PATIENCE)
    loads.append(running)
    shop.await_quiet(within=PATIENCE)

    done = tuple(shop.count(f"SELECT count(*) AS n FROM {table}") for table in ("deliveries", "payments"))
    dispatchers = until(lambda: _shares(shop, done), within=PATIENCE, what=f"heartbeats that tell of {done}")
    arrivals = shop.received(limit=1000)["data"]
    waits = [_received(arrival) - ids.made_at(arrival["webhook_id"]) for arrival in arrivals]
    cuts = statistics.quantiles(waits, n=100)
    table = [f"{row['host']}   {row['delivered']:9}  {row['processed']:9}\n" for row in dispatchers]
    told_in = ", ".join(f"p{percent} {cuts[percent - 1] * 1000:.0f} ms" for percent in (50, 90, 99))
    report(
        f"dispatcher     delivered  processed\n{''.join(table)}"
        f"{len(waits)} webhooks, from event to receipt: {told_in}, at most {max(waits) * 1000:.0f} ms"
    )
    assert len(dispatchers) == 4
    assert all(row["delivered"] for row in dispatchers)


def test_nothing_is_lost_when_containers_die(shop: Composed, loads: list[Load]) -> None:
    """A dispatcher and an API replica are killed and the database restarts, all under load; each comes back."""
    dispatcher, api = shop.containers("dispatcher")[0], shop.containers("api")[0]
    with load(shop.url, **LOAD) as running:
        running.await_more(50, within=PATIENCE)
        docker("exec", dispatcher, "sh", "-c", "kill -9 -1")  # every process of it; `restart:` brings it back
        running.await_more(50, within=PATIENCE)
        docker("kill", api)
        running.await_more(50, within=PATIENCE)
        docker("start", api)
        shop("restart", "postgres", within=PATIENCE)
        running.await_more(50, within=PATIENCE)
    loads.append(running)
    for container in shop.containers("postgres", "api", "dispatcher"):
        until(partial(_healthy, container), within=PATIENCE)

    assert int(inspect(dispatcher, "{{.RestartCount}}")) == 1
    _assert_all_is_told(shop, loads)
    report(f"through kills: {_told(running)}")


def test_every_container_is_restarted_and_nobody_notices(shop: Composed, loads: list[Load]) -> None:
    """The replicas of each service in turn, under load: every request is answered 201 at its first try, every sign-in
    and every action in the dashboard is done, and nothing is lost."""
    _scale(shop, 2)  # two more would tell no more
    took: list[str] = []
    with load(shop.url, **CALM) as running, ThreadPoolExecutor(4) as aside:
        with visiting(shop.dashboard_url) as visitor:
            replicas = [shop.containers(name) for name in ("api", "dashboard", "dispatcher", "test-merchant")]
            for containers in zip_longest(*replicas):
                running.await_more(20, within=PATIENCE)
                visitor.await_more(2)
                took += aside.map(_restarted, [one for one in containers if one])
            visitor.await_more(2)
        (postgres,) = shop.containers("postgres")  # a form that an outage has cut is not sent again by itself
        took.append(_restarted(postgres))
        running.await_more(20, within=PATIENCE)
    loads.append(running)
    report("\n".join([*took, f"meanwhile: {_told(running)}, {visitor.rounds} sign-ins"]))

    assert dict(running.statuses) == {201: len(running.acknowledged)}
    assert (running.refused, running.broken_off, running.wrong) == (0, 0, [])
    assert visitor.wrong == []
    renamed = "SELECT count(*) AS n FROM audit_log WHERE action = 'user.renamed' AND address ~ '[.]219[.][0-9]+[.]1$'"
    assert shop.count(renamed) == visitor.rounds
    _assert_all_is_told(shop, loads)


def test_one_dispatcher_is_enough(shop: Composed, loads: list[Load]) -> None:
    """Scaled down under load, the last one delivers the rest."""
    with load(shop.url, **LOAD) as running:
        running.await_more(30, within=PATIENCE)
        _scale(shop, 1)
        running.await_more(30, within=PATIENCE)
    loads.append(running)

    assert len(shop.containers("dispatcher")) == 1
    _assert_all_is_told(shop, loads)


def test_everything_works_through_a_pooler(shop: Composed, loads: list[Load]) -> None:
    """Payments, webhooks and the dashboard, over fewer connections than we have sessions: none of them needs a
    session's state. It is restarted, and they go on."""
    shop.env["LEDGATE_DATABASE_HOST"] = "pooler"
    wanted = ("pooler", "api", "dashboard", "dispatcher")
    shop("--profile", "pooler", "up", "-d", "--wait", "--no-build", "--no-deps", *wanted, within=PATIENCE)
    config = shop("--profile", "pooler", "exec", "-T", "pooler", "cat", "/etc/pgbouncer/ledgate.ini")
    assert re.search(r"^\s*pool_mode\s*=\s*transaction$", config, re.MULTILINE)
    with load(shop.url, **CALM) as running:
        running.await_more(80, within=PATIENCE)
        _look_at_the_dashboard(shop)
        sessions = shop.execute(
            "SELECT usename, host(client_addr) AS address, count(*) AS n FROM pg_stat_activity"
            " WHERE usename IN ('api', 'dashboard', 'dispatcher') GROUP BY 1, 2"
        )
        shop("--profile", "pooler", "restart", "pooler")
        running.await_more(30, within=PATIENCE)
    loads.append(running)

    report(f"through the pooler: {_told(running)}; {sessions}")
    assert {row["usename"] for row in sessions} == {"api", "dashboard", "dispatcher"}
    through = {row["address"] for row in sessions if row["usename"] != "api"}  # the checkout went past it
    assert len(through) == 1
    _assert_all_is_told(shop, loads)


def test_the_demo_shop_sells_through_the_checkout(shop: Composed) -> None:
    """It gives out the script that was built; what is paid on its page is packed when the webhook came, not before."""
    built = msgspec.json.decode((ROOT / "gateway/checkout/sdk/build.json").read_bytes())
    with httpx.Client(timeout=30) as shopper:
        script = shopper.get(f"{shop.checkout_url}/checkout.js").raise_for_status().content
        assert _integrity(script) == built["integrity"]

        shopper.post(f"{shop.shop_url}/basket", data={"tea": "assam", "quantity": "1"})
        till = shopper.post(f"{shop.shop_url}/orders", headers={"Accept": "application/json"}).json()
        place = f"{shop.shop_url}{till['page']}"
        assert 'data-state="unpaid"' in shopper.get(place).text
        _pay_on_the_page(shopper, shop.checkout_url, till)
        until(lambda: 'data-state="paid"' in shopper.get(place).text, within=PATIENCE, what="a packed order")
    assert shop.count("SELECT count(*) AS n FROM payments WHERE merchant_id = 'mer_demo_shop'") == 1


def test_the_dashboard_shows_a_month_of_the_past(shop: Composed) -> None:
    """As `demo` makes it up when everything comes up; here at the end, since all was counted before."""
    words = ("--api", "http://proxy:8000", "--test-merchant", "http://test-merchant:4000", "--past", "100")
    shop("run", "--rm", "--no-deps", "-T", "demo", "demo", *words, within=PATIENCE)

    with signed_in(shop.dashboard_url) as browser:
        page = browser.get("/dashboard", params={"period": "30d"}).raise_for_status().text
    assert "The old CRM" in page, "an endpoint in trouble"


def test_down_leaves_nothing(shop: Composed) -> None:
    """No container, volume or network; soon, since every process ends on SIGTERM."""
    began = time.monotonic()
    shop.down()
    took = time.monotonic() - began

    report(f"down -v: {took:.1f} s")
    mine = ("--filter", f"label=com.docker.compose.project={shop.name}", "-q")
    assert [docker(*kind, *mine).stdout for kind in (("ps", "-a"), ("volume", "ls"), ("network", "ls"))] == [""] * 3


def _restarted(container: str) -> str:
    """Restart a container and wait until it is healthy; what it took."""
    began = time.monotonic()
    docker("restart", container, within=PATIENCE)
    until(partial(_healthy, container), within=PATIENCE)
    name = inspect(container, "{{.Name}}").rpartition("-")[0].partition("-")[2]
    return f"{name:28} restarted and healthy after {time.monotonic() - began:4.1f} s"


def _look_at_the_dashboard(shop: Composed) -> None:
    """A merchant's pages, and an operator's, for which the dashboard takes another role for a transaction."""
    with signed_in(shop.dashboard_url) as browser:
        assert "success" in browser.get("/dashboard/payments").raise_for_status().text
        assert "code-snippet-create-order" in browser.get("/dashboard/docs").raise_for_status().text
    with signed_in(shop.dashboard_url, "operator@ledgate.test") as browser:
        assert "Ledgate Demo" in browser.get("/dashboard/operator/merchants").raise_for_status().text


def _integrity(script: bytes) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(script).digest()).decode()}"


def _pay_on_the_page(shopper: httpx.Client, checkout: str, till: dict[str, Any]) -> None:
    """As the checkout's own script does, in a frame of the shop."""
    query = {"order_id": till["orderId"], "key": till["key"], "embedded": "true"}
    page = shopper.get(f"{checkout}/checkout", params=query).raise_for_status()
    boot = re.search(r'id="boot"[^>]*>(.*?)</script>', page.text, re.DOTALL)
    assert boot
    session = msgspec.json.decode(boot[1])["view"]["session"]
    headers = {"X-Checkout-Session": session, "Idempotency-Key": "1"}
    body = {"method": "upi", "flow": "collect", "vpa": "success@paytm"}
    shopper.post(f"{checkout}/checkout/pay", headers=headers, json=body).raise_for_status()


def _scale(shop: Composed, dispatchers: int) -> None:
    wanted = ("--scale", f"dispatcher={dispatchers}", "dispatcher")
    shop("up", "-d", "--wait", "--no-build", "--no-recreate", "--no-deps", *wanted, within=PATIENCE)


def _times(shop: Composed, which: str, choose: Callable[..., datetime]) -> dict[str, datetime]:
    found: dict[str, list[datetime]] = {}
    for state in shop.states():
        at = datetime.fromisoformat(inspect(state["ID"], f"{{{{.State.{which}}}}}"))
        found.setdefault(state["Service"], []).append(at)
    return {service: choose(times) for service, times in found.items()}


def _shares(shop: Composed, done: tuple[int, ...]) -> list[dict[str, int]] | None:
    rows = shop.execute("SELECT host, delivered, processed FROM dispatchers ORDER BY delivered DESC")
    return rows if tuple(sum(row[name] for row in rows) for name in ("delivered", "processed")) == done else None


def _received(arrival: dict[str, str]) -> float:
    return datetime.fromisoformat(arrival["received_at"]).timestamp()


def _ended(shop: Composed, service: str) -> list[dict[str, Any]]:
    return [state for state in shop.states() if (state["Service"], state["State"]) == (service, "exited")]


def _healthy(container: str) -> bool:
    return inspect(container, "{{.State.Health.Status}}") == "healthy"


def _told(load: Load) -> str:
    return (
        f"{len(load.acknowledged)} acknowledged, answers {dict(load.statuses)}, {load.refused} connections refused,"
        f" {load.broken_off} broken off, slowest 503 after {load.slowest_refusal:.1f} s"
    )


def _assert_all_is_told(shop: Composed, loads: list[Load]) -> None:
    """What was acknowledged is in the ledger, charged once, and its webhooks arrived; `ledgate check` agrees."""
    shop.await_quiet(within=PATIENCE)
    everything = Load(shop.url, connections=0, thinks=0, ask=payment, refusals=frozenset())
    everything.acknowledged = _first_payment(shop)
    for each in loads:
        everything.acknowledged |= each.acknowledged
        everything.wrong += each.wrong
    assert_kept(everything, shop)
    # Its memory goes with a restart, its log does not.
    verified = re.findall(r" (evt_\w+) attempt \d+ -> (.+)", shop.logs("test-merchant"))
    assert {event for event, _ in verified} == {row["id"] for row in shop.execute("SELECT id FROM events")}
    assert {outcome for _, outcome in verified} <= {"200 received", "200 received, a duplicate"}
    shop("run", "--rm", "--no-deps", "-T", "ledgate", "check")


def _first_payment(shop: Composed) -> dict[str, Answer]:
    (found,) = re.findall(r"payment (pay_\w+) accepted", shop.logs("demo"))
    (row,) = shop.execute(f"SELECT key, body FROM idempotency_keys WHERE body::json ->> 'id' = '{found}'")
    return {row["key"]: Answer("/payments", {}, row["body"].encode(), 1, replayed=False)}
