"""What webhooks' pages show, written straight into the tables; and forms that have a field called headers."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import psycopg

from gateway import demo, merchants
from gateway.config import Config
from gateway.secrets import make_sealer
from kit import ids
from kit.db import Connection
from outbox import endpoints
from tests.dashboard.conftest import Browser
from tests.support.paying import MERCHANT
from tests.support.recovering import write_past

Conn = psycopg.Connection[dict[str, Any]]
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
"""What a stranger may write."""
WHOSE: dict[str, Any] = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id}
SECRET = demo.WEBHOOK_SECRET


class Theirs(NamedTuple):
    """Another merchant's things."""

    endpoint: str
    delivery: str
    recovery: str


def default_endpoint(conn: Conn) -> str:
    """The demo merchant's default endpoint; its id."""
    row = conn.execute("SELECT id FROM endpoints WHERE is_default AND merchant_id = %s", [demo.MERCHANT_ID]).fetchone()
    assert row
    return str(row["id"])


async def add_endpoint(db: Connection, config: Config, url: str = "http://127.0.0.1:9/hook", **more: Any) -> str:
    """One more; its id."""
    made, _ = await endpoints.add(db, make_sealer(config), **WHOSE, url=url, **more)
    return made


def deliver(conn: Conn, endpoint_id: str, count: int = 1, *, code: int | None = None, **more: Any) -> list[str]:
    """Finished deliveries of a while ago, their ids; `code` is what the last attempt was answered."""
    events = write_past(conn, count, to=[endpoint_id], **more)
    found = [f"dlv_{one[4:28]}00" for one in events]
    if code is not None:
        conn.execute("UPDATE deliveries SET response_code = %s WHERE id = ANY(%s)", [code or None, found])
    return found


def attempt(
    conn: Conn,
    delivery_id: str,
    number: int = 1,
    *,
    code: int | None = 500,
    body: str = "",
    error: str | None = None,
    headers: dict[str, str] | None = None,
    sent: dict[str, str] | None = None,
) -> None:
    """An attempt as a dispatcher writes it down."""
    conn.execute(
        "INSERT INTO delivery_attempts (bucket, merchant_id, delivery_id, claim, attempt, started_at, duration_ms,"
        " request_headers, response_code, response_headers, response_body, error)"
        " VALUES (%s, %s, %s, %s, %s, %s, 84, %s, %s, %s, %s, %s)",
        [
            MERCHANT.bucket, MERCHANT.merchant_id, delivery_id, number, number, datetime.now(UTC),
            json.dumps(sent or {"Content-Type": "application/json"}), code,
            None if code is None else json.dumps(headers or {"Content-Type": "text/plain"}), body.encode() or None,
            error,
        ],
    )  # fmt: skip


async def another(db: Connection, config: Config, conn: Conn) -> Theirs:
    """Another merchant, with an endpoint, a delivery and a recovery."""
    merchant_id = await merchants.add_merchant(db, "Another Shop")
    bucket = merchants.bucket_of(merchant_id)
    endpoint, _ = await endpoints.add(
        db, make_sealer(config), bucket=bucket, merchant_id=merchant_id, url="https://theirs.example/"
    )
    recovery = ids.new("rcv")
    conn.execute(
        "INSERT INTO recoveries (bucket, merchant_id, id, recovers, since, until, up_to_now, rate, total,"
        " total_is_exact, place, created_at, updated_at) VALUES (%s, %s, %s, '{failed}', now() - interval '1 h', now(),"
        " true, 1, 5, true, 'dlv_', now(), now())",
        [bucket, merchant_id, recovery],
    )
    (mine,) = deliver(conn, endpoint)
    for table, column in (("deliveries", "id"), ("events", "id")):
        wanted = mine if table == "deliveries" else f"evt_{mine[4:]}"
        conn.execute(
            f"UPDATE {table} SET merchant_id = %s, bucket = %s WHERE {column} = %s",
            [merchant_id, bucket, wanted],
        )
    return Theirs(endpoint, mine, recovery)


async def send(browser: Browser, path: str, form: dict[str, Any]) -> httpx.Response:
    """Send a form, whatever its fields are called."""
    data = {"csrf": browser.csrf} | form
    browser.page = await browser.client.post(path, data=data, follow_redirects=True)
    return browser.page


def shown(page: str) -> list[str]:
    """The deliveries in the log, as they stand there."""
    return re.findall(r'data-webhook-id="(dlv_\w+)"', page)
