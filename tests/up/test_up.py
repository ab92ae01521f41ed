"""`ledgate up`, as a newcomer meets it: one command, one screen, a verified webhook, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from dashboard.reading import operator
from kit import embedded
from kit.children import alive
from tests.support.tools import run_curl
from tests.up.runs import PATIENCE, UP, Run, make_folder, some_ports, until, who


@pytest.fixture
def folder() -> Iterator[Path]:
    path = make_folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def ports() -> tuple[int, ...]:
    return some_ports()


@pytest.fixture
def run(folder: Path, ports: tuple[int, ...]) -> Iterator[Callable[..., Run]]:
    """Run commands that are gone after the test, with all that they started."""
    runs: list[Run] = []

    def _run(*args: str, **settings: str) -> Run:
        runs.append(Run(folder, ports, *args, **settings))
        return runs[-1]

    yield _run
    for one in runs:
        left = one.everybody()
        one.process.kill()
        one.ended()
        until(lambda left=left: not any(map(alive, left)), lambda left=left: who(left))


@pytest.fixture(scope="module")
def stack() -> Iterator[Run]:
    """One Ledgate that runs while several tests look at it."""
    path = make_folder()
    one = Run(path, some_ports(), "up")
    try:
        one.until_said(UP)
        yield one
    finally:
        one.interrupt()
        shutil.rmtree(path)


def test_a_first_payment_reaches_its_merchant_before_anything_is_asked_of_the_newcomer(stack):
    received = httpx.get(
        f"http://127.0.0.1:{stack.ports[1]}/received",
        params={"payment_id": stack.payment_id},
        trust_env=False,
    ).json()

    assert stack.get(f"/api/v1/payments/{stack.payment_id}").json()["status"] == "success"
    assert {arrival["event"] for arrival in received["data"] if arrival["verified"]} >= {
        "payment.created",
        "payment.pending",
        "payment.success",
    }
    assert re.search(r"3 webhooks received and verified: created, pending, success +\d+ ms", stack.said)


def test_the_screen_tells_where_everything_is_and_fits_a_plain_terminal_of_80_columns(stack):
    screen = stack.said[: stack.said.index(UP)]

    for fact in (
        f"http://localhost:{stack.ports[0]}/api/v1",
        f"http://localhost:{stack.ports[0]}/docs",
        f"http://localhost:{stack.ports[1]}/received",
        f"http://localhost:{stack.ports[2]}/checkout.js",
        f"Open http://localhost:{stack.ports[3]} and buy something.",
        f"http://localhost:{stack.ports[4]}",
        "demo@ledgate.test with ledgate-demo",
        "bin/ledgate demo\n",
        "key_test_abc123",
        "secret_test_xyz789",
        "whsec_test_abc123",
        "postgresql://ledgate@127.0.0.1:",
        "make clean-data",
    ):
        assert fact in screen
    assert max(map(len, screen.splitlines())) <= 80
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", stack.said)


def test_operators_see_which_statements_are_slow(stack):
    """Our own server counts them from its first start: the dispatcher's claim is there, what migrations did is not."""
    url = re.search(r"postgresql://ledgate@127\.0\.0\.1:\d+/\w+", stack.said)[0]

    async def read() -> operator.Statements:
        options = "-c role=ledgate_operator"
        async with await psycopg.AsyncConnection.connect(url, autocommit=True, options=options) as conn:
            return await operator.statements(conn)

    def claims() -> bool:
        return any("outbox" in one.query and "SKIP LOCKED" in one.query for one in asyncio.run(read()).slow)

    until(claims, lambda: str(asyncio.run(read())))
    found = asyncio.run(read())
    assert found.missing is None
    assert not [one.query for one in found.slow if re.match(r"\s*(CREATE|ALTER|DO|COMMENT|GRANT)\b", one.query)]


def test_the_command_on_the_screen_can_be_pasted_as_often_as_one_likes(stack):
    command = re.search(r"^curl (?:.*\\\n)+.*", stack.said, re.MULTILINE)[0]

    first, second = run_curl(command), run_curl(command)

    assert first[0] == 201
    assert '"status":"pending"' in first[1]
    assert second == first


def test_the_checkout_on_the_screen_opens(stack):
    address = re.search(r"http://localhost:\d+/checkout\?\S+", stack.said)[0]

    said = httpx.get(address.replace("localhost", "127.0.0.1"), trust_env=False)

    assert said.status_code == 200
    assert "₹500.00" in said.text


