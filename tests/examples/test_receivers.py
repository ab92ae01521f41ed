"""The receiver kit, in both languages: whatever comes, in whatever order, how often and whoever dies, it ends right."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp
import msgspec
import psycopg
import pytest

from gateway import samples
from gateway.facts import fact
from kit import ids, signing
from outbox.endpoints import new_secret
from tests.support.npm import Installed, installed
from tests.support.receivers import LANGUAGES, Receiver, Shop, shop_database
from tests.support.waiting import eventually, until

__all__ = ["installed"]
SECRET = new_secret()
_WAITS = "datname = current_database() AND wait_event_type = 'Lock'"
STATES = ("payment.created", "payment.pending", "payment.success", "payment.captured")


class Stand(NamedTuple):
    """A receiver that runs, and its database; and another like it, which does not run."""

    receiver: Receiver
    shop: Shop
    other: Receiver


class Event(NamedTuple):
    """An event as Ledgate has it."""

    id: str
    body: bytes


@pytest.fixture(scope="module", params=LANGUAGES)
def running(
    request: pytest.FixtureRequest, installed: Installed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    with shop_database() as shop:
        receiver, other = (
            Receiver(request.param, installed, shop.url, tmp_path_factory.mktemp("receiver"), SECRET) for _ in range(2)
        )
        receiver.start()
        yield Stand(receiver, shop, other)
        receiver.kill()


@pytest.fixture
def stand(running: Stand) -> Stand:
    """The receiver, with empty tables."""
    running.shop.conn.execute("TRUNCATE received, objects, shipments")
    return running


def _story() -> tuple[dict[str, Any], list[Event]]:
    """A payment's four events, as the settling statements make them; what it is in the end."""
    now = datetime.now(UTC)
    shown = [msgspec.structs.replace(samples.sample(one, now)["payment"], id="pay_x") for one in STATES]  # type: ignore[arg-type]
    payment_id = ids.new("pay")
    told = [
        fact(event, "payment", msgspec.structs.replace(one, id=payment_id, notes={"é": "\u2028😀"}), now)
        for event, one in zip(STATES, shown, strict=True)
    ]
    last = msgspec.json.decode(told[-1]["body"])["data"]["payment"]
    return last, [Event(one["event_id"], one["body"].encode()) for one in told]


