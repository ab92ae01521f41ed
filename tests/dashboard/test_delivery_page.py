"""One delivery: what was sent and answered, what is to come, sent again alone or with others, and checked."""

from __future__ import annotations

import html
import re
import shlex
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from dashboard.pages import webhooks
from dashboard.pages.delivery import coming
from gateway.webhooks import get
from kit import signing
from kit.db import Connection
from tests.dashboard.conftest import OWNER, Browser, House
from tests.dashboard.hooks import (
    NASTY,
    SECRET,
    add_endpoint,
    another,
    attempt,
    default_endpoint,
    deliver,
    send,
)
from tests.dispatcher.test_delivery import dispatching, receiving
from tests.support.paying import MERCHANT

HERE = "/dashboard/webhooks"


def body_of(house: House, delivery_id: str) -> str:
    row = house.conn.execute("SELECT body FROM events WHERE id = %s", [f"evt_{delivery_id[4:]}"]).fetchone()
    assert row
    return str(row["body"])


def signed(house: House, delivery_id: str, secret: str = SECRET) -> dict[str, str]:
    """The headers of an attempt that was made now."""
    now, event_id, body = int(time.time()), f"evt_{delivery_id[4:]}", body_of(house, delivery_id).encode()
    return {
        "Content-Type": "application/json",
        "X-Webhook-Signature": signing.plain(secret, body),
        "X-Webhook-Id": delivery_id,
        "webhook-id": event_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signing.standard([secret], event_id, now, body),
    }


async def test_all_that_was_sent_and_answered_is_there_and_strangers_words_are_text(
    house: House, viewer: Browser
) -> None:
    endpoint = default_endpoint(house.conn)
    house.conn.execute("UPDATE endpoints SET description = %s", [NASTY])
    (one,) = deliver(house.conn, endpoint)
    attempt(house.conn, one, 1, code=None, error=f"no connection: {NASTY}")
    attempt(house.conn, one, 2, code=500, body=NASTY, headers={"X-Power": NASTY}, sent={"X-Odd": NASTY})
    await viewer.get(f"{HERE}/{one}")
    page = viewer.page.text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    plain = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert body_of(house, one) in plain, "the exact bytes"
    assert plain.count("<script>alert(1)</script>") >= 5
    assert len(re.findall('data-test-id="attempt"', page)) == 2
    assert "retry-webhook-button" not in page
    assert "verify-button" not in page


async def test_the_command_line_sends_the_very_bytes(house: House, owner: Browser) -> None:
    endpoint = default_endpoint(house.conn)
    house.conn.execute("UPDATE endpoints SET url = 'https://shop.example/hook?a[]=1&b=it''s'")
    (one,) = deliver(house.conn, endpoint)
    sent = signed(house, one) | {"X-Quote": 'it\'s "$HOME" `id`'}
    attempt(house.conn, one, sent=sent)
    await owner.get(f"{HERE}/{one}")
    found = re.search(r'data-copy="([^"]+)" data-test-id="copy-curl"', owner.page.text)
    assert found
    said = shlex.split(html.unescape(found[1]))
    assert said[0] == "curl"
    assert "-g" in said
    assert said[said.index("POST") + 1] == "https://shop.example/hook?a[]=1&b=it's"
    assert said[said.index("--data-binary") + 1] == body_of(house, one)
    headers = dict(said[n + 1].split(": ", 1) for n, word in enumerate(said) if word == "-H")
    assert headers == sent


async def test_retry_sends_again_and_shows_the_answer(house: House, owner: Browser) -> None:
    async def accept(_request: web.Request) -> web.Response:
        return web.Response(status=202, text="thank you")

    (one,) = deliver(house.conn, default_endpoint(house.conn))
    attempt(house.conn, one, 5, body="not now")
    async with receiving(accept) as url, dispatching(house.config):
        house.conn.execute("UPDATE endpoints SET url = %s", [url])
        await owner.post(f"{HERE}/{one}/retry")
    assert "thank you" in owner.text
    assert "202" in owner.text
    assert house.audit() == [(OWNER, "delivery.retried")]