def test_the_demo_shop_on_the_screen_packs_what_was_paid(stack):
    address = re.search(r"Open (http://localhost:\d+) and", stack.said)[1].replace("localhost", "127.0.0.1")
    with httpx.Client(base_url=address, trust_env=False) as shopper:
        shopper.post("/basket", data={"tea": "masala", "quantity": "1"})
        till = shopper.post("/orders", headers={"Accept": "application/json"}).json()
        body = {"order_id": till["orderId"], "method": "upi", "vpa": "success@paytm"}
        keys = ("key_test_shop123", "secret_test_shop789")
        paid = httpx.post(f"http://127.0.0.1:{stack.ports[0]}/api/v1/payments", json=body, auth=keys, trust_env=False)

        assert paid.status_code == 201
        until(lambda: 'data-state="paid"' in shopper.get(till["page"]).text, lambda: shopper.get(till["page"]).text)
        assert f"http://localhost:{stack.ports[2]}/checkout.js" in shopper.get("/").text


def test_demo_makes_a_payment_against_what_runs(stack):
    demo = Run(stack.folder, stack.ports, "demo", "--past", "0")  # tests/dashboard_data grows one

    assert demo.ended() == 0, demo.said
    assert "3 webhooks received and verified: created, pending, success" in demo.said
    assert demo.payment_id != stack.payment_id


def test_operators_find_the_database_of_what_runs_here(stack):
    shown = Run(stack.folder, stack.ports, "payments", "show", stack.payment_id)
    made = Run(stack.folder, stack.ports, "endpoints", "create", "mer_demo", "https://shop.example/hook")

    assert shown.ended() == 0, shown.said
    assert "payment.success" in shown.said
    assert made.ended() == 0, made.said
    secret = Run(stack.folder, stack.ports, "endpoints", "secret", made.said.split()[0])
    assert secret.ended() == 0, secret.said
    assert secret.said.startswith("whsec_")


def test_a_second_start_is_refused_and_says_where_the_first_one_is(stack):
    second = Run(stack.folder, some_ports(), "up")

    assert second.ended() == 1
    assert f"already running, as process {stack.process.pid}" in second.said
    assert f"http://localhost:{stack.ports[0]}" in second.said
    assert stack.get("/health/ready").status_code == 200


def test_what_runs_is_not_reset(stack):
    reset = Run(stack.folder, stack.ports, "reset", "--yes")

    assert reset.ended() == 1
    assert "already running" in reset.said
    assert stack.get(f"/api/v1/payments/{stack.payment_id}").status_code == 200


def test_a_database_that_does_not_exist_is_named_without_the_password(stack):
    port = re.search(r"ledgate@127\.0\.0\.1:(\d+)/", stack.said)[1]
    url = f"postgresql://ledgate:h1dden@127.0.0.1:{port}/nowhere"

    migrate = Run(stack.folder, stack.ports, "migrate", DATABASE_URL=url)

    assert migrate.ended() == 1
    assert f"host 127.0.0.1, port {port}, database nowhere" in migrate.said
    assert "h1dden" not in migrate.said


def test_ctrl_c_stops_everything_and_the_data_stays_for_the_next_run(run, folder):
    first = run("up")
    first.until_said(UP)
    everybody = first.everybody()

    assert first.interrupt() == 0, first.said
    assert not any(map(alive, everybody))
    order = [first.said.index(f"{name} stopped") for name in ("dispatcher", "API", "test merchant", "PostgreSQL")]
    assert order == sorted(order)

    second = run("up")
    second.until_said(UP)
    assert second.get(f"/api/v1/payments/{first.payment_id}").json()["status"] == "success"
    assert second.interrupt() == 0, second.said

    reset = run("reset", "--yes")
    assert reset.ended() == 0, reset.said
    assert not (folder / "data" / "postgres").exists()


def test_sigterm_stops_it_as_well_even_while_it_is_starting(run):
    starting = run("up")
    until(lambda: len(starting.everybody()) > 1, lambda: starting.said)
    everybody = starting.everybody()

    starting.process.terminate()

    assert starting.ended() == 0, starting.said
    assert not any(map(alive, everybody))
    assert "Traceback" not in starting.said


def test_a_second_ctrl_c_does_not_wait_for_what_hangs(run):
    up = run("up")
    up.until_said(UP)
    everybody = up.everybody()
    os.kill(up.child("dispatcher"), signal.SIGSTOP)

    up.process.send_signal(signal.SIGINT)
    up.until_said("Stopping")

    def pressed_again() -> bool:
        up.process.send_signal(signal.SIGINT)
        return up.process.poll() is not None

    until(pressed_again, lambda: up.said)
    assert up.ended() == 130
    until(lambda: not any(map(alive, everybody)), lambda: up.said)


