"""Endpoints that do nothing but fail: warned of, disabled, told of to the others; circuits with one probe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from aiohttp import web

from dispatcher import health
from gateway.config import Config
from gateway.merchants import add_merchant, bucket_of
from gateway.secrets import make_sealer
from kit.db import Connection, Database
from outbox import deliveries, endpoints, work
from outbox.health import disabled_from, warnings_due
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.gateway.conftest import AUTH, Api
from tests.support.attempts import claimed, failed, succeeded
from tests.support.clock import Clock
from tests.support.paying import ALL, MERCHANT, pay
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]
FIVE_DAYS = timedelta(days=5)
WHOSE: dict[str, Any] = {"bucket": MERCHANT.bucket, "merchant_id": MERCHANT.merchant_id}


@pytest.fixture
def clock(config: Config, demo_merchant: str) -> Clock:
    return Clock(config.database_url)


@pytest.fixture
async def db(config: Config, clock: Clock) -> AsyncIterator[Connection]:
    """Lives by the moved clock."""
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as made:
        yield made


@pytest.fixture
async def dispatchers(config: Config, clock: Clock) -> AsyncIterator[Database]:
    """Connections with a dispatcher's rights."""
    url = config.database_url
    async with Database(url, name="worker", size=4, statement_timeout=9, wait=5, role="ledgate_dispatcher") as database:
        yield database


async def _sweep(dispatchers: Database, *, count: int = 1, disable_after: timedelta | None = FIVE_DAYS) -> int:
    """That many dispatchers look at once; how often somebody was told."""

    async def look() -> int:
        async with dispatchers.connection() as conn:
            return await health.run_once(conn, disable_after=disable_after)

    return sum(await asyncio.gather(*(look() for _ in range(count))))


async def _fail(db: Connection, config: Config) -> None:
    """The default endpoint fails at whatever is due, the others succeed."""
    default = (await endpoints.get(db, None, **WHOSE)) or pytest.fail("no default endpoint")
    await pay(db, config)
    due = await work.claim(db, "webhook.deliver", ALL, limit=1000, lease=30, dispatcher="one")
    outcomes = [failed(one) if one.endpoint_id == default.id else succeeded(one) for one in due]
    await deliveries.settle(db, outcomes, dispatcher="one")


async def _add(db: Connection, config: Config, *events: str) -> str:
    made, _ = await endpoints.add(
        db, make_sealer(config), **WHOSE, url="http://other/", event_types=events or ("endpoint.*",)
    )
    return made


def _told(conn: Conn) -> list[dict[str, Any]]:
    """Events about endpoints, each with whom it is owed to."""
    return conn.execute(
        "SELECT e.type, e.subject_id, e.body, e.deliveries,"
        " array(SELECT o.endpoint_id FROM webhook_logs o WHERE o.event_id = e.id) AS owed"
        " FROM events e WHERE e.type LIKE 'endpoint.%' ORDER BY e.id"
    ).fetchall()


def _default(conn: Conn) -> dict[str, Any]:
    (row,) = conn.execute("SELECT * FROM endpoints WHERE is_default").fetchall()
    return row


async def test_five_days_of_failures_with_three_warnings_told_to_the_others_alone(
    db: Connection, dispatchers: Database, config: Config, conn: Conn, clock: Clock, api: Api
) -> None:
    """After one, three and four days, each once though two dispatchers look; after five it is off, and says why."""
    other = await _add(db, config)
    failing = _default(conn)["id"]
    began = clock.now()
    told: list[tuple[float, str]] = []
    for hours in range(0, 21 * 6, 6):
        if _default(conn)["enabled"]:
            await _fail(db, config)
        if told_now := await _sweep(dispatchers, count=2):
            told += [(hours / 24, _told(conn)[-1]["type"])] * told_now
        clock.move(hours=6)

    assert told == [
        (1, "endpoint.failing"), (3, "endpoint.failing"), (4, "endpoint.failing"), (5, "endpoint.disabled"),
    ]  # fmt: skip
    events = _told(conn)
    assert [(one["subject_id"], one["owed"], one["deliveries"]) for one in events] == [(failing, [other], 1)] * 4
    shown = [msgspec.json.decode(one["body"])["data"]["endpoint"] for one in events]
    assert [one["health"]["warnings"] for one in shown] == [1, 2, 3, 3]
    assert [one["version"] for one in shown] == [2, 3, 4, 5]
    assert [one["enabled"] for one in shown] == [True, True, True, False]
    for one in shown[:3]:
        since = msgspec.convert(one["health"]["failing_since"], datetime)
        until = msgspec.convert(one["health"]["will_be_disabled_at"], datetime)
        assert timedelta(0) <= since - began < timedelta(minutes=1)
        assert timedelta(0) <= until - since - FIVE_DAYS < timedelta(minutes=1)
    reason = "every attempt failed for 5 days (last: HTTP 503)"
    assert (shown[3]["disabled_reason"], shown[3]["health"]["will_be_disabled_at"]) == (reason, None)

    now = (await api.get(f"/webhook-endpoints/{failing}")).json()
    assert now == shown[3], "the event says what the API shows"
    path = f"/api/v1/webhook-endpoints/{failing}"
    said = await api.client.patch(path, json={"enabled": True}, headers=AUTH)
    assert (said.json()["health"]["state"], said.json()["disabled_at"]) == ("ok", None)
    assert await _sweep(dispatchers) == 0


