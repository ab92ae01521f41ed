"""docs/api.md runs as it stands: its curl commands, its Python, its receiver, its Node."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway import demo
from gateway.config import load
from tests.support.ports import steady_port
from tests.support.processes import ROOT, Stack, stack
from tests.support.server import fresh_database
from tests.support.tools import run_curl, run_node
from tests.support.waiting import until

GUIDE = (ROOT / "docs/api.md").read_text()
AUTH = (demo.KEY_ID, demo.SECRET)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all of them, as a reader has it."""
    with (
        fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url,
        stack(url, tmp_path_factory.mktemp("shop")) as made,
    ):
        asyncio.run(demo.seed(url, load(made.env)))
        made.start_api()
        made.start_receiver()
        made.start_dispatcher()
        yield made


def test_its_curl_commands(shop: Stack) -> None:
    (block,) = _blocks("bash")
    commands = re.findall(r"^curl (?:.*\\\n)*.*$", _here(block, shop), re.MULTILINE)
    assert len(commands) >= 9

    for command in commands:
        status, body = run_curl(command)
        assert status in {200, 201, 202}, (command, body)


def test_its_python(shop: Stack) -> None:
    (block,) = _blocks("python")
    said = subprocess.run(
        [sys.executable, "-c", _here(block, shop)], capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == [
        "payment.created",
        "payment.pending",
        "payment.success",
        "payment.captured",
        "refund.created",
        "refund.processed",
    ]


def test_its_node(shop: Stack) -> None:
    (block,) = _blocks("javascript")
    assert run_node(_here(block, shop), b"") == "success 1111 129900"


def test_its_receiver(shop: Stack, tmp_path: Path) -> None:
    """With a secret and a port of its own, made an endpoint over the API: it prints every event once."""
    (block,) = _blocks("python receiver")
    port = steady_port()
    with httpx.Client(base_url=f"{shop.url}/api/v1", auth=AUTH) as http:
        made = http.post(
            "/webhook-endpoints", json={"url": f"http://localhost:{port}/", "events": ["payment.*"]}
        ).json()
        block = block.replace("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", made["webhook_secret"]).replace(
            "5001", str(port)
        )
        with _running(block, tmp_path / "receiver.log", port) as log:
            http.post("/payments", json={"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "a1@psp"})
            until(lambda: log.read_text().count("payment.") >= 3, what="three events")
            delivered = http.get("/webhooks", params={"endpoint": made["id"]}).json()["data"]
            assert {one["status"] for one in delivered} <= {"success", "pending"}
            http.post(f"/webhooks/{delivered[0]['id']}/retry")
            until(
                lambda: http.get(f"/webhooks/{delivered[0]['id']}").json()["status"] == "success", what="sent once more"
            )
    printed = [line.split()[0] for line in log.read_text().splitlines() if line.startswith("payment.")]
    assert sorted(printed) == ["payment.created", "payment.pending", "payment.success"]


@contextmanager
def _running(source: str, log: Path, port: int) -> Iterator[Path]:
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-u", "-c", source], stdout=output, stderr=subprocess.DEVNULL, start_new_session=True
        )
    try:

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, what="a receiver that listens")
        yield log
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def _here(text: str, shop: Stack) -> str:
    return text.replace("localhost:8000", f"127.0.0.1:{shop.api_port}").replace(
        "localhost:4000", f"127.0.0.1:{shop.merchant_port}"
    )
