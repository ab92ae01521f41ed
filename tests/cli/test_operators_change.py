"""Operators put things right: merchants, keys, endpoints, deliveries; each change is one transaction."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import psycopg

from gateway.demo import MERCHANT_ID, WEBHOOK_SECRET
from tests.cli.running import Ledgate, Ledger, build

Conn = psycopg.Connection[dict[str, Any]]
URL = "https://shop.example/hook"


def _row(conn: Conn, query: str, *values: object) -> dict[str, Any]:
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return row


def test_a_merchant_is_made_and_its_id_is_all_that_is_printed(ledgate: Ledgate, conn: Conn) -> None:
    said = ledgate("merchants", "create", "Corner Shop")

    assert said.code == 0
    assert re.fullmatch(r"mer_[0-9a-z]{26}\n", said.out)
    assert _row(conn, "SELECT name FROM merchants WHERE id = %s", said.out.strip()) == {"name": "Corner Shop"}


def test_a_merchant_s_first_key_comes_with_its_secret_this_once(ledgate: Ledgate, conn: Conn) -> None:
    made = ledgate("merchants", "create", "Corner Shop", "--key", "--json").json

    stored = _row(conn, "SELECT merchant_id, secret_hash FROM api_keys WHERE id = %s", made["key"]["id"])
    assert stored["merchant_id"] == made["id"]
    assert stored["secret_hash"] == hashlib.sha256(made["key"]["secret"].encode()).digest()
    for command in (("merchants", "show", made["id"]), ("keys", "list", made["id"])):
        for more in ((), ("--json",)):
            assert made["key"]["secret"] not in ledgate(*command, *more).out


def test_a_merchant_s_origins_are_replaced_and_what_is_none_is_refused(ledgate: Ledgate) -> None:
    """Where the checkout may be framed; without an origin the command shows what is there."""
    assert "None" in ledgate("merchants", "origins", MERCHANT_ID).out
    said = ledgate("merchants", "origins", MERCHANT_ID, "https://shop.example/", "https://b.example:8443")
    assert (said.code, said.out) == (0, "https://shop.example\nhttps://b.example:8443\n")

    for wrong in ("shop.example", "https://shop.example/path", "http://shop.example"):
        refused = ledgate("merchants", "origins", MERCHANT_ID, wrong)
        assert (refused.code, refused.out) == (1, ""), wrong
    assert ledgate("merchants", "origins", "mer_none").code == 1
    shown = ledgate("merchants", "origins", MERCHANT_ID, "--json").json
    assert shown == {"merchant": MERCHANT_ID, "origins": ["https://shop.example", "https://b.example:8443"]}
    assert ledgate("merchants", "origins", MERCHANT_ID, "--none", "--json").json["origins"] == []


def test_a_key_is_made_with_a_name_and_scopes_and_revoked_once(ledgate: Ledgate, conn: Conn) -> None:
    said = ledgate("keys", "create", MERCHANT_ID, "--name", "till", "--scope", "write", "--scope", "read")
    key = re.search(r"key_\w+", said.out)
    secret = re.search(r"secret +(\S+)", said.out)
    assert key, said.out
    assert secret, said.out

    row = _row(conn, "SELECT name, scopes, secret_hash FROM api_keys WHERE id = %s", key[0])
    assert (row["name"], row["scopes"]) == ("till", ["read", "write"])
    assert row["secret_hash"] == hashlib.sha256(secret[1].encode()).digest()

    first, second = ledgate("keys", "revoke", key[0]), ledgate("keys", "revoke", key[0])
    assert (first.code, second.code) == (0, 1)
    assert "revoked before" in second.err
    assert _row(conn, "SELECT revoked_at IS NOT NULL AS ended FROM api_keys WHERE id = %s", key[0])["ended"]
    assert "revoked" in ledgate("keys", "list", MERCHANT_ID).out


def test_an_endpoint_is_made_and_its_secret_shown_only_when_asked_for(ledgate: Ledgate) -> None:
    said = ledgate("endpoints", "create", MERCHANT_ID, URL, "--event", "payment.*", TEST_MODE="true")
    endpoint = said.out.splitlines()[0]
    assert said.code == 0
    assert "whsec_" not in said.out

    shown = ledgate("endpoints", "show", endpoint, "--json").json
    assert (shown["url"], shown["events"], shown["enabled"]) == (URL, ["payment.*"], True)
    assert "whsec_" not in ledgate("endpoints", "list").out

    secret = ledgate("endpoints", "secret", endpoint, TEST_MODE="true")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/=]{44}\n", secret.out)
    assert ledgate("endpoints", "secret", endpoint, "--json", TEST_MODE="true").json == {
        "id": endpoint,
        "secret": secret.out.strip(),
    }


def test_a_secret_needs_the_keys_that_sealed_it(ledgate: Ledgate, conn: Conn) -> None:
    endpoint = _row(conn, "SELECT id FROM endpoints")["id"]
    other = "k1:" + "A" * 43 + "="

    without = ledgate("endpoints", "secret", endpoint)
    wrong = ledgate("endpoints", "secret", endpoint, LEDGATE_SECRET_KEYS=other)

    assert (without.code, wrong.code) == (2, 1)
    assert "LEDGATE_SECRET_KEYS" in without.err
    assert "cannot be opened" in wrong.err
    assert WEBHOOK_SECRET not in without.out + without.err + wrong.out + wrong.err


def test_an_endpoint_is_turned_off_with_a_reason_and_on_again(ledgate: Ledgate, conn: Conn) -> None:
    endpoint = _row(conn, "SELECT id FROM endpoints")["id"]
    state = "SELECT enabled, disabled_reason FROM endpoints"

    assert ledgate("endpoints", "disable", endpoint, "--reason", "their server burns").code == 0
    assert _row(conn, state) == {"enabled": False, "disabled_reason": "their server burns"}
    assert "their server burns" in ledgate("endpoints", "show", endpoint).out
    assert "(1 off)" in ledgate("merchants", "list").out

    assert ledgate("endpoints", "enable", endpoint).code == 0
    assert _row(conn, state) == {"enabled": True, "disabled_reason": None}


def test_deliveries_are_sent_again_and_each_refusal_says_why(ledgate: Ledgate, conn: Conn, database_url: str) -> None:
    ledger: Ledger = build(database_url)

    said = ledgate("deliveries", "retry", ledger.failed_delivery, "dlv_none")

    assert said.code == 1
    assert f"{ledger.failed_delivery} is due now" in said.out
    assert "dlv_none: there is no such delivery" in said.out
    again = _row(
        conn, "SELECT attempts, next_retry_at <= now() AS due FROM outbox WHERE id = %s", ledger.failed_delivery
    )
    assert again == {"attempts": 0, "due": True}
    assert ledgate("deliveries", "show", ledger.failed_delivery, "--json").json["status"] == "pending"

    ledgate("endpoints", "disable", ledger.endpoint)
    refused = ledgate("deliveries", "retry", ledger.delivered, "--json")
    assert refused.code == 1
    assert refused.json["data"][0]["refused"].startswith("its endpoint is disabled")


def test_an_endpoint_in_trouble_says_so_and_starts_afresh_when_it_is_enabled(ledgate: Ledgate, conn: Conn) -> None:
    conn.execute("UPDATE endpoints SET rate = 20, ordered = true")
    row = _row(
        conn,
        "INSERT INTO endpoint_health (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,"
        " last_error, open_until, trips) SELECT bucket, merchant_id, id, 51, '2026-01-02 03:04:05Z', now(), 'HTTP 503',"
        " '2100-01-01 00:00:00Z', 1 FROM endpoints RETURNING endpoint_id AS id",
    )
    shown = ledgate("endpoints", "show", row["id"]).out
    for said in ("failing", "since 2026-01-02 03:04:05.000 UTC, 51 attempts (last: HTTP 503)", "20 attempts a second",
                 "open until 2100-01-01", "an event waits"):  # fmt: skip
        assert said in shown, shown
    (listed,) = ledgate("endpoints", "list", "--json").json["data"]
    assert (listed["circuit"], listed["failures"], listed["rate"], listed["ordered"]) == ("open", 51, 20, True)

    assert ledgate("endpoints", "disable", row["id"]).code == 0
    assert _row(conn, "SELECT count(*) AS n FROM endpoint_health") == {"n": 1}
    assert "disabled" in ledgate("endpoints", "show", row["id"]).out
    assert ledgate("endpoints", "enable", row["id"]).code == 0
    assert _row(conn, "SELECT count(*) AS n FROM endpoint_health") == {"n": 0}
    assert "failing" not in ledgate("endpoints", "show", row["id"]).out


def test_a_delivery_under_way_shows_no_next_time(ledgate: Ledgate, conn: Conn, database_url: str) -> None:
    """The end of its lease is nobody's business."""
    build(database_url)
    conn.execute("UPDATE outbox SET leased_by = 'one', next_retry_at = now() + interval '30 seconds'")
    row = _row(conn, "SELECT id FROM outbox WHERE kind = 'webhook.deliver' LIMIT 1")

    shown = ledgate("deliveries", "show", row["id"])
    listed = ledgate("deliveries", "list", "--status", "pending", "--json").json["data"]

    assert re.search(r"next attempt +under way", shown.out)
    assert {one["next_retry_at"] for one in listed} == {None}
    assert (
        "under way (lease ends in"
        in ledgate("payments", "show", _row(conn, "SELECT max(id) AS id FROM payments")["id"]).out
    )
    assert ledgate("queue", "status", "--json").json["kinds"][0]["leased"] == 2
