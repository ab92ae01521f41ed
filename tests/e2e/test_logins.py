"""docs/operations.md's logins: members of one role each, which is all that they are allowed to be."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from gateway import demo
from gateway.config import load
from tests.support.processes import stack
from tests.support.waiting import until


@pytest.fixture
def logins(database_url: str) -> Iterator[dict[str, str]]:
    """Role -> the URL of a login that is a member of it alone."""
    made = {role: f"{role}_{uuid.uuid4().hex[:8]}" for role in ("ledgate_api", "ledgate_dispatcher")}
    with psycopg.connect(database_url, autocommit=True) as conn:
        for role, login in made.items():
            conn.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' NOINHERIT IN ROLE {}").format(
                    sql.Identifier(login), sql.Identifier(role)
                )
            )
        yield {
            role: psycopg.conninfo.make_conninfo(database_url, user=login, password="x") for role, login in made.items()
        }
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


@pytest.mark.parametrize("role", ["ledgate_api", "ledgate_dispatcher"])
def test_the_login_itself_may_nothing(logins: dict[str, str], role: str) -> None:
    with psycopg.connect(logins[role], autocommit=True) as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT FROM payments")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("CREATE TABLE mine ()")
        conn.execute(f"SET ROLE {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM events")