def _signed(event: Event, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    return {
        "webhook-id": event.id,
        "webhook-timestamp": str(at),
        "webhook-signature": signing.standard([secret], event.id, at, event.body),
    }


async def _post(http: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> int:
    async with http.post(url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(30)) as answer:
        return answer.status


async def _send(http: aiohttp.ClientSession, url: str, event: Event) -> int:
    return await _post(http, url, event.body, _signed(event))


async def _send_all(url: str, events: Sequence[Event]) -> list[int]:
    """One after the other."""
    async with aiohttp.ClientSession() as http:
        return [await _send(http, url, event) for event in events]


async def test_every_order_of_a_payment_s_events_ends_in_its_newest_state(stand: Stand) -> None:
    """All 24 of four events, each with a payment of its own: the same state, and shipped once."""
    stories = [_story() for _ in range(24)]
    orders = [[told[n] for n in order] for (_, told), order in zip(stories, itertools.permutations(range(4)))]  # noqa: B905
    said = await asyncio.gather(*(_send_all(stand.receiver.url, one) for one in orders))

    assert said == [[200] * 4] * 24
    stand.shop.await_done(96)
    assert stand.shop.objects("payment") == {last["id"]: last for last, _ in stories}
    assert stand.shop.shipped() == sorted(last["id"] for last, _ in stories)


async def test_the_same_id_at_once_is_kept_and_acted_on_once(stand: Stand) -> None:
    last, told = _story()
    async with aiohttp.ClientSession() as http:
        said = await asyncio.gather(*(_send(http, stand.receiver.url, told[-1]) for _ in range(20)))

    assert said == [200] * 20
    stand.shop.await_done(1)
    assert stand.shop.objects("payment") == {last["id"]: last}
    assert stand.shop.shipped() == [last["id"]]


async def test_both_languages_share_a_database_under_shuffled_duplicates(
    installed: Installed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every event three times, in any order, at once, to either: no lock is waited for crosswise, nothing twice."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    with shop_database() as shop:
        folder = tmp_path_factory.mktemp("both")
        both = [Receiver(one, installed, shop.url, folder, SECRET) for one in LANGUAGES]
        try:
            for one in both:
                one.start()
            stories = [_story() for _ in range(30)]
            posts = [event for _, told in stories for event in told * 3]
            chance.shuffle(posts)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=24)) as http:
                said = await asyncio.gather(*(_send(http, chance.choice(both).url, event) for event in posts))
            assert set(said) == {200}, f"seed {seed}"
            shop.await_done(120)
        finally:
            for one in both:
                one.kill()
        assert shop.objects("payment") == {last["id"]: last for last, _ in stories}, f"seed {seed}"
        assert shop.shipped() == sorted(last["id"] for last, _ in stories), f"seed {seed}"


async def test_two_events_of_one_payment_at_once_wait_for_each_other(stand: Stand) -> None:
    """Two processes, each with one of them: the older waits until the newer is through, and then is no news."""
    receiver, shop, other = stand
    last, told = _story()
    await _send_all(receiver.url, told[:1])
    shop.await_done(1)
    other.start()
    try:
        with psycopg.connect(shop.url) as ours:
            ours.execute("LOCK TABLE shipments")
            await _send_all(receiver.url, told[3:])
            await eventually(lambda: _waits(shop), what="the newer one on its way")
            await _send_all(other.url, told[2:3])
            await eventually(lambda: _waits(shop, 2), what="the older one behind it")
        shop.await_done(3)
    finally:
        other.kill()
    assert shop.objects("payment") == {last["id"]: last}
    assert shop.shipped() == [last["id"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,not base64 at all é"},
        {"webhook-signature": ""},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "1731705121"},
        {"webhook-id": "evt_other"},
    ],
)
async def test_what_is_not_ours_is_a_401_and_writes_nothing(stand: Stand, wrong: dict[str, str]) -> None:
    """Without headers, or with one of them changed."""
    _, told = _story()
    headers = _signed(told[0]) | wrong if wrong else {}
    async with aiohttp.ClientSession() as http:
        assert await _post(http, stand.receiver.url, told[0].body, headers) == 401
    assert stand.shop.rows("SELECT FROM received") == []


async def test_other_bytes_secrets_and_times_are_refused_too(stand: Stand) -> None:
    """The body written anew, one byte more, garbage; another secret; a signature of an hour ago; far too much."""
    event, url = _story()[1][0], stand.receiver.url
    bodies = (msgspec.json.format(event.body), event.body + b" ", b"", b"\xff\xfe")
    signed = (_signed(event, new_secret()), _signed(event, at=int(time.time()) - 3600))
    async with aiohttp.ClientSession() as http:
        said = [await _post(http, url, body, _signed(event)) for body in bodies]
        said += [await _post(http, url, event.body, headers) for headers in signed]
        assert said == [401] * 6
        assert await _post(http, url.removesuffix("webhook"), event.body, _signed(event)) == 404
        assert await _post(http, url, b"x" * 300_000, _signed(event)) == 413
    assert stand.shop.rows("SELECT FROM received") == []


