"""All of it at once, as real processes: a shop with the SDK, the checkout, the API, a dispatcher, a receiver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
from psycopg.rows import dict_row
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateway import demo
from gateway.config import load
from kit.embedded import Server
from schema.migrate import migrate
from tests.faults.database import own_server
from tests.support import calls
from tests.support.load import HEADERS
from tests.support.origins import Shop
from tests.support.ports import steady_port
from tests.support.processes import Process, Stack
from tests.support.server import fresh_database
from tests.support.waiting import until

PAGES = Path(__file__).parent / "pages"


class Receiver:
    """A merchant's server: takes webhooks that `standardwebhooks` finds genuine, and remembers them."""

    def __init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200 if receiver.take(body, dict(self.headers)) else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.secret = ""
        self.taken: dict[str, dict[str, Any]] = {}
        """By the event's id."""
        self.refused: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            found = Webhook(self.secret).verify(body, {name.lower(): value for name, value in headers.items()})
        except WebhookVerificationError as error:
            self.refused.append(f"{error}: {body!r}")
            return False
        self.taken[found["id"]] = found
        return True

    def told(self, event: str, payment_id: str) -> list[dict[str, Any]]:
        """What came of a payment's event."""
        found = [one for one in list(self.taken.values()) if one["event"] == event]
        payments = [one["data"]["payment"] for one in found if "payment" in one["data"]]
        return [one for one in payments if one["id"] == payment_id]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Stage:
    """The processes, and what the merchant's server and the database say."""

    def __init__(self, server: Server, database_url: str, folder: Path, receiver: Receiver, shop: Shop) -> None:
        self.server = server
        self.receiver = receiver
        self.shop = shop
        self.database_url = database_url
        port, api = steady_port(), steady_port()
        self.url = f"http://127.0.0.1:{port}"
        self.stack = Stack(
            database_url,
            folder,
            PORT=str(api),
            LEDGATE_CHECKOUT_PORT=str(port),
            LEDGATE_TEST_MERCHANT_PORT=str(receiver.port),
            LEDGATE_PATIENCE="60",
            LEDGATE_REQUEST_TIMEOUT="60",
            TEST_PROCESSING_DELAY="100",
        )
        self.stack.url = f"http://127.0.0.1:{api}"
        self.checkout = self.stack.process("gateway.checkout")
        self.dispatcher: Process
        self._script = shop.put((PAGES / "shop.js").read_text(), kind="text/javascript")
        self.page = self.page_with()
        asyncio.run(demo.seed(database_url, load(self.stack.env)))

    def start(self) -> None:
        """Everything; the receiver is given a secret of its own."""
        self.checkout.start()
        self.dispatcher = self.stack.process("dispatcher")
        self.dispatcher.start()
        self.stack.start_api()
        self.await_checkout()
        until(lambda: self.dispatcher.said("dispatcher.started"), what="a dispatcher that works")
        said = self.ask("POST", "webhooks/secret/regenerate", {"overlap_seconds": 0})
        self.receiver.secret = said["webhook_secret"]

    def page_with(self, headers: dict[str, str] | None = None) -> str:
        """The address of a shop's page that has the SDK; `headers` come with it."""
        html = (PAGES / "shop.html").read_text()
        return self.shop.put(html.replace("CHECKOUT", self.url).replace("SCRIPT", self._script), headers)

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """What the merchant's server asks of the API; what it answers."""
        said = httpx.request(
            method, f"{self.stack.url}/api/v1/{path}", json=body, headers=HEADERS, timeout=30, trust_env=False
        )
        assert said.is_success, said.text
        found: dict[str, Any] = said.json()
        return found

    def order(self, amount: int = 129_900) -> str:
        """A new order, as the merchant's server opens it; its id."""
        return str(self.ask("POST", "orders", {"amount": amount, "currency": "INR"})["id"])

    def payments(self, order_id: str) -> list[dict[str, Any]]:
        """What the database has, oldest first."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row) as conn:
            query = "SELECT id, order_id, status, method, amount FROM payments WHERE order_id = %s ORDER BY id"
            return conn.execute(query, [order_id]).fetchall()

    def await_checkout(self) -> None:
        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return calls.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            return False

        until(ready, within=60, what="checkout ready")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No payment settles: the dispatcher stands still."""
        os.killpg(self.dispatcher.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.dispatcher.pid, signal.SIGCONT)

    def close(self) -> None:
        self.stack.close()


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A stage with a PostgreSQL of its own, which tests may stop."""
    with own_server() as server, fresh_database(server.url, "template1") as url:
        migrate(url)
        with Receiver() as receiver, Shop("localhost") as shop:
            made = Stage(server, url, folder, receiver, shop)
            try:
                made.start()
                yield made
                assert receiver.refused == []
            finally:
                made.close()
                if not server.running:
                    server.restart()
