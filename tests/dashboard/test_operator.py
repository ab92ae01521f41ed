"""The operators' pages: for operators alone, all merchants on them, what is wrong first; and a look at one of them."""

from __future__ import annotations

import html
import re

import msgspec
import psycopg
import pytest

from dashboard.reading.operator import SlowStatement, Statements
from gateway import demo, merchants, users
from kit.db import Connection
from tests.dashboard.conftest import OPERATOR, OWNER, Browser, House
from tests.dashboard.hooks import add_endpoint
from tests.gateway.conftest import UPI, side_by_side
from tests.support.waiting import eventually

HERE = "/dashboard/operator"
PAGES = (HERE, f"{HERE}/merchants", f"{HERE}/database")
NASTY = "<img src=x onerror=alert(1)>\"'{{7*7}}"


@pytest.fixture
async def operator(house: House) -> Browser:
    return await house.signed_in(OPERATOR)


def _beat(house: House, dispatcher: str = "dsp_1", *, ago: float = 0) -> None:
    """A dispatcher is there, or was."""
    house.conn.execute(
        "INSERT INTO dispatchers (id, host, pid, version, delivered, processed, in_flight, started_at, seen_at)"
        " VALUES (%s, 'worker-7', 4711, '1.2.3', 0, 0, 3, now(), now() - make_interval(secs => %s))",
        [dispatcher, ago],
    )