@pytest.mark.parametrize("kept", [0, 1])
async def test_killed_between_receipt_and_commit_the_event_comes_again_and_counts_once(stand: Stand, kept: int) -> None:
    """Its INSERT waits for one of ours; then it dies, and no 200 was sent.

    The server may notice that before it has inserted, or after: then the event is there without an answer.
    """
    receiver, shop, _ = stand
    last, told = _story()
    with psycopg.connect(shop.url) as ours:
        ours.execute("INSERT INTO received (webhook_id, body) VALUES (%s, '')", [told[-1].id])
        asking = asyncio.create_task(_send_all(receiver.url, [told[-1]]))
        await eventually(lambda: _waits(shop), what="a receiver that waits")
        receiver.kill()
        with pytest.raises(aiohttp.ClientError):
            await asking
        if not kept:
            shop.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_WAITS}")
            until(lambda: not shop.rows(f"SELECT FROM pg_stat_activity WHERE {_WAITS}"), what="the server notices")
        ours.rollback()
    if kept:
        until(lambda: shop.rows("SELECT FROM received"), what="kept without an answer")
    assert len(shop.rows("SELECT FROM received")) == kept

    receiver.start()
    assert await _send_all(receiver.url, [told[-1], told[-1]]) == [200, 200]
    shop.await_done(1)
    assert shop.shipped() == [last["id"]]


async def test_killed_between_answer_and_work_the_event_is_worked_off_later(stand: Stand) -> None:
    """Its work waits for a table that we have locked; it dies there, and the next one does it."""
    receiver, shop, _ = stand
    last, told = _story()
    with psycopg.connect(shop.url) as ours:
        ours.execute("LOCK TABLE shipments")
        assert await _send_all(receiver.url, told) == [200] * 4
        await eventually(lambda: _waits(shop), what="a receiver that waits")
        receiver.kill()
    assert shop.shipped() == []

    receiver.start()
    shop.await_done(4)
    assert shop.objects("payment") == {last["id"]: last}
    assert shop.shipped() == [last["id"]]


async def test_what_cannot_be_worked_off_waits_and_holds_nobody_up(stand: Stand) -> None:
    """The shop's own part fails for one payment: nothing of that event is kept but that it came; others go on."""
    receiver, shop, _ = stand
    (bad, bad_told), (good, good_told) = _story(), _story()
    shop.conn.execute("INSERT INTO shipments (payment_id) VALUES (%s)", [bad["id"]])
    assert await _send_all(receiver.url, [bad_told[2], *good_told]) == [200] * 5
    until(lambda: good["id"] in shop.shipped(), what="the other payment")
    until(lambda: shop.rows("SELECT FROM received WHERE due_at > now()"), what="the bad one put off")
    assert bad["id"] not in shop.objects("payment")

    shop.conn.execute("DELETE FROM shipments WHERE payment_id = %s", [bad["id"]])
    shop.conn.execute("UPDATE received SET due_at = now()")
    shop.await_done(5)
    assert shop.shipped() == sorted([bad["id"], good["id"]])


async def test_without_its_database_it_answers_503_and_goes_on_by_itself(stand: Stand, server_url: str) -> None:
    receiver, shop, _ = stand
    last, told = _story()
    name = shop.conn.info.dbname
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        mine = shop.conn.info.backend_pid
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
        admin.execute(query, [name, mine])
        assert await _send_all(receiver.url, told[:1]) == [503]
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    async def kept() -> bool:
        return await _send_all(receiver.url, told[:1]) == [200]

    await eventually(kept, what="a receiver that is back")
    assert await _send_all(receiver.url, told) == [200] * 4
    shop.await_done(4)
    assert shop.objects("payment") == {last["id"]: last}


async def test_test_events_are_kept_and_change_nothing(stand: Stand) -> None:
    """Samples look like payments, and say `test`."""
    _, told = _story()
    sample = msgspec.json.decode(told[2].body) | {"id": "evt_test", "test": True}
    plain = {"id": "evt_plain", "event": "webhook.test", "timestamp": 1, "test": True, "data": {"message": "hello"}}
    older = {"id": "evt_old", "event": "payment.success", "timestamp": 1, "data": {"payment": {"id": "pay_old"}}}
    events = [Event(one["id"], msgspec.json.encode(one)) for one in (sample, plain, older)]
    assert await _send_all(stand.receiver.url, events) == [200] * 3
    stand.shop.await_done(3)
    assert stand.shop.rows("SELECT FROM objects") == []
    assert stand.shop.shipped() == []


async def _waits(shop: Shop, count: int = 1) -> bool:
    return len(shop.rows(f"SELECT FROM pg_stat_activity WHERE {_WAITS}")) == count
