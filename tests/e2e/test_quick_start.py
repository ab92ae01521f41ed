"""CONTRACT.md's quick start, word for word, and every example of the README, over real processes."""
# ruff: noqa: E501 - the commands stand as users see them

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import demo
from gateway.config import load
from tests.support import calls
from tests.support.processes import ROOT, Stack, stack
from tests.support.tools import _as_httpx, run_curl, run_node
from tests.support.waiting import until

QUICK_START = (
    """curl -X POST http://localhost:8000/api/v1/payments -H "X-Api-Key: key_test_abc123" -H "X-Api-Secret: secret_test_xyz789" \\
  -H "Idempotency-Key: unique_123" -H "Content-Type: application/json" -d '{"order_id": "order_test_123", "method": "upi", "vpa": "user@paytm"}'""",
    """curl -X POST http://localhost:8000/api/v1/payments -H "X-Api-Key: key_test_abc123" -H "X-Api-Secret: secret_test_xyz789" \\
  -H "Idempotency-Key: unique-request-id-123" -H "Content-Type: application/json" \\
  -d '{"order_id": "order_123", "amount": 50000, "currency": "INR", "method": "upi", "vpa": "user@paytm"}'""",
)  # fmt: skip
VERIFY = """
const crypto = require("crypto");
const arrivals = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const { raw, signature } of arrivals) {
  const expected = crypto.createHmac("sha256", "whsec_test_abc123").update(JSON.stringify(JSON.parse(raw))).digest("hex");
  if (expected !== signature) { console.error("differs: " + raw); process.exit(1); }
}
console.log(arrivals.length);
"""


@pytest.fixture
def shop(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Stack]:
    """Everything that `make run` starts, on free ports, with its own defaults; a test may ask for another delay."""
    with stack(database_url, tmp_path, TEST_PROCESSING_DELAY=getattr(request, "param", "500")) as made:
        asyncio.run(demo.seed(database_url, load(made.env)))
        made.start_api()
        made.start_receiver()
        made.start_dispatcher()
        yield made


def test_quick_start_pays_and_tells_the_receiver_within_two_seconds(shop: Stack) -> None:
    """Both payments are 201 pending; the receiver gets created, pending and success, signed as Node verifies it."""
    for command in QUICK_START:
        status, body = run_curl(_here(command, shop))
        payment = msgspec.json.decode(body)
        assert status == 201
        assert payment["status"] == "pending"

        arrivals = until(functools.partial(_told, shop, payment["id"]), within=2.0, what="three webhooks")

        assert {one["event"] for one in arrivals} == {"payment.created", "payment.pending", "payment.success"}
        assert all(one["verified"] and one["attempt"] == 1 for one in arrivals)
        given = [{"raw": one["raw"], "signature": _signature(one)} for one in arrivals]
        assert run_node(VERIFY, msgspec.json.encode(given)) == "3"

    def counted() -> bool:
        work = calls.get(f"{shop.url}/api/v1/test/jobs/status").json()
        return bool(work == {"pending": 0, "processing": 0, "completed": 8, "failed": 0, "worker_status": "running"})

    until(counted, within=2.0, what="two payments processed and six webhooks counted")


# No payment ends meanwhile: the second one of the same order would be refused.
@pytest.mark.parametrize("shop", ["60000"], indirect=True)
def test_every_curl_of_the_readme_works(shop: Stack) -> None:
    """Each is run as it stands there, with our ports; the quick start is CONTRACT.md's, word for word."""
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", readme, re.DOTALL)
    commands = re.findall(r"^curl (?:.*\\\n)*.*$", "\n".join(blocks), re.MULTILINE)
    assert len(commands) >= 10
    assert all(command in commands for command in QUICK_START)

    for command in commands:
        status, body = run_curl(_here(command, shop))
        assert status in {200, 201}, (command, body)
        again, _ = _as_httpx(_words(_here(command, shop)))  # what a machine without curl runs
        assert again == status


def test_documents_link_to_what_is_there() -> None:
    """No dead link between the README and the docs."""
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def _words(command: str) -> list[str]:
    import shlex

    return shlex.split(command.replace("\\\n", " "))[1:]


def _here(command: str, shop: Stack) -> str:
    return command.replace("localhost:8000", f"127.0.0.1:{shop.api_port}").replace(
        "localhost:4000", f"127.0.0.1:{shop.merchant_port}"
    )


def _told(shop: Stack, payment_id: str) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] = calls.get(f"{shop.receiver_url}/received", params={"payment_id": payment_id}).json()[
        "data"
    ]
    return found if len(found) >= 3 else None


def _signature(arrival: dict[str, Any]) -> str:
    return str({name.lower(): value for name, value in arrival["headers"].items()}["x-webhook-signature"])