async def test_retry_leads_back_to_the_list_and_nowhere_else(house: House, owner: Browser) -> None:
    (one,) = deliver(house.conn, default_endpoint(house.conn))
    for wanted, path in ((f"{HERE}?status=failed", HERE), ("https://evil.test/", "/dashboard")):
        await owner.post(f"{HERE}/{one}/retry", next=wanted)
        assert (owner.page.url.host, owner.page.url.path) == ("dash.test", path)
        assert "It is being sent again" in owner.text
        await owner.get("/dashboard/account")
    rows = house.conn.execute("SELECT id FROM outbox WHERE id LIKE 'dlv_%'").fetchall()
    assert [row["id"] for row in rows] == [one]


async def test_what_was_ticked_is_sent_again_as_far_as_it_can_be(house: House, owner: Browser, db: Connection) -> None:
    good = deliver(house.conn, default_endpoint(house.conn), 3)
    off = await add_endpoint(db, house.config, enabled=False)
    bad = deliver(house.conn, off, 2)
    await owner.get(f"{HERE}?status=failed")
    await owner.post(f"{HERE}/retry", id=[*good, *bad, good[0]], next=f"{HERE}?status=failed")
    assert "3 deliveries are being sent again" in owner.text
    assert "2 could not be sent: the endpoint of this delivery is disabled" in owner.text
    assert str(owner.page.url).endswith("?status=failed")
    rows = house.conn.execute("SELECT id FROM outbox ORDER BY id").fetchall()
    assert [row["id"] for row in rows] == sorted(good)
    assert house.audit() == [(OWNER, "delivery.retried")] * 3
    await owner.post(f"{HERE}/retry")
    assert "Tick the deliveries" in owner.text
    await owner.post(f"{HERE}/retry", id=[f"dlv_{n}" for n in range(101)])
    assert "100 at once are the most" in owner.text


async def test_nothing_of_another_merchant_s_is_shown_or_sent(house: House, owner: Browser, db: Connection) -> None:
    theirs = await another(db, house.config, house.conn)
    (mine,) = deliver(house.conn, default_endpoint(house.conn))
    for one in (theirs.delivery, "dlv_nothing"):
        for path in (f"{HERE}/{one}", f"{HERE}/{one}/live", f"{HERE}?test={theirs.delivery}"):
            assert (await owner.get(path)).status_code == 404, path
        await owner.get(HERE)
        csrf = owner.csrf
        for path, form in (
            (f"{HERE}/{one}/retry", {}),
            (f"{HERE}/{one}/verify", {"secret": "x"}),
            (f"{HERE}/retry", {"id": [mine, one]}),
        ):
            assert (await owner.post(path, csrf=csrf, **form)).status_code == 404, path
    assert house.conn.execute("SELECT FROM outbox").fetchall() == [], "all of them or none"
    assert theirs.delivery not in (await owner.get(HERE)).text


async def test_what_cannot_be_sent_any_more_says_why(house: House, owner: Browser, db: Connection) -> None:
    gone = await add_endpoint(db, house.config)
    (one,) = deliver(house.conn, gone)
    attempt(house.conn, one)
    house.conn.execute("DELETE FROM endpoints WHERE id = %s", [gone])
    await owner.get(f"{HERE}/{one}")
    assert "The endpoint was deleted" in owner.text
    assert re.search(r'data-test-id="retry-webhook-button" disabled', owner.page.text)
    await owner.post(f"{HERE}/{one}/retry")
    assert "The endpoint of this delivery was deleted." in owner.text
    assert house.audit() == []


