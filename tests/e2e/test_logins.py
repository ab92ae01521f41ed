"""docs/operations.md's logins: members of one role each, which is all that they are allowed to be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from dashboard.app import ROLE
from dashboard.operators import operating
from gateway import demo
from gateway.cli.errors import CliError
from gateway.cli.logins import ensure
from gateway.cli.logins import read as read_logins
from gateway.config import load
from kit.db import Database
from tests.support.ports import steady_port
from tests.support.processes import ROOT, stack
from tests.support.waiting import until

SETTINGS = (
    "role",
    "statement_timeout",
    "timezone",
    "jit",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_seqscan",
    "enable_bitmapscan",
    "join_collapse_limit",
    "plan_cache_mode",
)
"""What `kit.db` asks for when it connects."""


@pytest.fixture
def logins(database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Role -> the URL of a login that `migrate --login` makes, under a name of its own: roles are the server's."""
    password = tmp_path / "password"
    password.write_text("correct-horse-battery\n")
    made = {f"ledgate_{kind}": f"{kind}_{uuid.uuid4().hex[:8]}" for kind in ("api", "dispatcher", "dashboard")}
    wanted = read_logins(f"{role.removeprefix('ledgate_')}:{login}={password}" for role, login in made.items())
    config = load({"DATABASE_URL": database_url})
    with psycopg.connect(database_url, autocommit=True) as conn:
        for login in wanted * 2:  # the second time changes nothing
            ensure(conn, login, config)
    yield {
        role: psycopg.conninfo.make_conninfo(database_url, user=login, password="correct-horse-battery")
        for role, login in made.items()
    }
    with psycopg.connect(database_url, autocommit=True) as conn:
        for login in made.values():
            conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))


def test_each_process_works_with_a_login_that_is_allowed_its_role_alone(
    database_url: str, logins: dict[str, str], tmp_path: Path
) -> None:
    with stack(database_url, tmp_path, TEST_PROCESSING_DELAY="0") as shop:
        asyncio.run(demo.seed(database_url, load(shop.env)))
        shop.start_receiver()
        shop.api = shop.process("gateway", DATABASE_URL=logins["ledgate_api"])
        shop.start_api()
        shop.start_dispatcher(DATABASE_URL=logins["ledgate_dispatcher"])
        with httpx.Client(base_url=f"{shop.url}/api/v1", auth=(demo.KEY_ID, demo.SECRET)) as http:
            paid = http.post("/payments", json={"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "a1@psp"}).json()
            until(lambda: http.get(f"/payments/{paid['id']}").json()["status"] == "success", what="success")
            refund = http.post(f"/payments/{paid['id']}/refunds", json={"amount": 1}).json()
            until(lambda: http.get(f"/refunds/{refund['id']}").json()["status"] == "processed", what="processed")
            until(
                lambda: {one["status"] for one in http.get("/webhooks").json()["data"]} == {"success"}, what="delivered"
            )
        assert not shop.api.said("request.failed")


def test_the_dashboard_works_with_a_login_of_its_own(database_url: str, logins: dict[str, str], tmp_path: Path) -> None:
    """It signs somebody in, shows their merchant's payments, and may look at all merchants for operators."""
    port = steady_port()
    settings = {"DATABASE_URL": logins["ledgate_dashboard"], "LEDGATE_DASHBOARD_PORT": str(port)}
    with stack(database_url, tmp_path) as shop:
        asyncio.run(demo.seed(database_url, load(shop.env)))
        dash = shop.process("dashboard", **settings)
        dash.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, follow_redirects=True) as browser:

            def ready() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return browser.get("/health/ready").status_code == 200
                return False

            until(ready, within=30, what="dashboard ready")
            csrf = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/login").text)[0]
            form = {"csrf": csrf, "email": demo.USERS[0].email, "password": demo.PASSWORD}
            said = browser.post("/login", data=form)
            assert (said.status_code, said.url.path) == (200, "/dashboard")
        assert not dash.said("request.failed")

    async def look() -> object:
        async with (
            Database(settings["DATABASE_URL"], name="test", size=1, statement_timeout=5, wait=5, role=ROLE) as database,
            operating(database) as conn,
        ):
            return await (await conn.execute("SELECT count(*) FROM merchants")).fetchone()

    assert asyncio.run(look()) == (1,)


@pytest.mark.parametrize("role", ["ledgate_api", "ledgate_dispatcher", "ledgate_dashboard"])
def test_a_login_is_its_role_alone(logins: dict[str, str], role: str) -> None:
    with psycopg.connect(logins[role], autocommit=True) as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("CREATE TABLE mine ()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM events")
        other = "ledgate_dispatcher" if role != "ledgate_dispatcher" else "ledgate_api"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(other)))
        conn.execute("RESET ROLE")
        conn.execute("SET ROLE NONE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):  # the login itself may nothing
            conn.execute("SELECT FROM payments")


@pytest.mark.parametrize("role", ["ledgate_api", "ledgate_dispatcher", "ledgate_dashboard"])
def test_a_login_has_by_itself_what_connections_bring_along(logins: dict[str, str], role: str) -> None:
    """A pooler drops start-up options: without them a session must be the same."""
    with psycopg.connect(logins[role], autocommit=True) as conn:
        bare = {name: conn.execute(f"SHOW {name}").fetchone() for name in SETTINGS}
    url, seconds = logins[role], 30.0 if role == "ledgate_dispatcher" else 10.0

    async def ours() -> dict[str, object]:
        async with (
            Database(url, name="test", size=1, statement_timeout=seconds, wait=5.0, role=role) as database,
            database.connection() as conn,
        ):
            return {name: await (await conn.execute(f"SHOW {name}")).fetchone() for name in SETTINGS}

    assert bare == asyncio.run(ours())
    assert bare["role"] == (role,)
    assert bare["plan_cache_mode"] == ("force_generic_plan",)


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ("owner=x", "not api=FILE"),
        ("api", "not api=FILE"),
        ("api=", "not api=FILE"),
        ("api=/nowhere/at/all", "cannot read"),
        ("api=FILE", "fewer than 16"),
    ],
)
def test_a_wrong_login_is_refused(tmp_path: Path, login: str, says: str) -> None:
    (tmp_path / "short").write_text("secret")
    with pytest.raises(CliError, match=says) as caught:
        read_logins([login.replace("=FILE", f"={tmp_path}/short")])
    assert caught.value.code == 2


def test_migrate_makes_logins_and_the_demo_merchants(empty_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct-horse-battery")
    name = f"api_{uuid.uuid4().hex[:8]}"

    def migrate(*words: str, **settings: str) -> str:
        run = [sys.executable, "-m", "gateway.cli", "migrate", *words]
        env = {**os.environ, "DATABASE_URL": empty_database_url, **settings}
        return subprocess.run(run, env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout

    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        assert "no demo merchant" in migrate("--demo")  # its credentials are public
        assert conn.execute("SELECT count(*) FROM merchants").fetchone() == (0,)
        said = migrate("--demo", f"--login=api:{name}={tmp_path}/password", TEST_MODE="true")
        try:
            assert name in said
            assert "correct-horse" not in said
            made = conn.execute("SELECT id FROM merchants").fetchall()
            assert set(made) == {(demo.MERCHANT_ID,), (demo.SHOP_ID,)}
            assert conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin", [name]).fetchone()
        finally:
            conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
