"""`ledgate users`: people who may sign in."""

from __future__ import annotations

import re
from typing import Any

import psycopg

from tests.cli.running import Ledgate

Conn = psycopg.Connection[dict[str, Any]]


def test_a_user_is_made_and_gets_a_link(ledgate: Ledgate, conn: Conn) -> None:
    said = ledgate("users", "create", " New@Shop.test ", "Nila Iyer", "--merchant", "mer_demo", "--role", "developer",
                   LEDGATE_DASHBOARD_URL="https://dash.test")  # fmt: skip
    assert said.code == 0
    assert re.match(r"https://dash\.test/login/link\?token=[\w-]{43}\n", said.out)
    assert "new@shop.test" in ledgate("users", "list", columns=140).out
    found = ledgate("users", "list", "--json").json["data"][-1]
    assert (found["joined"], found["memberships"]) == (False, [{"merchant_id": "mer_demo", "role": "developer"}])
    (noted,) = conn.execute("SELECT merchant_id, actor, action FROM audit_log").fetchall()
    assert noted == {"merchant_id": "mer_demo", "actor": "command line", "action": "user.created"}
    again = ledgate("users", "create", "new@shop.test", "Again", "--merchant", "mer_demo")
    assert (again.code, "ledgate users grant new@shop.test owner --merchant mer_demo" in again.err) == (1, True)
    assert ledgate("users", "create", "no address", "X").code == 1
    assert ledgate("users", "create", "a@shop.test", "X", "--merchant", "mer_none").code == 1
    assert conn.execute("SELECT count(*) AS n FROM users WHERE email = 'a@shop.test'").fetchone() == {"n": 0}


def test_a_user_is_changed(ledgate: Ledgate, conn: Conn) -> None:
    demo = "demo@ledgate.test"
    assert ledgate("users", "revoke", demo, "--merchant", "mer_demo").code == 1, "the last owner"
    assert ledgate("users", "grant", "viewer@ledgate.test", "owner", "--merchant", "mer_demo").code == 0
    assert ledgate("users", "revoke", demo, "--merchant", "mer_demo").code == 0
    again = ledgate("users", "revoke", demo, "--merchant", "mer_demo")
    assert (again.code, f"{demo} does not work for mer_demo" in again.err) == (1, True)
    assert ledgate("users", "operator", demo).code == 0
    assert ledgate("users", "operator", demo, "--off").code == 0
    assert ledgate("users", "second-factor", demo).out == "no\n"
    assert ledgate("users", "second-factor", demo, "--remove").code == 0
    assert ledgate("users", "link", demo).out.startswith("http://localhost:3000/login/link?token=")
    assert ledgate("users", "disable", demo).code == 0
    assert ledgate("users", "link", demo).code == 1
    assert "disabled" in ledgate("users", "list").out
    assert ledgate("users", "enable", demo, "--json").json["disabled"] is False
    assert ledgate("users", "disable", "nobody@ledgate.test").code == 1
    actions = [row["action"] for row in conn.execute("SELECT action FROM audit_log ORDER BY id").fetchall()]
    assert actions == [
        "user.role_changed", "user.removed", "user.operator_changed", "user.operator_changed",
        "user.second_factor_removed", "user.invited", "user.disabled", "user.enabled",
    ]  # fmt: skip
