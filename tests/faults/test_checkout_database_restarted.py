"""A shopper does not notice that PostgreSQL is restarted, and pays once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from kit.embedded import Server
from schema.migrate import migrate
from tests.checkout_page.browsing import Hosted, host
from tests.checkout_page.conftest import Page
from tests.faults.database import own_server
from tests.support.server import fresh_database

pytestmark = pytest.mark.faults


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test's own, to stop."""
    with own_server() as made:
        yield made


@pytest.fixture
def hosted(server: Server, tmp_path: Path) -> Iterator[Hosted]:
    with fresh_database(server.url, "template1") as url:
        migrate(url)
        with host(url, tmp_path, LEDGATE_PATIENCE="60", LEDGATE_REQUEST_TIMEOUT="60") as made:
            yield made


async def test_what_is_asked_while_the_database_restarts_is_answered_after_it(server: Server, hosted: Hosted) -> None:
    """Page, payment, state and stream, all of them sent while nobody is there; and the payment twice, as pages do."""
    order, other = hosted.order(), hosted.order()
    async with httpx.AsyncClient(base_url=hosted.url, trust_env=False, timeout=90) as client:
        page = Page(client, await client.get(hosted.address(order)))
        server.stop("immediate")
        asked = asyncio.gather(
            page.try_to_pay(), page.try_to_pay(), page.call("GET", "state"), client.get(hosted.address(other))
        )
        await asyncio.sleep(0.2)  # they arrive before the server is back
        await asyncio.to_thread(server.restart)
        paid, again, state, shown = await asked
        assert [said.status_code for said in (paid, again, state, shown)] == [200] * 4
        assert paid.json()["payment"]["id"] == again.json()["payment"]["id"]
        listening = asyncio.create_task(page.call("GET", "events"))
        with psycopg.connect(hosted.database_url, autocommit=True) as conn:
            found = conn.execute("SELECT count(*) FROM payments WHERE order_id = %s", [order]).fetchone()
        assert found == (1,)
        await hosted.settle()
        assert '"state":"success"' in (await listening).text
