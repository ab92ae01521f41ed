"""`ledgate webhooks recover`: counted, asked, started, followed, held."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from dispatcher.app import Dispatcher
from gateway.cli.operators import recoveries as command
from gateway.config import Config
from gateway.demo import MERCHANT_ID
from tests.cli.running import Ledgate
from tests.support.recovering import write_past

Conn = psycopg.Connection[dict[str, Any]]
RANGE = ("webhooks", "recover", "--merchant", MERCHANT_ID, "--since", "12h")


@pytest.fixture
def past(ledgate: Ledgate, conn: Conn) -> str:
    """Three deliveries that failed, two events that were missed; the endpoint."""
    row = conn.execute("UPDATE endpoints SET url = 'http://127.0.0.1:1/' RETURNING id").fetchone()
    assert row is not None
    write_past(conn, 3, to=[row["id"]])
    write_past(conn, 2, event="refund.failed")
    return str(row["id"])


@contextmanager
def dispatching(config: Config) -> Iterator[None]:
    """A dispatcher in a thread of its own: the command has this one."""
    one = Dispatcher(config)
    thread = threading.Thread(target=lambda: asyncio.run(one.run()))
    thread.start()
    try:
        yield
    finally:
        one.stop()
        thread.join(30)


def test_a_dry_run_counts_by_type_and_starts_nothing(ledgate: Ledgate, conn: Conn, past: str) -> None:
    said = ledgate(*RANGE, "--dry-run")
    assert said.code == 0
    assert re.search(r"to send +5 *\n", said.out)
    assert re.search(r"payment.success +3 *\n", said.out)
    assert ledgate(*RANGE, "--dry-run", "--json", "--event", "refund.*").json["by_event"] == {"refund.failed": 2}
    assert conn.execute("SELECT FROM recoveries").rowcount == 0
    assert past


def test_nobody_to_ask_means_nothing_is_started(ledgate: Ledgate, conn: Conn, past: str) -> None:
    said = ledgate(*RANGE)
    assert (said.code, "--yes" in said.err) == (2, True)
    assert conn.execute("SELECT FROM recoveries").rowcount == 0
    assert past


def test_a_job_is_followed_to_its_end_with_a_bar_where_there_is_a_terminal(
    ledgate: Ledgate, config: Config, past: str
) -> None:
    with dispatching(config):
        plain = ledgate(*RANGE, "--yes", "--endpoint", past, "--status", "failed")
        lively = ledgate(*RANGE, "--yes", "--status", "missed", FORCE_COLOR="1")

    assert (plain.code, lively.code) == (0, 0)
    found = re.search(r"^(rcv_[0-9a-z]{26})$", plain.out, re.MULTILINE)  # the dispatcher logs into the same
    assert found, plain.out
    assert f"{found[1]} is done: 3 sent on their way" in plain.out
    assert "Sending again" not in plain.out
    assert "2/2" in lively.out
    assert "is done: 2 sent on their way" in lively.out


def test_ctrl_c_leaves_it_running_and_says_how_to_hold_it(
    ledgate: Ledgate, conn: Conn, past: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.asyncio, "sleep", interrupt)
    said = ledgate(*RANGE, "--yes")
    (job,) = conn.execute("SELECT id, state FROM recoveries").fetchall()

    assert said.code == 0
    assert job["state"] == "running"
    assert "No dispatcher lives" in said.out
    for verb in ("follow", "pause", "cancel"):
        assert f"ledgate webhooks {verb} {job['id']}" in said.out
    assert past


def test_a_job_is_listed_paused_resumed_and_cancelled(ledgate: Ledgate, past: str) -> None:
    made = ledgate(*RANGE, "--yes", "--json", "--rate", "5").json
    assert (made["status"], made["total"], made["rate"]) == ("running", 5, 5)
    listed = ledgate("webhooks", "recoveries", "--json").json
    assert [(one["id"], one["merchant_id"]) for one in listed["data"]] == [(made["id"], MERCHANT_ID)]
    assert made["id"] in ledgate("webhooks", "recoveries", "--merchant", MERCHANT_ID).out

    assert f"{made['id']} is paused, 0 of 5 sent" in ledgate("webhooks", "pause", made["id"]).out
    assert ledgate("webhooks", "follow", made["id"]).code == 1, "it stands still"
    assert ledgate("webhooks", "resume", made["id"], "--json").json["status"] == "running"
    assert "is cancelled" in ledgate("webhooks", "cancel", made["id"]).out
    again = ledgate("webhooks", "resume", made["id"])
    assert (again.code, "cancelled" in again.err) == (1, True)
    assert past


WRONG: list[tuple[tuple[str, ...], int, str]] = [
    (("webhooks", "recover", "--merchant", "mer_none", "--since", "1h", "--yes"), 1, "no merchant mer_none"),
    (("webhooks", "recover", "--merchant", MERCHANT_ID, "--since", "soon"), 2, "--since soon"),
    ((*RANGE, "--until", "soon"), 2, "--until soon"),
    ((*RANGE, "--until", "2d", "--yes"), 1, "since must not be after until"),
    ((*RANGE, "--event", "payment", "--yes"), 1, "no event type"),
    ((*RANGE, "--endpoint", "whep_none", "--yes"), 1, "no such endpoint"),
    ((*RANGE, "--rate", "0"), 2, "--rate"),
    (("webhooks", "pause", "rcv_none"), 1, "no recovery rcv_none"),
    (("webhooks", "follow", "rcv_none"), 1, "no recovery rcv_none"),
]


def test_what_cannot_be_is_one_line(ledgate: Ledgate) -> None:
    for args, code, told in WRONG:
        said = ledgate(*args)
        assert (said.code, told in said.err, said.err.count("\n")) == (code, True, 1), (args, said)