def test_a_kill_leaves_no_process_and_the_next_start_works_at_once(run):
    killed = run("up")
    killed.until_said(UP)
    everybody = killed.everybody()

    killed.process.kill()
    killed.process.wait(PATIENCE)
    again = run("up")
    again.until_said(UP)

    until(lambda: not any(map(alive, everybody)), lambda: who(everybody))
    assert again.get(f"/api/v1/payments/{killed.payment_id}").json()["status"] == "success"


def test_a_process_that_dies_takes_everything_down_and_is_named(run):
    up = run("up")
    up.until_said(UP)
    everybody = up.everybody()

    os.kill(up.child("dispatcher"), signal.SIGKILL)

    assert up.ended() == 1
    assert "The dispatcher ended unexpectedly, with signal SIGKILL. Its last lines:" in up.said
    assert not any(map(alive, everybody))


@pytest.mark.parametrize(
    ("index", "variable"),
    [
        (0, "PORT"),
        (1, "LEDGATE_TEST_MERCHANT_PORT"),
        (2, "LEDGATE_CHECKOUT_PORT"),
        (3, "LEDGATE_DEMO_SHOP_PORT"),
        (4, "LEDGATE_DASHBOARD_PORT"),
    ],
)
def test_a_taken_port_is_refused_before_anything_is_started(run, folder, ports, index, variable):
    with socket.create_server(("127.0.0.1", ports[index])):
        up = run("up")
        code = up.ended()

    assert code == 1
    assert f"Port {ports[index]}" in up.said
    assert f"by process {os.getpid()}" in up.said
    assert re.search(rf"{variable}=\d+ make run", up.said)
    assert not (folder / "data" / "postgres").exists()


def test_a_database_that_is_away_is_waited_for_with_one_message(run, folder, ports):
    url = f"postgresql://shop:h1dden@127.0.0.1:{ports[0]}/shop"

    up = run("up", DATABASE_URL=url)
    up.until_said("Waiting for the database")
    code = up.interrupt()

    assert code == 0
    assert up.said.count("Waiting") == 1
    assert f"host 127.0.0.1, port {ports[0]}, database shop" in up.said
    assert "h1dden" not in up.said


def test_a_database_that_stays_away_is_named_with_what_to_do(run, ports):
    url = f"postgresql://shop:h1dden@127.0.0.1:{ports[0]}/shop"

    migrate = run("migrate", "--wait", "0.3", DATABASE_URL=url)

    assert migrate.ended() == 1
    assert f"(host 127.0.0.1, port {ports[0]}, database shop) did not answer within" in migrate.said
    assert "DATABASE_URL" in migrate.said
    assert "h1dden" not in migrate.said


def test_a_database_of_ones_own_is_used_instead(run, folder):
    with embedded.Server.start(folder / "own", settings={"shared_buffers": "32MB"}) as server:
        migrate = run("migrate", DATABASE_URL=server.url)
        assert migrate.ended() == 0, migrate.said
        assert "applied 0001" in migrate.said

        up = run("up", DATABASE_URL=server.url)
        up.until_said(UP)

        assert up.get(f"/api/v1/payments/{up.payment_id}").json()["status"] == "success"
        assert up.interrupt() == 0, up.said
        assert server.running
    assert not (folder / "data" / "postgres").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PORT": "eighty"}, "PORT"),
        ({"LEDGATE_TYPO": "1"}, "LEDGATE_TYPO"),
        ({"DATABASE_URL": "postgresql://shop:h1dden@a@b:5432/shop"}, "DATABASE_URL"),
        ({"TEST_MODE": "false"}, "LEDGATE_SECRET_KEYS"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(run, settings, named):
    up = run("up", **settings)

    assert up.ended() == 2
    assert re.fullmatch(rf"\s*ledgate: .*{named}.*\n", up.said), up.said
    assert "h1dden" not in up.said


def test_demo_says_what_to_start_when_nothing_runs(run):
    demo = run("demo")

    assert demo.ended() == 1
    assert "make run" in demo.said
    assert "Traceback" not in demo.said


def test_reset_asks_before_it_removes(run, folder):
    (folder / "data").mkdir()

    reset = run("reset")

    assert reset.ended() == 2
    assert "ledgate reset --yes" in reset.said
