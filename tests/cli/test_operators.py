"""Operators read: every merchant's payments, deliveries, events and work, as tables and as JSON, and nothing secret."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.demo import MERCHANT_ID, ORDER_IDS, SECRET, WEBHOOK_SECRET
from kit import sql
from tests.cli.running import CARD, OTHER, Ledgate, Ledger
from tests.support.alone import database_url, server_alone  # noqa: F401 - fixtures
from tests.support.processes import ROOT
from tests.support.waiting import until

LISTS = (
    ("merchants", "list"),
    ("keys", "list", MERCHANT_ID),
    ("endpoints", "list"),
    ("endpoints", "list", MERCHANT_ID),
    ("payments", "list"),
    ("payments", "list", "--merchant", MERCHANT_ID, "--status", "success", "--since", "1h"),
    ("deliveries", "list"),
    ("deliveries", "list", "--merchant", MERCHANT_ID, "--status", "failed", "--since", "2020-01-01"),
    ("deliveries", "list", "--status", "pending", "--event", "payment.created"),
)


def views(ledger: Ledger) -> list[tuple[str, ...]]:
    """Every command that shows one thing."""
    return [
        ("merchants", "show", MERCHANT_ID),
        ("endpoints", "show", ledger.endpoint),
        ("payments", "show", ledger.paid),
        ("payments", "show", ledger.pending),
        ("deliveries", "show", ledger.failed_delivery),
        ("queue", "status"),
        ("events", "tail"),
    ]


def test_every_view_fits_80_columns_and_is_plain_where_nobody_watches(look: Ledgate, ledger: Ledger) -> None:
    for command in [*LISTS, *views(ledger)]:
        said = look(*command)

        assert (said.code, said.err) == (0, ""), command
        assert max(map(len, said.out.splitlines())) <= 80, said.out
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said.out), said.out


def test_no_view_holds_a_secret_or_a_card_number(look: Ledgate, ledger: Ledger) -> None:
    for command in [*LISTS, *views(ledger)]:
        for more in ((), ("--json",)):
            said = look(*command, *more)
            for secret in (SECRET, WEBHOOK_SECRET, CARD, "sealed", "secret_hash"):
                assert secret not in said.out, command


@pytest.mark.parametrize("command", LISTS)
def test_a_list_as_json_is_one_document_with_its_rows(look: Ledgate, command: tuple[str, ...]) -> None:
    said = look(*command, "--json")

    assert said.code == 0
    assert said.out.count("\n") == 1
    assert said.json["data"]
    assert said.json["has_more"] is False
    assert all("id" in row for row in said.json["data"])


def test_a_limit_leaves_out_the_oldest_and_says_so(look: Ledgate, ledger: Ledger) -> None:
    whole = look("payments", "list", "--json").json["data"]
    first = look("payments", "list", "--limit", "1", "--json").json

    assert [row["id"] for row in whole] == [ledger.pending, ledger.paid]
    assert first == {"data": whole[:1], "has_more": True}
    assert "there are more" in look("payments", "list", "--limit", "1").out


def test_filters_narrow_a_list(look: Ledgate, ledger: Ledger) -> None:
    def found(noun: str, *filters: str) -> set[str]:
        return {row["id"] for row in look(noun, "list", *filters, "--json").json["data"]}

    assert found("payments", "--status", "pending") == {ledger.pending}
    assert found("payments", "--merchant", OTHER) == set()
    assert found("payments", "--since", "2099-01-01") == set()
    assert found("deliveries", "--status", "failed") == {ledger.failed_delivery}
    assert ledger.delivered in found("deliveries", "--status", "success", "--endpoint", ledger.endpoint)
    assert found("deliveries", "--endpoint", "whep_none") == set()
    assert len(found("deliveries", "--status", "pending")) == 2
    assert len(found("deliveries", "--event", "refund.processed")) == 1
    assert found("deliveries", "--since", "2099-01-01") == set()
    assert "no such payment" in look("payments", "list", "--merchant", OTHER).out


def test_ids_are_never_cut_and_wide_terminals_show_more(look: Ledgate, ledger: Ledger) -> None:
    narrow, wide = look("deliveries", "list", columns=80).out, look("deliveries", "list", columns=160).out

    assert ledger.failed_delivery in narrow
    assert ledger.endpoint not in narrow
    assert ledger.endpoint in wide
    assert ledger.delivered in look("deliveries", "list", columns=40).out.replace("\n", "")


def test_a_payment_is_shown_with_all_that_came_of_it(look: Ledgate, ledger: Ledger) -> None:
    found = look("payments", "show", ledger.paid, "--json").json

    assert found["payment"]["merchant_id"] == MERCHANT_ID
    assert found["payment"]["card"] == {"brand": "visa", "last4": "1111"}
    assert (found["payment"]["amount_captured"], found["payment"]["amount_refunded"]) == (4500, 1000)
    assert (found["order"]["id"], found["order"]["status"]) == ("cart-1", "paid")
    assert [(one["amount"], one["status"], one["reason"]) for one in found["refunds"]] == [
        (1000, "processed", "too big")
    ]
    assert [event["type"] for event in found["events"]] == [
        "payment.created",
        "payment.pending",
        "payment.success",
        "order.paid",
        "payment.captured",
        "refund.created",
        "refund.processed",
    ]
    assert all(len(event["deliveries"]) == 1 for event in found["events"])
    assert found["events"][0]["deliveries"][0]["id"] == ledger.failed_delivery
    assert found["events_complete"] is True

    text = look("payments", "show", ledger.paid).out
    assert "45.00 INR" in text
    assert "visa ending in 1111" in text
    assert re.search(rf"not delivered: 500, 1 attempt {ledger.failed_delivery}", text)
    assert text.index("payment.created") < text.index("payment.captured") < text.index("refund.processed")


def test_a_payment_that_waits_says_for_what(look: Ledgate, ledger: Ledger) -> None:
    found = look("payments", "show", ledger.pending, "--json").json
    text = look("payments", "show", ledger.pending).out

    assert [(one["kind"], one["due"]) for one in found["work"]] == [("payment.process", True)]
    assert {event["type"] for event in found["events"]} == {"payment.created", "payment.pending"}
    assert f"{ORDER_IDS[0]} (reusable)" in text
    assert "payment.process due now" in text
    assert "a1@psp" in text, "the operator sees what the merchant sees"


def test_a_delivery_is_shown_with_its_body_and_what_was_answered(look: Ledgate, ledger: Ledger) -> None:
    found = look("deliveries", "show", ledger.failed_delivery, "--json").json
    text = look("deliveries", "show", ledger.failed_delivery).out

    (attempt,) = found["attempts_made"]
    assert (attempt["attempt"], attempt["response_code"], attempt["duration_ms"]) == (1, 500, 7)
    assert attempt["request_headers"]["X-Webhook-Attempt"] == "1"
    assert attempt["response_headers"] == {"Server": "shop"}
    assert json.loads(found["body"])["data"]["payment"]["id"] == ledger.paid
    assert "Attempt 1: 500, 7 ms" in text
    assert "Server: shop" in text
    assert "boom \N{REPLACEMENT CHARACTER}[31m[red]" in text, "shown, and neither a colour nor markup"


def test_a_merchant_is_shown_with_keys_and_endpoints(look: Ledgate, ledger: Ledger) -> None:
    found = look("merchants", "show", MERCHANT_ID, "--json").json

    assert found["merchant"]["open_work"] == 3
    assert [key["id"] for key in found["keys"]] == ["key_test_abc123"]
    assert [endpoint["id"] for endpoint in found["endpoints"]] == [ledger.endpoint]
    assert "Another [bold]Shop" in look("merchants", "list").out
    after = look("merchants", "list", "--after", MERCHANT_ID, "--json").json["data"]
    assert [row["id"] for row in after] == [OTHER]


def test_the_queue_is_counted_by_kind_and_by_merchant(look: Ledgate, ledger: Ledger) -> None:
    found = look("queue", "status", "--json").json

    assert {row["kind"]: (row["open"], row["due"], row["waiting"], row["leased"]) for row in found["kinds"]} == {
        "webhook.deliver": (2, 2, 0, 0),
        "payment.process": (1, 1, 0, 0),
    }
    assert [(row["merchant_id"], row["open"]) for row in found["merchants"]] == [(MERCHANT_ID, 3)]
    assert found["pending"] == 3
    assert (found["completed_24h"], found["failed_24h"]) == (8, 1)
    assert "nobody works it off" in look("queue", "status").out


def test_the_ledger_s_end_is_printed_oldest_first(look: Ledgate, ledger: Ledger) -> None:
    lines = [json.loads(line) for line in look("events", "tail", "--json").out.splitlines()]
    last = [json.loads(line) for line in look("events", "tail", "--limit", "3", "--json").out.splitlines()]
    after = [json.loads(line) for line in look("events", "tail", "--since", lines[0]["id"], "--json").out.splitlines()]

    assert len(lines) == 9
    assert lines[0]["type"] == "payment.created"
    assert lines[0]["body"]["data"]["payment"]["id"] == lines[0]["subject_id"] == ledger.paid
    assert (last, after) == (lines[-3:], lines[1:])


@pytest.mark.parametrize(
    ("filters", "count"),
    [(("--type", "order.paid"), 1), (("--type", "refund.*"), 2), (("--merchant", OTHER), 0), (("--type", "*"), 9)],
)
def test_the_ledger_is_narrowed(look: Ledgate, filters: tuple[str, ...], count: int) -> None:
    assert len(look("events", "tail", *filters).out.splitlines()) == count


@pytest.mark.parametrize(
    "command",
    [
        ("merchants", "show", "mer_none"),
        ("keys", "list", "mer_none"),
        ("keys", "create", "mer_none"),
        ("keys", "revoke", "key_none"),
        ("endpoints", "list", "mer_none"),
        ("endpoints", "show", "whep_none"),
        ("endpoints", "create", "mer_none", "https://shop.example/hook"),
        ("endpoints", "enable", "whep_none"),
        ("endpoints", "disable", "whep_none"),
        ("endpoints", "secret", "whep_none"),
        ("payments", "list", "--merchant", "mer_none"),
        ("payments", "show", "pay_none"),
        ("deliveries", "list", "--merchant", "mer_none"),
        ("deliveries", "show", "dlv_none"),
        ("events", "tail", "--since", "evt_none"),
        ("events", "tail", "--merchant", "mer_none"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(look: Ledgate, command: tuple[str, ...]) -> None:
    said = look(*command, TEST_MODE="true")

    assert (said.code, said.out) == (1, "")
    assert re.fullmatch(r"ledgate: There is no .*\n", said.err)
    assert command[-1] in said.err or command[1] == "create"


@pytest.mark.parametrize(
    "command",
    [
        ("payments", "list", "--status", "odd"),
        ("payments", "list", "--limit", "0"),
        ("payments", "list", "--since", "yesterday"),
        ("payments", "show"),
        ("payments", "shw"),
        ("deliveries", "retry"),
        ("keys", "create", MERCHANT_ID, "--scope", "everything"),
        ("keys", "create", MERCHANT_ID, "--name", ""),
        ("merchants", "create", " "),
        ("endpoints", "create", MERCHANT_ID, "ftp://shop.example"),
        ("endpoints", "create", MERCHANT_ID, "https://user:pass@shop.example/"),
        ("endpoints", "create", MERCHANT_ID, "https://shop.example/", "--event", "payment.odd"),
        ("endpoints", "disable", "whep_none", "--reason", ""),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_line(look: Ledgate, command: tuple[str, ...]) -> None:
    said = look(*command, TEST_MODE="true")

    assert (said.code, said.out) == (2, "")
    assert re.fullmatch(r"ledgate: .*\n", said.err)


def test_without_a_database_it_says_where_it_looked(look: Ledgate, tmp_path: Path) -> None:
    said = look("payments", "list", DATABASE_URL="", LEDGATE_DATA_DIR=str(tmp_path))

    assert said.code == 2
    assert re.fullmatch(rf"ledgate: .*DATABASE_URL.*make run.*{tmp_path}.*\n", said.err)


def test_a_database_that_is_away_is_named_without_its_password(look: Ledgate) -> None:
    said = look("queue", "status", DATABASE_URL="postgresql://shop:h1dden@127.0.0.1:1/shop")

    assert said.code == 1
    assert re.fullmatch(r"ledgate: .*host 127\.0\.0\.1, port 1, database shop.*\n", said.err)
    assert "h1dden" not in said.err


def test_a_database_without_the_schema_is_sent_to_migrate(look: Ledgate, empty_database_url: str) -> None:
    said = look("payments", "list", DATABASE_URL=empty_database_url)

    assert said.code == 1
    assert "ledgate migrate" in said.err


def test_a_login_that_row_security_holds_back_is_told_so_instead_of_seeing_nothing(
    look: Ledgate, ledger: Ledger
) -> None:
    """A reader with grants but no policy would take an empty list for the truth."""
    url = ledger.config.database_url
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE ROLE half_operator LOGIN")
        try:
            conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO half_operator")
            said = look("payments", "list", DATABASE_URL=psycopg.conninfo.make_conninfo(url, user="half_operator"))
        finally:
            conn.execute("DROP OWNED BY half_operator")
            conn.execute("DROP ROLE half_operator")

    assert (said.code, said.out) == (1, "")
    assert "the login that owns the tables" in said.err


def test_what_reads_could_not_write_if_it_wanted_to(ledger: Ledger) -> None:
    import asyncio

    from gateway.cli.errors import CliError
    from gateway.cli.operators.session import Target, connect

    async def write() -> None:
        async with connect(Target(ledger.config.database_url, ledger.config), writes=False) as conn:
            await conn.execute("DELETE FROM payments")

    with pytest.raises(CliError):
        asyncio.run(write())


def _heed_ctrl_c() -> None:
    """What runs in a shell's background is born deaf to it, and so are its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_following_the_ledger_never_skips_a_late_commit_and_ctrl_c_ends_it(
    ledgate: Ledgate, conn: psycopg.Connection[dict[str, object]], tmp_path: Path
) -> None:
    """An event of a transaction that is still open comes before a later one that was committed first."""
    insert = """
        INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)
        SELECT bucket, id, %s, 'payment.created', 'pay_1', 0, '{}', now() FROM merchants"""
    from kit import ids

    first, late, early, last = (ids.new("evt") for _ in range(4))
    conn.execute(insert, [first])
    out = tmp_path / "out"
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": ledgate.url}
    command = [sys.executable, "-m", "gateway.cli", "events", "tail", "--follow", "--every", "0.1", "--json"]

    def printed() -> list[str]:
        return [json.loads(line)["id"] for line in out.read_text().splitlines()]

    def looked() -> Any:
        row = conn.execute(
            "SELECT query_start FROM pg_stat_activity"
            " WHERE application_name = 'ledgate operator' AND datname = current_database()"
        ).fetchone()
        assert row
        return row["query_start"]

    with out.open("w") as file, psycopg.connect(ledgate.url) as slow:
        tail = subprocess.Popen(
            command,
            env=env,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.PIPE,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - no thread runs here
        )
        try:
            until(lambda: printed() == [first], what="the end of the ledger")
            slow.execute(insert, [late])
            conn.execute(insert, [early])
            inserted = looked()
            until(lambda: (looked() - inserted).total_seconds() > 0.5, what="some looks that could have seen it")
            assert printed() == [first], "the early one waits for the late one"
            slow.commit()
            until(lambda: len(printed()) == 3, what="both")
            assert printed() == [first, late, early]
            conn.execute(insert, [last])
            until(lambda: printed() == [first, late, early, last], what="what came afterwards")
            tail.send_signal(signal.SIGINT)
            _, said = tail.communicate(timeout=30)
        finally:
            tail.kill()
            tail.wait()
    assert (tail.returncode, said) == (0, b"")


