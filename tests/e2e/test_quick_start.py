"""CONTRACT.md's quick start, word for word, over real processes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import asyncio
import httpx
import msgspec
import pytest

from gateway import demo
from gateway.config import load
from tests.support.processes import stack
from tests.support.waiting import until

QUICK_START = (
    """curl -s -w '\\n%{http_code}' -X POST http://localhost:8000/api/v1/payments -H "X-Api-Key: key_test_abc123" -H "X-Api-Secret: secret_test_xyz789" \\
  -H "Idempotency-Key: unique_123" -H "Content-Type: application/json" -d '{"order_id": "order_test_123", "method": "upi", "vpa": "user@paytm"}'""",
    """curl -s -w '\\n%{http_code}' -X POST http://localhost:8000/api/v1/payments -H "X-Api-Key: key_test_abc123" -H "X-Api-Secret: secret_test_xyz789" \\
  -H "Idempotency-Key: unique-request-id-123" -H "Content-Type: application/json" \\
  -d '{"order_id": "order_123", "amount": 50000, "currency": "INR", "method": "upi", "vpa": "user@paytm"}'""",
)
VERIFY = """
const crypto = require("crypto");
const arrivals = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const { raw, signature } of arrivals) {
  const expected = crypto.createHmac("sha256", "whsec_test_abc123").update(JSON.stringify(JSON.parse(raw))).digest("hex");
  if (expected !== signature) { console.error("differs: " + raw); process.exit(1); }
}
console.log(arrivals.length);
"""


def test_quick_start_pays_and_tells_the_receiver_within_two_seconds(database_url: str, tmp_path: Path) -> None:
    """Both payments are 201 pending; the receiver gets created, pending and success, signed as Node verifies it."""
    with stack(database_url, tmp_path, TEST_PROCESSING_DELAY="500") as shop:
        asyncio.run(demo.seed(database_url, load(shop.env)))
        shop.start_api()
        shop.start_receiver()
        shop.start_dispatcher()

        for command in QUICK_START:
            said = subprocess.run(
                ["bash", "-c", command.replace("localhost:8000", f"localhost:{shop.api_port}")],
                capture_output=True, text=True, check=True, timeout=20,
            )  # fmt: skip
            body, _, status = said.stdout.rpartition("\n")
            payment = msgspec.json.decode(body)
            assert status == "201"
            assert payment["status"] == "pending"

            arrivals = until(lambda: _told(shop.receiver_url, payment["id"]), within=2.0, what="three webhooks")

            assert {one["event"] for one in arrivals} == {"payment.created", "payment.pending", "payment.success"}
            assert all(one["verified"] and one["attempt"] == 1 for one in arrivals)
            _node_verifies(arrivals)

        def counted() -> bool:
            work = httpx.get(f"{shop.url}/api/v1/test/jobs/status").json()
            return work == {"pending": 0, "processing": 0, "completed": 8, "failed": 0, "worker_status": "running"}

        until(counted, within=2.0, what="two payments processed and six webhooks counted")


def _told(receiver: str, payment_id: str) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] = httpx.get(f"{receiver}/received", params={"payment_id": payment_id}).json()["data"]
    return found if len(found) >= 3 else None


def _node_verifies(arrivals: list[dict[str, Any]]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("Node is needed to verify as a merchant in JavaScript would")
    given = [
        {"raw": one["raw"], "signature": {k.lower(): v for k, v in one["headers"].items()}["x-webhook-signature"]}
        for one in arrivals
    ]
    said = subprocess.run([node, "-e", VERIFY], input=msgspec.json.encode(given), capture_output=True, timeout=20)
    assert said.stdout.strip() == str(len(arrivals)).encode(), said.stderr
