"""Health, work and the API's description: without credentials."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
from litestar.testing import AsyncTestClient

from gateway.api.app import make_app
from gateway.config import Config
from tests.gateway.conftest import CARD, UPI, Api
from tests.support.ports import steady_port

Conn = psycopg.Connection[dict[str, Any]]


async def test_alive_and_ready(api: Api) -> None:
    assert (await api.client.get("/health")).json() == {"status": "ok", "database": None}
    said = await api.client.get("/health/ready")
    assert (said.status_code, said.json()) == (200, {"status": "ok", "database": "ok"})


async def test_not_ready_without_migrations(empty_database_url: str, config: Config) -> None:
    behind = msgspec.structs.replace(config, database_url=empty_database_url)
    async with AsyncTestClient(make_app(behind)) as client:
        said = await client.get("/health/ready")
    assert (said.status_code, said.json()) == (503, {"status": "unavailable", "database": "behind"})


async def test_a_database_that_is_away_is_a_503_in_the_error_shape(config: Config) -> None:
    away = msgspec.structs.replace(
        config, database_url=f"postgresql://x@127.0.0.1:{steady_port()}/x", statement_timeout=0.3, patience=0.5
    )
    async with AsyncTestClient(make_app(away), raise_server_exceptions=False) as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/health/ready")).json() == {"status": "unavailable", "database": "away"}
        said = await client.post("/api/v1/payments", json=UPI, headers={"X-Api-Key": "a", "X-Api-Secret": "b"})
    assert (said.status_code, said.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert said.headers["retry-after"] == "1"


async def test_a_failure_of_ours_is_a_500_without_a_trace(api: Api, conn: Conn) -> None:
    conn.execute("DROP TABLE outbox CASCADE")
    said = await api.post("/payments", {"order_id": "order_123", "method": "card", "card": CARD})
    assert (said.status_code, said.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert "outbox" not in said.text
    assert "4111" not in said.text


async def test_jobs_status_counts_work(api: Api) -> None:
    await api.post("/payments", UPI)
    said = await api.client.get("/api/v1/test/jobs/status")
    assert said.json() == {"pending": 3, "processing": 0, "completed": 0, "failed": 0, "worker_status": "stopped"}


async def test_the_docs_page_needs_no_script(api: Api) -> None:
    said = await api.client.get("/docs")
    assert said.status_code == 200
    assert "default-src 'none'" in said.headers["content-security-policy"]
    assert "unsafe" not in said.headers["content-security-policy"]
    assert "<script" not in said.text
    assert "/api/v1/payments" in said.text


def test_the_query_parameters_that_are_taken_are_those_described(config: Config) -> None:
    """Read from the signatures: the description is made when somebody asks for it, not when a worker starts."""
    state = make_app(config).state
    described = {
        (method.upper(), path): {
            one["name"]: one["schema"].get("format") == "date-time"
            for one in call.get("parameters", ())
            if one["in"] == "query"
        }
        for path, calls in state.described()["paths"].items()
        for method, call in calls.items()
    }
    taken = {call: names for call, names in state.query_parameters.items() if names or call in described}
    assert taken == described
    assert True in described["GET", "/api/v1/payments"].values()