async def test_the_attempts_to_come_follow_the_schedule(house: House, owner: Browser, db: Connection) -> None:
    (one,) = deliver(house.conn, default_endpoint(house.conn))
    found = await get(db, MERCHANT, one)
    steps = (0, 60, 300, 1800, 7200)
    assert coming(found, steps) == []
    due = datetime(2026, 11, 22, 12, tzinfo=UTC)
    pending = msgspec.structs.replace(found, status="pending", attempts=2, next_retry_at=due)
    told = [(one.number, one.at - due, one.about) for one in coming(pending, steps)]
    assert told == [
        (3, timedelta(0), False), (4, timedelta(minutes=30), True), (5, timedelta(minutes=150), True),
    ]  # fmt: skip
    under_way = msgspec.structs.replace(pending, next_retry_at=None)
    assert [one.number for one in coming(under_way, steps)] == [4, 5]
    assert coming(msgspec.structs.replace(pending, attempts=5), steps) == []
    await owner.post(f"{HERE}/{one}/retry", next=HERE)
    await owner.get(f"{HERE}/{one}")
    assert [f"Attempt {n}" in owner.text for n in (1, 5, 6)] == [True, True, False]


@pytest.fixture
def sent(house: House) -> str:
    """A delivery that was attempted once, signed with the default endpoint's secret."""
    (one,) = deliver(house.conn, default_endpoint(house.conn))
    attempt(house.conn, one, code=401, sent=signed(house, one))
    return one


def results(page: str) -> dict[str, str]:
    """What became of each step: good, bad or open."""
    found = re.findall(r'<li class="(good|bad|open)"><svg.*?</svg>\s*<div><strong>([^<]+)', page, re.DOTALL)
    return {title: result for result, title in found}


async def test_what_was_sent_is_right(house: House, owner: Browser, sent: str) -> None:
    said = await owner.post(f"{HERE}/{sent}/verify", secret=SECRET)
    assert "Body, headers and secret fit together." in owner.text
    assert set(results(said.text).values()) == {"good"}
    assert SECRET not in said.text, "it is compared and forgotten"


async def test_the_step_that_fails_is_named(house: House, owner: Browser, sent: str) -> None:
    body = body_of(house, sent)
    spaced = body.replace('":', '": ')
    cases: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"secret": "whsec_another"}, "Secret", "none of yours"),
        ({"body": spaced}, "Body", "parsed and written anew"),
        ({"body": body + "\r\n"}, "Body", "white space around it"),
        ({"headers": "Content-Type: application/json"}, "Headers", "there is no signature"),
        (
            {"headers": f"webhook-id: evt_{sent[4:]}\nwebhook-timestamp: 12\nwebhook-signature: v1,AAAA"},
            "webhook-signature",
            "",
        ),
    )
    for form, step, told in cases:
        said = await send(owner, f"{HERE}/{sent}/verify", form)
        assert said.status_code == 200, form
        assert results(said.text)[step] == "bad", form
        assert told.lower() in owner.text.lower(), form
        if "secret" in form:
            assert form["secret"] not in said.text
    assert house.audit() == [], "it changes nothing"


async def test_headers_that_are_none_are_named_in_place(owner: Browser, sent: str) -> None:
    said = await send(owner, f"{HERE}/{sent}/verify", {"headers": f"X-A: 1\n{NASTY}", "computed": NASTY})
    assert said.status_code == 422
    assert "Line 2 is no header" in owner.text
    assert "<script>alert" not in said.text
    part = await owner.post(
        f"{HERE}/{sent}/verify", secret=SECRET, headers={"hx-request": "true", "hx-target": "verify"}
    )
    assert part.text.lstrip().startswith('<section class="panel padded" id="verify"')


async def test_a_page_that_waits_for_an_answer_does_not_wait_for_ever(
    house: House, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PATIENCE", 0.2)
    (one,) = deliver(house.conn, default_endpoint(house.conn))
    await owner.post(f"{HERE}/{one}/retry")
    assert "pending" in owner.text