async def test_one_success_in_between_starts_over(
    db: Connection, dispatchers: Database, config: Config, conn: Conn, clock: Clock
) -> None:
    await _fail(db, config)
    clock.move(days=4)
    await _fail(db, config)
    assert await _sweep(dispatchers) == 1
    one, two = await claimed(db, config, 2)
    await deliveries.settle(db, [succeeded(one)], dispatcher="one")
    await deliveries.settle(db, [failed(two)], dispatcher="one")
    clock.move(hours=23)
    await _fail(db, config)
    assert await _sweep(dispatchers) == 0
    clock.move(hours=1)
    await _fail(db, config)
    assert await _sweep(dispatchers) == 1
    assert [msgspec.json.decode(one["body"])["data"]["endpoint"]["health"]["warnings"] for one in _told(conn)] == [3, 1]
    assert _default(conn)["enabled"]


async def test_a_success_between_finding_and_telling_is_the_end_of_the_matter(
    db: Connection, dispatchers: Database, config: Config, conn: Conn, clock: Clock
) -> None:
    """The telling statement waits for the success that is being written, and then finds no trouble."""
    await _fail(db, config)
    clock.move(days=2)
    await _fail(db, config)
    (one,) = await claimed(db, config, 1)
    async with await psycopg.AsyncConnection.connect(config.database_url) as settling:
        await deliveries.settle(settling, [succeeded(one)], dispatcher="one")
        telling = asyncio.create_task(_sweep(dispatchers))

        async def waits() -> bool:
            row = conn.execute("SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
            return row == {"n": 1}

        await eventually(waits, what="the telling statement waits for the row")
        await settling.commit()
    assert await telling == 0
    assert _told(conn) == []


async def test_silence_is_no_failure(db: Connection, dispatchers: Database, config: Config, clock: Clock) -> None:
    """An endpoint to which nothing was sent since its first failure is in no more trouble after a month."""
    await _fail(db, config)
    clock.move(days=30)
    assert await _sweep(dispatchers) == 0


async def test_who_could_not_be_warned_is_warned_first(
    db: Connection, dispatchers: Database, config: Config, conn: Conn, clock: Clock
) -> None:
    """Nobody looked for a week, and then it fails still: one warning, and a day until the end."""
    await _fail(db, config)
    clock.move(days=7)
    await _fail(db, config)
    assert await _sweep(dispatchers, count=2) == 1
    shown = msgspec.json.decode(_told(conn)[0]["body"])["data"]["endpoint"]["health"]
    until = msgspec.convert(shown["will_be_disabled_at"], datetime)
    assert timedelta(hours=23, minutes=59) < until - clock.now() <= timedelta(days=1)
    clock.move(hours=23, minutes=59)
    await _fail(db, config)
    assert await _sweep(dispatchers) == 0
    clock.move(minutes=1)
    await _fail(db, config)
    assert await _sweep(dispatchers, count=2) == 1
    assert not _default(conn)["enabled"]


async def test_nothing_is_disabled_where_the_setting_says_never(
    db: Connection, dispatchers: Database, config: Config, conn: Conn, clock: Clock
) -> None:
    assert msgspec.structs.replace(config, disable_after=0.0).disabling is None
    assert config.disabling == FIVE_DAYS
    for _ in range(9):
        await _fail(db, config)
        await _sweep(dispatchers, disable_after=None)
        clock.move(days=1)
    assert _default(conn)["enabled"]
    shown = [msgspec.json.decode(one["body"])["data"]["endpoint"]["health"] for one in _told(conn)]
    assert [(one["warnings"], one["will_be_disabled_at"]) for one in shown] == [(1, None), (2, None), (3, None)]


def test_warnings_keep_their_proportion_and_the_end_its_distance() -> None:
    day = timedelta(days=1)
    at = [warnings_due(n * day / 2, FIVE_DAYS) for n in range(12)]
    assert at == [0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3]
    assert [warnings_due(n * day, 10 * day) for n in (1, 2, 6, 8)] == [0, 1, 2, 3]
    began = datetime(2026, 1, 1, tzinfo=UTC)
    assert disabled_from(began, None, None) is None
    assert disabled_from(began, None, FIVE_DAYS) == began + 5 * day
    assert disabled_from(began, began + 3 * day, FIVE_DAYS) == began + 5 * day
    assert disabled_from(began, began + 4.5 * day, FIVE_DAYS) == began + 5.5 * day


async def test_news_of_an_endpoint_are_its_own_merchant_s(
    db: Connection, dispatchers: Database, config: Config, conn: Conn, clock: Clock
) -> None:
    """Another merchant's endpoint for all events hears nothing; nor does an own one for other events."""
    await add_merchant(db, "Other", merchant_id="mer_other")
    at = {"bucket": bucket_of("mer_other"), "merchant_id": "mer_other"}
    await endpoints.add(db, make_sealer(config), **at, url="http://c/")
    await _add(db, config, "refund.*")
    wants = [await _add(db, config, name) for name in ("endpoint.failing", "*")]
    await _fail(db, config)
    clock.move(days=1)
    await _fail(db, config)
    assert await _sweep(dispatchers) == 1
    assert [sorted(one["owed"]) for one in _told(conn)] == [sorted(wants)]


async def test_the_health_of_deleted_endpoints_is_forgotten(
    db: Connection, dispatchers: Database, config: Config, conn: Conn
) -> None:
    await _fail(db, config)
    conn.execute("UPDATE endpoint_health SET endpoint_id = 'whep_gone'")
    await _fail(db, config)
    await _sweep(dispatchers)
    assert conn.execute("SELECT endpoint_id FROM endpoint_health").fetchall() == [{"endpoint_id": _default(conn)["id"]}]


async def test_410_gone_is_told_to_the_other_endpoint(config: Config, db: Connection, conn: Conn, api: Api) -> None:
    """With a real dispatcher and real receivers: the event arrives there, and says what the API shows."""
    got: list[dict[str, Any]] = []

    async def gone(request: web.Request) -> web.Response:
        return web.Response(status=410)

    async def hear(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response()

    async with receiving(gone) as one, receiving(hear) as two:
        other = await _add(db, config)
        conn.execute("UPDATE endpoints SET url = CASE WHEN is_default THEN %s ELSE %s END", [one, two])
        failing = _default(conn)["id"]
        await pay(db, config)
        async with dispatching(config):

            async def heard() -> bool:
                return bool(got)

            await eventually(heard, what="news of the endpoint")
    (event,) = got
    now = (await api.get(f"/webhook-endpoints/{failing}")).json()
    assert (event["event"], event["data"]["endpoint"] | {"health": 0}) == ("endpoint.disabled", now | {"health": 0})
    assert (now["enabled"], now["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    assert event["data"]["endpoint"]["health"]["last_error"] == "HTTP 410"
    assert [(row["subject_id"], row["deliveries"]) for row in _told(conn)] == [(failing, 1)]
    assert conn.execute("SELECT DISTINCT endpoint_id FROM outbox WHERE event_type LIKE 'endpoint%'").fetchall() == []
    assert other != failing


async def test_an_open_circuit_lets_one_request_through_for_each_trip_over_two_dispatchers(
    config: Config, db: Connection, conn: Conn
) -> None:
    """Forty deliveries are due; after the circuit opened, each probe is one request, until one succeeds."""
    received: list[int] = []
    mended = asyncio.Event()

    async def fail(request: web.Request) -> web.Response:
        received.append(200 if mended.is_set() else 503)
        return web.Response(status=received[-1])

    changed = msgspec.structs.replace(config, circuit_failures=3, circuit_seconds=0.3, circuit_longest=0.6)
    async with receiving(fail) as url:
        conn.execute("UPDATE endpoints SET url = %s, retry_schedule = array_fill(0, ARRAY[20])", [url])
        await pay(db, config, 20)
        before: dict[str, Any] = {}
        async with dispatching(changed), dispatching(changed):

            async def tripped() -> bool:
                rows = conn.execute(
                    "SELECT trips, failures, open_until > now() AS open FROM endpoint_health"
                ).fetchall()
                if rows and rows[0]["trips"] == 1:
                    before.update(rows[0])
                return bool(rows) and rows[0]["trips"] >= 5

            await eventually(tripped, what="five trips")
            (row,) = conn.execute("SELECT trips, failures FROM endpoint_health").fetchall()
            assert row["failures"] - before["failures"] == row["trips"] - 1, "one request for each trip"
            mended.set()

            async def delivered() -> bool:
                row = conn.execute("SELECT count(*) AS n FROM deliveries WHERE status = 'success'").fetchone()
                return row is not None and row["n"] >= 40

            await eventually(delivered, what="what had waited")
    assert conn.execute("SELECT count(*) AS n FROM endpoint_health").fetchone() == {"n": 0}
