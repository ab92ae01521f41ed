"""Recoveries: counted before anything is sent, started once, followed, paused, resumed, ended."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta

import pytest

from kit.db import Connection
from outbox import recoveries
from tests.dashboard.conftest import OWNER, Browser, House
from tests.dashboard.hooks import add_endpoint, another, default_endpoint, deliver

HERE = "/dashboard/webhooks/recoveries"


def _at(ago: timedelta) -> str:
    return f"{datetime.now(UTC) - ago:%Y-%m-%dT%H:%M}"


def _fields(page: str) -> dict[str, str]:
    """The hidden fields of the form that starts what was counted."""
    form = re.search(rf'<form method="post" action="{HERE}".*?</form>', page, re.DOTALL)
    assert form
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    }


def _status(page: str) -> str:
    found = re.search(r'data-test-id="recovery-status">(\w+)<', page)
    assert found
    return found[1]


async def test_it_is_counted_first_and_sent_when_one_says_so_and_once(house: House, owner: Browser) -> None:
    conn = house.conn
    deliver(conn, default_endpoint(conn), 7)
    deliver(conn, default_endpoint(conn), 2, event="refund.failed")
    await owner.get(f"{HERE}/new?since={_at(timedelta(hours=3))}&rate=5")
    assert "9 deliveries would be sent again" in owner.text
    assert re.search(r"payment\.success 7 .*refund\.failed 2", owner.text)
    assert conn.execute("SELECT FROM recoveries").fetchall() == [], "nothing was begun"

    fields = _fields(owner.page.text)
    for _ in range(2):  # a second click
        await owner.post(HERE, **fields)
    assert "0 of 9 sent again" in owner.text
    (row,) = conn.execute("SELECT * FROM recoveries").fetchall()
    assert owner.page.url.path == f"{HERE}/{row['id']}"
    assert (row["total"], row["rate"], row["state"]) == (9, 5, "running")
    assert house.audit() == [(OWNER, "recovery.started")]
    await owner.get(HERE)
    assert row["id"] in owner.page.text


async def test_of_very_many_the_beginning_is_counted_at_once(
    house: House, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the page is there; the rest by a link, which keeps what was asked for."""
    monkeypatch.setattr(recoveries, "GLANCED", {"deliveries": 3, "events": 3})
    deliver(house.conn, default_endpoint(house.conn), 7)
    await owner.get(f"{HERE}/new?since={_at(timedelta(hours=3))}&status=failed&rate=5")
    assert "3+ deliveries would be sent again" in owner.text
    rest = re.search(r'href="([^"]+)"[^>]+data-test-id="count-all"', owner.page.text)
    assert rest
    await owner.get(html.unescape(rest[1]))
    assert "7 deliveries would be sent again" in owner.text
    assert "count-all" not in owner.page.text
    assert _fields(owner.page.text)["rate"] == "5"


async def test_it_is_paused_resumed_and_ended(house: House, owner: Browser) -> None:
    deliver(house.conn, default_endpoint(house.conn), 4)
    await owner.get(f"{HERE}/new?since={_at(timedelta(hours=3))}")
    await owner.post(HERE, **_fields(owner.page.text))
    where = owner.page.url.path
    house.conn.execute("UPDATE recoveries SET scheduled = 1, skipped = 1")
    for verb, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        await owner.post(f"{where}/{verb}")
        assert _status(owner.page.text) == status
    assert re.search(r'<progress[^>]* value="2" max="4"', owner.page.text)
    assert "1 of 4 sent again, 1 could not be" in owner.text
    assert "pause-recovery-button" not in owner.page.text
    await owner.post(f"{where}/resume")
    assert "only one that is running or paused" in owner.text
    actions = [action for _, action in house.audit()]
    assert actions == ["recovery.started", "recovery.paused", "recovery.resumed", "recovery.cancelled"]


async def test_what_cannot_be_is_said_in_the_form(house: House, owner: Browser, db: Connection) -> None:
    off = await add_endpoint(db, house.config, enabled=False)
    before = _at(timedelta(hours=1))
    for query, told in (
        ("since=yesterday", "Enter a date and a time"),
        (f"since={before}&until={_at(timedelta(hours=2))}", "since must not be after until"),
        (f"since={_at(timedelta(hours=-5))}", "since must not be after until, nor in the future"),
        (f"since={before}&event=x.y", "no event type"),
        (f"since={before}&status=lost", "Choose one of these"),
        (f"since={before}&rate=0", "Enter a whole number"),
        (f"since={before}&endpoint={off}", "The endpoint is disabled; enable it first."),
    ):
        said = await owner.get(f"{HERE}/new?{query}")
        assert said.status_code == 422, query
        assert told in owner.text, query
        form = dict(pair.split("=", 1) for pair in query.split("&"))
        await owner.get(f"{HERE}/new")
        if "rate" not in form:
            said = await owner.post(HERE, **form)
            assert (said.status_code, told in owner.text) == (422, True), query
    assert house.conn.execute("SELECT FROM recoveries").fetchall() == []


async def test_nothing_of_another_merchant_s(house: House, owner: Browser, db: Connection) -> None:
    theirs = await another(db, house.config, house.conn)
    since = _at(timedelta(hours=3))
    for path in (
        f"{HERE}/{theirs.recovery}",
        f"{HERE}/{theirs.recovery}/live",
        f"{HERE}/rcv_nothing",
        f"{HERE}/new?since={since}&endpoint={theirs.endpoint}",
    ):
        assert (await owner.get(path)).status_code == 404, path
    await owner.get(HERE)
    assert theirs.recovery not in owner.page.text
    csrf = owner.csrf
    for path in ("pause", "resume", "cancel"):
        assert (await owner.post(f"{HERE}/{theirs.recovery}/{path}", csrf=csrf)).status_code == 404
    assert (await owner.post(HERE, csrf=csrf, since=since, endpoint=theirs.endpoint)).status_code == 404
    assert [row["state"] for row in house.conn.execute("SELECT state FROM recoveries").fetchall()] == ["running"]


async def test_a_viewer_watches(house: House, viewer: Browser) -> None:
    owner = await house.signed_in(OWNER)
    deliver(house.conn, default_endpoint(house.conn))
    await owner.get(f"{HERE}/new?since={_at(timedelta(hours=3))}")
    await owner.post(HERE, **_fields(owner.page.text))
    await viewer.get(owner.page.url.path)
    assert _status(viewer.page.text) == "running"
    assert "recovery-button" not in viewer.page.text
    assert (await viewer.get(f"{HERE}/new")).status_code == 403
