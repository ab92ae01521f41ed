"""Endpoints: made, changed, turned off and on, deleted, tested with a real receiver; nobody else's."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from aiohttp import web

from dashboard.pages import webhooks
from gateway.secrets import make_sealer
from kit.db import Connection
from outbox.endpoints import unseal_headers
from tests.dashboard.conftest import OWNER, Browser, House
from tests.dashboard.hooks import NASTY, WHOSE, add_endpoint, another, default_endpoint, send
from tests.dispatcher.test_delivery import dispatching, receiving

HERE = "/dashboard/webhooks/endpoints"
FULL: dict[str, Any] = {
    "url": "https://shop.example/hook",
    "description": "Warehouse",
    "events": ["payment.*", "payment.success", "refund.processed"],
    "retry_schedule": "0, 30s, 5m, 2h",
    "rate": "20",
    "ordered": "true",
    "headers": "Authorization: Bearer sesame\nX-Shop: 1",
}


def row(house: House, endpoint_id: str) -> dict[str, Any]:
    found = house.conn.execute("SELECT * FROM endpoints WHERE id = %s", [endpoint_id]).fetchone()
    assert found
    return found


async def test_an_endpoint_is_made_once_as_it_was_asked_for(house: House, owner: Browser) -> None:
    await owner.get(f"{HERE}/new")
    key = re.search(r'name="key" value="([^"]+)"', owner.page.text)
    assert key
    csrf = owner.csrf
    for _ in range(2):  # a second click
        said = await send(owner, HERE, FULL | {"key": key[1], "csrf": csrf})
        assert said.status_code == 200
    made = owner.page.url.path.rpartition("/")[2]
    found = row(house, made)
    assert found["event_types"] == ["payment.*", "refund.processed"], "what is in a family is named once"
    assert (found["retry_schedule"], found["rate"], found["ordered"]) == ([0, 30, 300, 7200], 20, True)
    sealer = make_sealer(house.config)
    headers = unseal_headers(sealer, WHOSE["merchant_id"], bytes(found["sealed_headers"]))
    assert headers == {"Authorization": "Bearer sesame", "X-Shop": "1"}
    for text in (
        "Warehouse",
        "at once, 30 s, 5 min, 2 h",
        "20 a second at most",
        "one after the other",
        "Authorization",
    ):
        assert text in owner.text, text
    assert "sesame" not in owner.page.text
    assert house.audit() == [(OWNER, "endpoint.created")]
    assert len(house.conn.execute("SELECT FROM endpoints").fetchall()) == 2
    await send(owner, HERE, FULL | {"key": key[1], "csrf": csrf, "description": "Another"})
    assert len(house.conn.execute("SELECT FROM endpoints").fetchall()) == 3, "that is no second click"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"url": "http://169.254.169.254/"}, "url", "The URL is refused"),
    ({"url": "ftp://x.example/"}, "url", "The URL must begin with https"),
    ({"events": []}, "events", "Choose at least one"),
    ({"events": ["payment.*", "nothing.new"]}, "events", "no event type"),
    ({"retry_schedule": "0, soon"}, "retry_schedule", "“soon” is no span of time"),
    ({"retry_schedule": "8d"}, "retry_schedule", "at most 7 days"),
    ({"retry_schedule": ", ".join(["7d"] * 6)}, "retry_schedule", "30 days"),
    ({"retry_schedule": ", ".join(["1"] * 21)}, "retry_schedule", "at most 20"),
    ({"rate": "0"}, "rate", "Enter a whole number"),
    ({"rate": "many"}, "rate", "Enter a whole number"),
    ({"headers": "no header"}, "headers", "Line 1 is no header"),
    ({"headers": "Host: evil.example"}, "headers", "Host: "),
    ({"headers": "X-A: 1\nx-a: 2"}, "headers", "stands there twice"),
    ({"description": "x" * 501}, "description", "At most 500 characters"),
]


async def test_what_is_refused_is_said_beside_its_field_and_all_that_was_typed_stays(
    house: House, owner: Browser
) -> None:
    await owner.get(f"{HERE}/new")
    for change, field, told in REFUSED:
        said = await send(owner, HERE, FULL | change)
        assert said.status_code == 422, change
        place = "endpoint-url" if field == "url" else field
        wrong = re.search(rf'<p class="about wrong" id="{place}-about">(.*?)</p>', said.text)
        assert wrong, change
        assert told in html.unescape(wrong[1])
        typed = html.unescape(said.text)
        for name in {"description", "retry_schedule", "rate", "headers"} - {field}:
            assert str(FULL[name]) in typed, (change, name)
    assert house.audit() == []
    assert len(house.conn.execute("SELECT FROM endpoints").fetchall()) == 1


async def test_headers_stay_until_others_are_written_or_all_are_taken_away(
    house: House, owner: Browser, db: Connection
) -> None:
    one = await add_endpoint(db, house.config, headers={"Authorization": "Bearer sesame"}, url="https://shop.example/")
    form = {"url": "https://shop.example/", "events": ["*"]}
    await owner.get(f"{HERE}/{one}")
    assert "sesame" not in owner.page.text
    for more, names in (
        ({}, ["Authorization"]),
        ({"headers": "X-Key: 2"}, ["X-Key"]),
        ({"remove_headers": "true"}, []),
    ):
        await send(owner, f"{HERE}/{one}", form | more)
        assert owner.page.status_code == 200
        assert row(house, one)["header_names"] == names
    both = await send(owner, f"{HERE}/{one}", form | {"headers": "X-A: 1", "remove_headers": "true"})
    assert (both.status_code, "not both" in both.text) == (422, True)
    details = house.conn.execute("SELECT detail FROM audit_log ORDER BY id").fetchall()
    assert ["headers" in one["detail"] for one in details] == [False, True, True]


async def test_off_on_and_gone(house: House, owner: Browser, db: Connection) -> None:
    one = await add_endpoint(db, house.config, description=NASTY)
    await owner.get(f"{HERE}/{one}")
    assert "<script>alert" not in owner.page.text
    await owner.post(f"{HERE}/{one}/disable")
    assert (row(house, one)["enabled"], "It is off" in owner.text) == (False, True)
    said = await owner.post(f"{HERE}/{one}/test")
    assert "is disabled; enable it first" in owner.text
    assert said.status_code == 200
    await owner.post(f"{HERE}/{one}/enable")
    assert row(house, one)["enabled"]
    await owner.post(f"{HERE}/{one}/delete")
    assert (owner.page.url.path, "was deleted" in owner.text) == ("/dashboard/webhooks", True)
    assert house.conn.execute("SELECT FROM endpoints WHERE id = %s", [one]).fetchone() is None
    assert (await owner.get(f"{HERE}/{one}")).status_code == 404
    actions = [action for _, action in house.audit()]
    assert actions == ["endpoint.disabled", "endpoint.enabled", "endpoint.deleted"]


async def test_nothing_of_another_merchant_s_can_be_seen_or_touched(
    house: House, owner: Browser, db: Connection
) -> None:
    theirs = await another(db, house.config, house.conn)
    before = row(house, theirs.endpoint)
    for path in ("", "/enable", "/disable", "/delete", "/secret", "/secret/regenerate", "/test"):
        for one in (theirs.endpoint, "whep_nothing"):
            form = {"url": "https://x.example/", "events": "*"} if not path else {}
            said = await owner.post(f"{HERE}/{one}{path}", **form)
            assert said.status_code == 404, path
            assert "There is nothing here" in said.text
            await owner.get("/dashboard/account")
    assert (await owner.get(f"{HERE}/{theirs.endpoint}")).status_code == 404
    assert theirs.endpoint not in (await owner.get("/dashboard/webhooks")).text
    assert row(house, theirs.endpoint) == before
    assert house.audit() == []


async def test_a_test_event_is_answered_on_the_page_at_once(house: House, owner: Browser) -> None:
    """A real dispatcher and a real receiver: status, time and body, as text; a second click sends no second one."""
    got: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        got.append(request.headers["X-Webhook-Event"])
        return web.Response(status=418, text=NASTY)

    one = default_endpoint(house.conn)
    async with receiving(answer) as url, dispatching(house.config):
        house.conn.execute("UPDATE endpoints SET url = %s", [url])
        await owner.get("/dashboard/webhooks")
        csrf = owner.csrf
        for _ in range(2):
            await owner.post(f"{HERE}/{one}/test", on="webhooks", event="payment.success", key="once", csrf=csrf)
            assert owner.page.url.path == "/dashboard/webhooks"
            assert "418 Not accepted" in owner.text
    assert got[0] == "payment.success"
    assert len(house.conn.execute("SELECT FROM events").fetchall()) == 1
    assert "<script>alert" not in owner.page.text
    assert "<script>alert(1)</script>" in html.unescape(owner.page.text)
    assert house.audit() == [(OWNER, "endpoint.tested")]


async def test_a_test_that_nobody_answers_is_looked_for_again(
    house: House, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PATIENCE", 0.0)
    one = default_endpoint(house.conn)
    await owner.post(f"{HERE}/{one}/test")
    assert "has not answered yet" in owner.text
    address = re.search(r'id="test-result"[^>]* hx-get="([^"]+)" hx-trigger="load delay', owner.page.text)
    assert address
    part = await owner.get(html.unescape(address[1]), **{"hx-request": "true", "hx-target": "test-result"})
    assert part.text.lstrip().startswith('<div id="test-result"')
    assert "Look again" in part.text
