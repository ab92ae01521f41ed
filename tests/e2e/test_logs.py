"""No secret and no payer's details show in any log of a whole run: ours, the receiver's, PostgreSQL's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import psycopg

from gateway import demo
from gateway.config import load
from schema.migrate import migrate
from tests.faults.database import own_server
from tests.support import calls
from tests.support.processes import stack
from tests.support.server import fresh_database
from tests.support.waiting import until

CARD = "4000008260000000"
REFUND_FAILS = "4000000000005126"
VPA = "quite.private@okbank"
HEADER = "header-value-that-is-a-credential"


def test_no_log_tells_what_must_stay_secret(tmp_path: Path) -> None:
    """Everything is done that handles a secret, right and wrong, with LOG_LEVEL=debug; then every log is read."""
    secrets = {
        demo.SECRET,
        "whsec_test_abc123",
        CARD,
        "4000 0082 6000 0000",
        REFUND_FAILS,
        VPA,
        HEADER,
        "guessed-secret",
    }
    with own_server() as server, fresh_database(server.url, "template1") as url:
        migrate(url)
        with stack(url, tmp_path, TEST_PROCESSING_DELAY="0", LOG_LEVEL="debug") as shop:
            asyncio.run(demo.seed(url, load(shop.env)))
            shop.start_receiver()
            shop.start_api()
            shop.start_dispatcher()
            with httpx.Client(base_url=f"{shop.url}/api/v1", auth=(demo.KEY_ID, demo.SECRET)) as http:
                secrets |= _use(http)
            calls.get(f"{shop.url}/api/v1/orders", auth=(demo.KEY_ID, "guessed-secret"))
            with psycopg.connect(url, autocommit=True) as conn:
                until(lambda: conn.execute("SELECT FROM outbox").rowcount == 0, what="an empty outbox", within=60)
        logs = [*tmp_path.glob("*.log"), *server.data_dir.rglob("*.log")]
        text = {log.name: log.read_text(errors="replace") for log in logs}

    assert len(text) >= 4
    assert sum(map(len, text.values())) > 10_000
    assert "request.served" in "".join(text.values())
    shown = {(name, secret) for name, said in text.items() for secret in secrets if secret in said}
    assert shown == set()


def _open_work(http: httpx.Client) -> int:
    status = http.get("/test/jobs/status").json()
    return int(status["pending"] + status["processing"])


def _use(http: httpx.Client) -> set[str]:
    """Do what handles secrets; returns those that were made."""

    def post(path: str, body: object, status: int) -> httpx.Response:
        said = http.post(path, json=body)
        assert said.status_code == status, said.text
        return said

    card = {"number": CARD, "expiry_month": 12, "expiry_year": 2040, "cvv": "123", "name": "A Payer"}
    pay = {"order_id": demo.ORDER_IDS[0]}
    post("/payments", {**pay, "method": "card", "card": card}, 201)
    post("/payments", {**pay, "method": "card", "card": {**card, "number": "4000 0082 6000 0001"}}, 400)
    post("/payments", {**pay, "method": "card", "card": {**card, "number": int(CARD)}}, 400)
    post("/payments", {**pay, "method": "upi", "vpa": f"{VPA} "}, 400)
    http.post("/payments", content=f'{{"card": {{"number": "{CARD}"', headers={"Content-Type": "application/json"})
    by_vpa = post("/payments", {**pay, "method": "upi", "vpa": VPA}, 201).json()["id"]
    failing = post("/payments", {**pay, "method": "card", "card": {**card, "number": REFUND_FAILS}}, 201).json()["id"]
    for payment in (by_vpa, failing):
        until(lambda payment=payment: http.get(f"/payments/{payment}").json()["status"] == "success", what="success")  # type: ignore[misc]
        post(f"/payments/{payment}/refunds", {"amount": 100}, 201)
        post(f"/payments/{payment}/refunds", {"amount": 10**9}, 400)
    endpoint = post(
        "/webhook-endpoints", {"url": "https://example.invalid/x?token=1", "headers": {"X-Auth": HEADER}}, 201
    ).json()
    http.delete(f"/webhook-endpoints/{endpoint['id']}")
    # The demo receiver knows one secret: what is signed with the next one it would refuse, for five attempts.
    until(lambda: _open_work(http) == 0, what="an empty outbox")
    rotated = post("/webhooks/secret/regenerate", {"overlap_seconds": 60}, 200).json()["webhook_secret"]
    key = post("/api-keys", {"scopes": ["read"]}, 201).json()["secret"]
    return {endpoint["webhook_secret"], rotated, key}