OPERATORS = [name for name in sql.load("gateway") if name.startswith("operator_")]


@pytest.mark.parametrize("name", [name for name in OPERATORS if sql.optional("gateway", name)])
def test_every_combination_of_filters_is_a_statement_that_postgres_understands(ledger: Ledger, name: str) -> None:
    filters = sorted(sql.optional("gateway", name))
    with psycopg.connect(ledger.config.database_url, autocommit=True) as conn:
        for count in range(len(filters) + 1):
            for given in itertools.combinations(filters, count):
                text = sql.compose("gateway", name, frozenset(given)).replace("%%", "%")
                asked = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
                numbered = re.sub(r"%\((\w+)\)s", lambda found, asked=asked: f"${asked.index(found[1]) + 1}", text)
                conn.execute(f"PREPARE checked AS {numbered}")
                conn.execute("DEALLOCATE checked")
                assert set(given) <= set(asked)


def test_the_manual_tells_every_command() -> None:
    manual = (Path(ROOT) / "docs" / "cli.md").read_text()
    from gateway.cli.app import app

    for noun in ("merchants", "keys", "endpoints", "payments", "deliveries", "events", "queue"):
        for verb in app[noun]:
            if not verb.startswith("-"):
                assert f"ledgate {noun} {verb}" in manual
