"""A restart of the API costs time, not a request: it leaves, closes its listener, and finishes what it has."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from gateway import demo
from kit.children import alive, descendants
from tests.faults.shop import (
    LONG,
    Look,
    assert_all_told,
    assert_calm,
    assert_sound,
    await_quiet,
    count,
    open_shop,
    pay,
    report,
)
from tests.support.customers import customers
from tests.support.load import HEADERS
from tests.support.ports import steady_port
from tests.support.processes import Process, Stack
from tests.support.waiting import until

pytestmark = pytest.mark.faults

ROUNDS = 5 if LONG else 1
BETWEEN = 300 if LONG else 50
QUEUED = 40
PAYMENT = msgspec.json.encode({"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "user@paytm"})
WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_two_processes_restarted_in_turn(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Eight clients that obey `Connection: close`, and go to the other process when one refuses: no request fails, none
    is sent twice, with a key or without, and every payment that was acknowledged is there, once."""
    with open_shop(database_url, tmp_path, LEDGATE_LEAVE="1") as shop:
        ports = [shop.api_port, steady_port()]
        processes = [
            shop.process("gateway", PORT=str(port), LEDGATE_API_WORKERS=str(workers))
            for workers, port in enumerate(ports, 1)
        ]
        for process, port in zip(processes, ports, strict=True):
            _start(process, port)
        shop.start_dispatcher()

        with customers([f"http://127.0.0.1:{port}" for port in ports]) as clients:
            clients.await_more(BETWEEN)
            calm, began = clients.percentile(0.99), time.monotonic()
            for _ in range(ROUNDS):
                for process, port in zip(processes, ports, strict=True):
                    assert process.terminate() == 0
                    _start(process, port)
                    clients.await_more(BETWEEN)
        await_quiet(conn, within=120)

        assert clients.failed == []
        assert len(set(clients.paid)) == len(clients.paid) == count(conn, "SELECT count(*) AS n FROM payments")
        assert {row["id"] for row in conn.execute("SELECT id FROM payments")} == set(clients.paid)
        assert_sound(conn)
        assert_all_told(shop, conn)
        assert_calm(*processes)
        report(
            f"{2 * ROUNDS} restarts of two processes: {clients.answered} requests, {len(clients.paid)} payments,"
            f" 0 failed; {clients.refused} connections refused; p99 {calm:.3f} s before,"
            f" {clients.percentile(0.99, since=began):.3f} s after the first restart began,"
            f" slowest {clients.percentile(1, since=began):.3f} s"
        )


def test_what_has_begun_is_finished(database_url: str, conn: Look, tmp_path: Path) -> None:
    """After SIGTERM the process says that it is leaving, closes its connections with their answers, and serves; then it
    refuses, and finishes: a request that waits for a lock, and one whose body only comes after the listener is gone."""
    with (
        open_shop(database_url, tmp_path, LEDGATE_LEAVE="2", LEDGATE_PATIENCE="0") as shop,
        psycopg.connect(database_url) as holder,
        httpx.Client(base_url=shop.url, headers=HEADERS, timeout=30) as kept,
        ThreadPoolExecutor(2) as aside,
        contextlib.closing(socket.socket()) as idle,
        contextlib.closing(socket.socket()) as slow,
    ):
        shop.start_api()
        assert "connection" not in kept.get("/health").headers
        for one, text in (
            (idle, _request("GET", "/health")),
            (slow, _request("POST", "/api/v1/payments", PAYMENT)[:-9]),
        ):
            one.settimeout(30)
            one.connect(("127.0.0.1", shop.api_port))
            one.sendall(text)
        assert _answer(idle)[0] == 200

        ending = aside.submit(shop.api.terminate)
        until(lambda: _ready(shop).status_code == 503, what="an API that says that it is leaving")
        told = _ready(shop)
        assert told.json() == {"status": "unavailable", "database": None, "process": "leaving"}
        assert told.headers["connection"] == kept.get("/health").headers["connection"] == "close"
        pay(shop)
        holder.execute("LOCK TABLE payments IN SHARE MODE")
        waiting = aside.submit(pay, shop)
        until(lambda: count(conn, WAITING) == 1, what="a request in flight")
        until(lambda: _refuses(shop.api_port), what="a listener that is closed")

        assert idle.recv(1) == b""
        assert not ending.done()
        assert not waiting.done()
        holder.rollback()
        slow.sendall(PAYMENT[-9:])
        status, answer = _answer(slow)
        assert (status, answer["status"]) == (201, "pending")
        assert slow.recv(1) == b""
        assert ending.result() == 0
        kept_ids = {row["id"] for row in conn.execute("SELECT id FROM payments")}
        assert {answer["id"], waiting.result()["id"]} < kept_ids
        assert_calm(shop.api)


def test_who_stands_in_the_queue_is_served(database_url: str, conn: Look, tmp_path: Path) -> None:
    """Connections that the kernel has accepted, and the process not yet, are answered before the listener closes."""
    with open_shop(database_url, tmp_path) as shop, ThreadPoolExecutor(1) as aside, contextlib.ExitStack() as stack:
        shop.start_api()
        (worker,) = [pid for pid in descendants(shop.api.pid) if alive(pid)]
        os.kill(worker, signal.SIGSTOP)
        queued = [stack.enter_context(_connected(shop.api_port)) for _ in range(QUEUED)]
        for one in queued:
            one.sendall(_request("POST", "/api/v1/payments", PAYMENT))

        ending = aside.submit(shop.api.terminate)
        until(lambda: not _connects(shop.api_port), what="an API that lets nobody new in")
        os.kill(worker, signal.SIGCONT)

        assert [_answer(one)[0] for one in queued] == [201] * QUEUED
        assert ending.result() == 0
        assert count(conn, "SELECT count(*) AS n FROM payments") == QUEUED
        assert_calm(shop.api)


def test_a_second_signal_ends_it(database_url: str, conn: Look, tmp_path: Path) -> None:
    """SIGINT begins the same; the second signal, half a second later or more, ends process and workers at once."""
    with open_shop(database_url, tmp_path, LEDGATE_LEAVE="300", LEDGATE_API_WORKERS="2") as shop:
        shop.start_api()
        workers = [pid for pid in descendants(shop.api.pid) if alive(pid)]
        os.killpg(shop.api.pid, signal.SIGINT)  # as a terminal does: the workers get it too, and stay
        until(lambda: _ready(shop).status_code == 503, what="an API that says that it is leaving")

        def ended() -> bool:
            with contextlib.suppress(ProcessLookupError):
                os.kill(shop.api.pid, signal.SIGTERM)
            return not shop.api.running

        until(ended, what="its end")
        assert shop.api.wait() == 128 + signal.SIGTERM
        until(lambda: not any(alive(pid) for pid in workers), what="its workers' end")


def _start(process: Process, port: int) -> None:
    process.start()

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code == 200
        return False

    until(ready, within=60, what=f"API ready; log: {process.log.read_text()[-2000:]}")


def _ready(shop: Stack) -> httpx.Response:
    return httpx.get(f"{shop.url}/health/ready", timeout=10)


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    headers = {"Host": "api", "Content-Length": str(len(body)), **HEADERS}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def _answer(sock: socket.socket) -> tuple[int, dict[str, Any]]:
    """Read one answer, whose length is told."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += _more(sock)
    head, _, body = text.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += _more(sock)
    return int(head[9:12]), msgspec.json.decode(body)


def _more(sock: socket.socket) -> bytes:
    part = sock.recv(65536)
    assert part, "closed without an answer"
    return part


@contextlib.contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as made:
        yield made


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.3).close()
    except OSError:
        return False
    return True


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return False
