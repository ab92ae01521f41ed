"""The ledger over the API: in the order of commits, each event exactly once, nothing ever skipped."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import msgspec
import psycopg
import pytest

from gateway.config import Config
from gateway.demo import MERCHANT_ID
from gateway.merchants import bucket_of
from kit import ids
from kit.db import Connection
from tests.gateway.conftest import UPI, Api
from tests.support.alone import database_url, server_alone  # noqa: F401 - fixtures
from tests.support.paying import pay

_APPEND = (
    "INSERT INTO events (bucket, merchant_id, id, type, subject_id, deliveries, body, created_at)"
    " VALUES (%s, %s, %s, 'webhook.test', 'sub_x', 0, %s, now())"
)


async def append(conn: Connection) -> str:
    """Write an event as the only thing that its transaction does, or as a part of the caller's; returns its id."""
    made = ids.new("evt", spare=True)
    body = json.dumps({"id": made, "event": "webhook.test", "timestamp": 1, "data": {}}, separators=(",", ":"))
    await conn.execute(_APPEND, [bucket_of(MERCHANT_ID), MERCHANT_ID, made, body])
    return made


class Reader:
    """Somebody who keeps `next`, and asks whenever there may be news."""

    def __init__(self, api: Api, limit: int = 100) -> None:
        self.api = api
        self.limit = limit
        self.seen: list[str] = []
        self._after: dict[str, str] = {}

    async def read(self) -> list[str]:
        """Read on to the end; the ids that were new."""
        new: list[str] = []
        more = True
        while more:
            page = (await self.api.get("/events", limit=self.limit, **self._after)).json()
            new += [one["id"] for one in page["data"]]
            more = page["has_more"]
            self._after = {"after": page["next"]} if page["next"] else {}
        self.seen += new
        return new


async def test_an_event_is_shown_as_it_was_delivered(api: Api, conn: psycopg.Connection[Any]) -> None:
    """`id`, `event`, `timestamp`, `data` are the webhook's; the exact text is there too, for who checks signatures."""
    payment = (await api.post("/payments", UPI)).json()
    first, second = (await api.get("/events")).json()["data"]
    assert (first["event"], second["event"]) == ("payment.created", "payment.pending")
    assert first["data"] == {"payment": payment}
    assert (first["subject_id"], first["created_at"]) == (payment["id"], payment["created_at"])

    whole = (await api.get(f"/events/{first['id']}")).json()
    stored = conn.execute("SELECT body, deliveries FROM events WHERE id = %s", [first["id"]]).fetchone()
    assert stored is not None
    assert whole == first | {"body": stored["body"]}
    assert json.loads(whole["body"]) == {name: first[name] for name in ("id", "event", "timestamp", "data")}
    assert first["deliveries"] == stored["deliveries"]


async def test_pages_go_on_where_they_ended_and_polling_finds_what_is_new(
    api: Api, db: Connection, config: Config
) -> None:
    await pay(db, config, 5)
    reader = Reader(api, limit=3)
    assert len(await reader.read()) == 10
    assert await reader.read() == []
    await pay(db, config)
    assert len(await reader.read()) == 2
    assert len(set(reader.seen)) == 12


async def test_a_late_commit_is_seen_exactly_once(api: Api, db: Connection, config: Config) -> None:
    """A transaction inserts an event and stays open; others commit after it; a reader who is at the end misses none."""
    before = await append(db)
    async with await psycopg.AsyncConnection.connect(config.database_url) as slow:
        late = await append(slow)
        after = [await append(db) for _ in range(3)]
        reader = Reader(api, limit=2)
        assert await reader.read() == [before]  # what came after the open transaction waits for it
        assert await reader.read() == []
        await slow.commit()
    assert await reader.read() == [late, *after]
    assert await reader.read() == []


async def test_a_transaction_that_is_rolled_back_holds_nothing_up(api: Api, db: Connection, config: Config) -> None:
    async with await psycopg.AsyncConnection.connect(config.database_url) as slow:
        await append(slow)
        after = await append(db)
        reader = Reader(api)
        assert await reader.read() == []
        await slow.rollback()
    assert await reader.read() == [after]


async def test_an_event_that_waits_may_be_the_cursor(api: Api, db: Connection, config: Config) -> None:
    """A webhook came before its event shows in the ledger: its id is a place all the same, and nothing is lost."""
    async with await psycopg.AsyncConnection.connect(config.database_url) as slow:
        await append(slow)
        known = await append(db)
        said = (await api.get("/events", after=known)).json()
        assert (said["data"], said["next"]) == ([], known)
        await slow.commit()
    last = await append(db)
    assert [one["id"] for one in (await api.get("/events", after=known)).json()["data"]] == [last]


@pytest.fixture
def config(config: Config) -> Config:
    """Readers here ask as fast as they can."""
    return msgspec.structs.replace(config, rate_limit=0)


async def test_several_writers_that_overlap_lose_nothing(api: Api, config: Config) -> None:
    """Transactions of random length commit in an order that is neither their ids' nor their begins'."""
    chance, written = random.Random(7), []
    reader = Reader(api, limit=7)

    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(config.database_url) as conn:
            for _ in range(20):
                mine = [await append(conn) for _ in range(chance.randint(1, 3))]
                for _ in range(chance.randint(0, 6)):
                    await conn.execute("SELECT 1")
                if chance.random() < 0.1:
                    await conn.rollback()
                else:
                    await conn.commit()
                    written.extend(mine)

    writing = asyncio.gather(*(write() for _ in range(5)))
    while not writing.done():
        await reader.read()
        for _ in range(5):
            await asyncio.sleep(0)  # the client holds the loop for as long as a call takes; let the writers on
    await writing
    assert len(reader.seen) > len(written) / 2, "the reader followed while they wrote"
    await reader.read()
    assert sorted(reader.seen) == sorted(written)
    assert len(set(reader.seen)) == len(reader.seen)


async def test_events_of_one_type(api: Api, db: Connection, config: Config) -> None:
    await pay(db, config, 3)
    page = (await api.get("/events", type="payment.pending", limit=2)).json()
    assert {one["event"] for one in page["data"]} == {"payment.pending"}
    rest = (await api.get("/events", type="payment.pending", limit=2, after=page["next"])).json()
    assert (len(page["data"]), len(rest["data"]), rest["has_more"]) == (2, 1, False)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"after": "evt_" + "0" * 26}, "cursor_unknown"),
        ({"after": "pay_" + "0" * 26}, "cursor_invalid"),
        ({"type": "payment.lost"}, "parameter_invalid"),
        ({"limit": 101}, "parameter_invalid"),
    ],
)
async def test_wrong_reads_are_refused(api: Api, params: dict[str, object], reason: str) -> None:
    said = await api.get("/events", **params)
    assert (said.status_code, said.json()["error"]["reason"]) == (400, reason)


@pytest.mark.parametrize("event_id", ["evt_" + "0" * 26, "evt_x", "pay_" + "0" * 26])
async def test_an_event_that_is_not_there(api: Api, event_id: str) -> None:
    said = await api.get(f"/events/{event_id}")
    assert (said.status_code, said.json()["error"]["code"]) == (404, "NOT_FOUND")