def _rows(browser: Browser, test_id: str) -> list[str]:
    """The texts of a table's rows that have this id."""
    found = re.findall(rf'<tr data-test-id="{test_id}".*?</tr>', browser.page.text, re.DOTALL)
    return [html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", one))).strip() for one in found]


@pytest.mark.parametrize("path", [*PAGES, f"{HERE}/live", f"{HERE}/database/live"])
async def test_who_is_no_operator_sees_nothing_of_it(owner: Browser, path: str) -> None:
    """An owner neither: not the pages, not the way to them."""
    assert (await owner.get(path)).status_code == 403
    assert "This page is for operators." in owner.text
    await owner.get("/dashboard")
    assert HERE not in owner.page.text


async def test_an_operator_s_home_is_the_operations(visitor: Browser, operator: Browser) -> None:
    for wanted, came in (("", HERE), (PAGES[2], PAGES[2]), ("/dashboard/payments", HERE)):
        visitor.client.cookies.clear()
        await visitor.sign_in(OPERATOR, next=wanted)
        assert visitor.page.url.path == came
    for path in ("/dashboard", "/dashboard/"):
        assert (await operator.get(path)).url.path == HERE
    assert "All merchants, right now" in operator.text
    for path in ("/dashboard/payments", "/dashboard/keys"):
        assert (await operator.get(path)).status_code == 403


async def test_a_queue_without_a_dispatcher_is_told_first(house: House, operator: Browser) -> None:
    async with side_by_side(house.config) as api:
        for n in range(3):
            assert (await api.post("/payments", {**UPI, "vpa": f"u{n}@paytm"})).status_code == 201
    _beat(house, "dsp_old", ago=3600)
    await operator.get(HERE)
    assert "No dispatcher works Nothing is processed and nothing delivered. 9 are due" in operator.text
    assert "The last one was seen 1 h ago." in operator.text
    kinds = _rows(operator, "queue-kind")
    assert [one.split(" ")[:2] for one in kinds] == [["Webhooks", "6"], ["Payments", "3"]]
    (whose,) = _rows(operator, "backlog-merchant")
    assert whose.startswith("Ledgate Demo 9 9")


async def test_work_that_is_late_is_told_by_its_kind(house: House, operator: Browser) -> None:
    async with side_by_side(house.config) as api:
        await api.post("/payments", UPI)
    house.conn.execute(
        "UPDATE outbox SET next_retry_at = next_retry_at - interval '3 minutes' WHERE kind = 'payment.process'"
    )
    _beat(house)
    await operator.get(HERE)
    assert "Payments are late by 3 min" in operator.text
    payments = next(one for one in _rows(operator, "queue-kind") if one.startswith("Payments"))
    assert payments.split()[:9] == ["Payments", "1", "0", "0", "1", "0", "0", "1", "0"]


async def test_dispatchers_tell_of_their_last_minute(house: House, operator: Browser) -> None:
    _beat(house)
    for lane, done, failed in (("webhook.deliver", 540, 0), ("process", 58, 2)):
        house.conn.execute(
            "INSERT INTO work_tally (span, starts_at, writer, completed, failed)"
            " VALUES ('second', date_trunc('second', now()) - interval '9 seconds', %s, %s, %s)",
            [f"dsp_1/{lane}", done, failed],
        )
    await operator.get(HERE)
    assert 'data-test-id="all-well"' in operator.page.text
    (told,) = _rows(operator, "dispatcher")
    assert told.startswith("worker-7 process 4711")
    assert " 10.0 " in told
    assert "process 58 2 given up" in told
    assert "1.2.3" in told


async def test_merchants_are_found_by_a_part_of_name_or_id(house: House, operator: Browser, db: Connection) -> None:
    """In whatever case, and letter by letter: no wildcard, no statement of the seeker's."""
    made = {name: await merchants.add_merchant(db, name) for name in ("Kaveri Textiles", "100% Wool_Co", NASTY)}

    async def found(q: str) -> list[str]:
        said = await operator.client.get(f"{HERE}/merchants", params={"q": q})
        operator.page = said
        return re.findall(r'data-merchant-id="(\w+)"', said.text)

    assert set(await found("")) == {demo.MERCHANT_ID, *made.values()}
    assert await found("  KAVERI ") == [made["Kaveri Textiles"]]
    assert await found(made[NASTY].upper()) == [made[NASTY]]
    assert "<img" not in operator.page.text
    assert NASTY in html.unescape(operator.page.text)
    assert await found("0% w") == [made["100% Wool_Co"]]
    assert await found("l_c") == [made["100% Wool_Co"]]
    for nothing in ("%", "'; DROP TABLE merchants", "\\", "a\0b", "x" * 5000):
        assert len(await found(nothing)) in ({1} if nothing == "%" else {0}), nothing
    assert "No merchant is called like that" in operator.text


async def test_merchants_are_read_a_page_at_a_time(operator: Browser, db: Connection) -> None:
    for n in range(55):
        await merchants.add_merchant(db, f"Shop {n}")
    await operator.get(f"{HERE}/merchants?q=shop")
    first = set(re.findall(r'data-merchant-id="(\w+)"', operator.page.text))
    older = html.unescape(re.findall(r'href="([^"]+)" rel="next"', operator.page.text)[0])
    await operator.get(older)
    second = set(re.findall(r'data-merchant-id="(\w+)"', operator.page.text))
    assert (len(first), len(second), first & second) == (50, 5, set())
    assert (await operator.get(f"{HERE}/merchants?after=%00")).status_code == 400


async def test_a_merchant_in_trouble_says_so(house: House, operator: Browser, db: Connection) -> None:
    """One that its owner turned off does not count, and one that was failing when it was disabled is counted once."""

    async def shown() -> str:
        await operator.get(f"{HERE}/merchants")
        (row,) = _rows(operator, "merchant")
        return row

    off = await add_endpoint(db, house.config, enabled=False)
    await add_endpoint(db, house.config)
    assert "disabled" not in await shown()
    house.conn.execute(
        "INSERT INTO endpoint_health (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,"
        " last_error) SELECT bucket, merchant_id, id, 5, now(), now(), 'HTTP 500' FROM endpoints"
    )
    assert "all 2 endpoints failing" in await shown()
    house.conn.execute(
        "UPDATE endpoints SET enabled = false, disabled_at = now(), disabled_reason = 'gone' WHERE is_default"
    )
    assert "1 of 2 endpoints disabled 1 more failing" in await shown()
    house.conn.execute("DELETE FROM endpoint_health WHERE endpoint_id <> %s", [off])
    row = await shown()
    assert "1 of 2 endpoints disabled" in row
    assert "failing" not in row


async def test_a_look_at_a_merchant_is_a_viewer_s_and_is_noted(house: House, operator: Browser, owner: Browser) -> None:
    """The session gets a new token; nothing can be done; the merchant's own log says who looked."""
    before = operator.token
    await operator.get(f"{HERE}/merchants")
    await operator.post(f"{HERE}/merchants/{demo.MERCHANT_ID}/look")
    assert operator.page.url.path == "/dashboard"
    assert "You see Ledgate Demo as a viewer does." in operator.text
    assert operator.token != before
    await operator.get("/dashboard/keys")
    assert demo.KEY_ID in operator.page.text
    assert (await operator.post("/dashboard/keys", name="x", scopes="read")).status_code == 403
    assert house.audit() == [(OPERATOR, "session.turned")]
    await owner.get("/dashboard/audit")
    assert "Turned to this merchant" in owner.text

    await operator.get(f"{HERE}/merchants")
    assert "You see the pages of Ledgate Demo as a viewer does" in operator.text
    await operator.post(f"{HERE}/leave")
    assert operator.page.url.path == f"{HERE}/merchants"
    assert (await operator.get("/dashboard")).url.path == HERE


@pytest.mark.parametrize("wrong", ["mer_none", "%00", "'", "x" * 300])
async def test_a_merchant_that_is_not_there_cannot_be_looked_at(house: House, operator: Browser, wrong: str) -> None:
    await operator.get(f"{HERE}/merchants")
    assert (await operator.post(f"{HERE}/merchants/{wrong}/look")).status_code == 404
    assert house.audit() == []


async def test_an_owner_looks_at_no_other_merchant(house: House, owner: Browser, db: Connection) -> None:
    other = await merchants.add_merchant(db, "Another Shop")
    await owner.get("/dashboard/account")
    assert (await owner.post(f"{HERE}/merchants/{other}/look")).status_code == 403
    assert (await owner.post(f"{HERE}/leave")).status_code == 403
    assert house.conn.execute("SELECT merchant_id FROM sessions").fetchall() == [{"merchant_id": demo.MERCHANT_ID}]


async def test_who_is_no_operator_any_more_is_out_at_the_next_click(
    house: House, operator: Browser, db: Connection
) -> None:
    user = await users.find(db, OPERATOR)
    assert user
    async with db.transaction():
        await users.set_operator(db, user.id, operator=False)
    assert (await operator.get(HERE)).url.path == "/login"


async def test_the_database_s_page_tells_what_does_not_keep_well(house: House, operator: Browser) -> None:
    """A migration that is not applied; a transaction that stands open, whoever it calls itself."""
    house.conn.execute("DELETE FROM _yoyo_migration WHERE migration_id LIKE '0020%'")
    name = "<b>nobody</b>"
    with psycopg.connect(house.config.database_url, application_name=name) as conn:
        conn.execute("SELECT '<img src=x>'")

        async def told() -> bool:
            await operator.get(f"{HERE}/database")
            return "nobody" in operator.page.text

        await eventually(told, what="a transaction of half a second")
    assert "1 migration not applied" in operator.text
    assert "0020.key_uses: run ledgate migrate." in operator.text
    assert name in operator.text
    assert "<b>nobody" not in operator.page.text
    assert "<img" not in operator.page.text
    for history in ("events", "deliveries", "delivery_attempts"):
        assert f"<code>{history}</code>" in operator.page.text
    assert "pg_stat_statements" in operator.text


async def test_of_slow_statements_the_slowest_are_shown(operator: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others unfold: on a phone each takes half a screen. Nothing that takes time takes none."""
    one = SlowStatement(query="", calls=1, mean_ms=0.08, max_ms=9.6, total_ms=1234, rows=1, hit_percent=None)
    slow = [msgspec.structs.replace(one, query=f"SELECT {n}") for n in range(11)]

    async def statements(_: Connection) -> Statements:
        return Statements(missing=None, slow=slow, running=[])

    monkeypatch.setattr("dashboard.reading.operator.statements", statements)
    await operator.get(f"{HERE}/database")
    shown, _, folded = operator.page.text.partition('<details class="more inset" id="less-slow">')
    assert [n for n in range(11) if f"<code>SELECT {n}</code>" in shown] == list(range(8))
    assert [n for n in range(11) if f"<code>SELECT {n}</code>" in folded] == [8, 9, 10]
    assert "3 that took less" in folded
    assert "0.08 ms" in shown
    assert "9.60 ms" in shown
    assert "1.2 s" in shown


async def test_htmx_gets_the_figures_alone(operator: Browser) -> None:
    for path, part in ((HERE, "ops"), (f"{HERE}/merchants", "merchants"), (f"{HERE}/database", "database")):
        said = await operator.client.get(path, headers={"hx-request": "true", "hx-target": part})
        assert re.match(rf'<\w+ [^>]*id="{part}"', said.text.lstrip()), said.text[:200]
        assert said.status_code == 200


def test_the_demo_s_owner_is_no_operator() -> None:
    assert [one.email for one in demo.USERS if one.operator] == [OPERATOR]
    assert OWNER != OPERATOR
