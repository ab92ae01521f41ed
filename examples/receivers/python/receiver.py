"""Receive Ledgate's webhooks: verify, write down, answer; then act on what changed, once each and in any order."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout
from standardwebhooks import Webhook, WebhookVerificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Connection = psycopg.Connection[Any]

MAX_BODY = 256 * 1024
DEMO_SECRET = "whsec_test_abc123"  # noqa: S105 - public: of the demo alone

log = logging.getLogger("receiver")


# Receiving: the only part that Ledgate waits for.


def webhook_of(secret: str) -> Webhook:
    """Read a secret. The demo's is no base64: it signs with its text, and the library wants that as bytes."""
    try:
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return Webhook(secret.encode())
    return Webhook(secret)


def receive(pool: ConnectionPool[Connection], webhook: Webhook, headers: Mapping[str, str], body: bytes) -> int:
    """Verify the bytes as they came, write them down, and say with which status to answer. Header names in lower case.

    A 200 promises that the event is ours now, so it is committed first; with any other status it will come again.
    """
    try:
        webhook.verify(body, dict(headers))
    except (WebhookVerificationError, ValueError) as error:  # ValueError: a header or body that is garbage
        log.warning("refused: %s", error)
        return 401
    webhook_id = headers["webhook-id"]  # the same at every attempt, and signed
    try:
        with pool.connection() as conn:
            added = conn.execute(
                "INSERT INTO received (webhook_id, body) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [webhook_id, body.decode()],
            ).rowcount
    except (psycopg.OperationalError, PoolTimeout) as error:
        log.warning("%s not kept, it will come again: %s", webhook_id, error)
        return 503
    log.info("%s %s", webhook_id, "received" if added else "received again")
    return 200


# Working off: takes what time it needs; any number of threads and processes may do it side by side.


def work_off_one(conn: Connection) -> bool:
    """Work off one event in one transaction; False when there is nothing to do."""
    webhook_id = None
    try:
        with conn.transaction():
            row = conn.execute(
                "SELECT webhook_id, body FROM received WHERE done_at IS NULL AND due_at <= now()"
                " ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED"
            ).fetchone()
            if row is None:
                return False
            webhook_id, body = row
            apply(conn, json.loads(body))
            conn.execute("UPDATE received SET done_at = now() WHERE webhook_id = %s", [webhook_id])
    except psycopg.OperationalError:
        raise
    except Exception:
        log.exception("%s failed, and is tried again in a minute", webhook_id)
        conn.execute("UPDATE received SET due_at = now() + interval '1 minute' WHERE webhook_id = %s", [webhook_id])
    return True


def apply(conn: Connection, event: dict[str, Any]) -> None:
    """Take over the object's state if it is newer than what we have; else we know better already."""
    kind = event["event"].partition(".")[0]
    new = event["data"].get(kind)
    if event.get("test") or new is None or "version" not in new:
        return  # a test event, or one that tells of no payment, refund or order
    key = [kind, new["id"]]
    # A row to lock, also for the first event: two of one object cannot both believe to be the newest.
    conn.execute("INSERT INTO objects (kind, id) VALUES (%s, %s) ON CONFLICT DO NOTHING", key)
    row = conn.execute("SELECT version, data FROM objects WHERE kind = %s AND id = %s FOR UPDATE", key).fetchone()
    version, before = row or (0, None)
    if new["version"] <= version:
        return
    conn.execute(
        "UPDATE objects SET version = %s, data = %s WHERE kind = %s AND id = %s",
        [new["version"], json.dumps(new), *key],
    )
    act(conn, kind, before or {}, new)


def act(conn: Connection, kind: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Your business. It commits with the event, or not at all.

    Ask what has changed, not which event it was: of events that overtake each other you see the newest state only, and
    `payment.captured` may be the first that you hear of a success. What leaves your database (mail, an API call) may
    happen twice when a process dies; give it the object's id and version as its idempotency key.
    """
    if kind == "payment" and now["status"] == "success" and before.get("status") != "success":
        conn.execute("INSERT INTO shipments (payment_id) VALUES (%s)", [now["id"]])


def work_off(database_url: str, wake: threading.Event) -> None:
    """Work off what there is, for ever; `wake` says that something came."""
    while True:
        try:
            with psycopg.connect(database_url, autocommit=True) as conn:
                while True:
                    if not work_off_one(conn):
                        wake.wait(1)  # and look from time to time: for what waits after an error, or came to another
                        wake.clear()
        except psycopg.OperationalError as error:
            log.warning("no database: %s", error)
            time.sleep(1)


# HTTP: any server and framework will do, as long as it hands you the raw body.


def make_handler(
    pool: ConnectionPool[Connection], webhook: Webhook, wake: threading.Event
) -> type[BaseHTTPRequestHandler]:
    """`POST /webhook` for the standard library's server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10  # of a client that does not go on

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                self.answer(411, close=True)
            elif int(length) > MAX_BODY:
                self.answer(413, close=True)
            else:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(length))
                self.answer(receive(pool, webhook, headers, body) if self.path == "/webhook" else 404)
                wake.set()

        def answer(self, status: int, *, close: bool = False) -> None:
            self.close_connection = self.close_connection or close
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing: `receive` says what came."""

    return Handler


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    request_queue_size = 128  # connections that wait to be taken; the default of 5 refuses a burst


def main() -> None:
    """Read the environment, and serve until the process is told to end; it may be killed at any time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    database_url = os.environ["DATABASE_URL"]
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "4010"))
    webhook = webhook_of(os.environ.get("WEBHOOK_SECRET", DEMO_SECRET))
    wake = threading.Event()
    threading.Thread(target=work_off, args=[database_url, wake], daemon=True).start()
    with ConnectionPool(database_url, min_size=1, max_size=8, timeout=3, kwargs={"autocommit": True}) as pool:
        log.info("listens on http://%s:%s/webhook", host, port)
        Server((host, port), make_handler(pool, webhook, wake)).serve_forever()


if __name__ == "__main__":
    main()
