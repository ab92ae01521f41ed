"""The events browser: narrowed by type, object and time; each one's very body, and what became of it."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import msgspec
import pytest

from dashboard import json_text
from gateway import merchants
from kit.db import Connection
from tests.dashboard.conftest import Browser, House
from tests.dashboard.paying import BAD_CARD, Till

HX = {"hx-request": "true"}
EVIL = '</code><img src=x onerror="alert(1)">'


def shown(browser: Browser) -> list[str]:
    """The types of the rows, from above."""
    return re.findall(r'<a class="into" href="/dashboard/events/evt_\w+"><strong>([\w.]+)<', browser.page.text)


def ids(browser: Browser) -> list[str]:
    return re.findall(r'data-event-id="(evt_\w+)"', browser.page.text)


async def test_events_are_listed_the_newest_first_with_what_they_are_about(till: Till, owner: Browser) -> None:
    payment = await till.pay(settled=False)
    refunded = await till.pay()
    refund = await till.refund(refunded)
    await owner.get("/dashboard/events")
    assert shown(owner)[0] == "refund.created"
    assert set(shown(owner)) == {"payment.created", "payment.pending", "payment.success", "refund.created"}
    assert ids(owner) == sorted(ids(owner), reverse=True)
    assert f'href="/dashboard/payments/{payment}"' in owner.page.text
    assert f'href="/dashboard/payments?q={refund}"' in owner.page.text
    await owner.get(f"/dashboard/payments?q={refund}")
    assert owner.page.url.path == f"/dashboard/payments/{refunded}"


async def test_filters_hold_together(till: Till, owner: Browser) -> None:
    good = await till.pay()
    between = (await till.now()).isoformat()
    failed = await till.pay(card=BAD_CARD)
    for query, wanted in {
        "type=payment.failed": ["payment.failed"],
        "type=refund.*": [],
        f"type=payment.*&about={good}": ["payment.success", "payment.pending", "payment.created"],
        f"about={failed}": ["payment.failed", "payment.pending", "payment.created"],
        f"since={quote(between)}&type=payment.created": ["payment.created"],
        f"until={quote(between)}&about={failed}": [],
        f"until={quote(between)}": ["payment.success", "payment.pending", "payment.created"],
        "about=nothing": [],
    }.items():
        await owner.get(f"/dashboard/events?{query}")
        assert shown(owner) == wanted, query
        if not wanted:
            assert "No event answers to the filters" in owner.text


async def test_what_cannot_be_is_told(owner: Browser) -> None:
    for query, status in {
        "type=x": 422,
        "since=then": 422,
        "until=%3Cb%3E": 422,
        "about=%00": 400,
        "after=x": 400,
        "before=pay_1": 400,
    }.items():
        page = await owner.get(f"/dashboard/events?{query}")
        assert page.status_code == status, query
        assert "<b>" not in page.text


async def test_pages_go_on_both_ways(till: Till, owner: Browser) -> None:
    for _ in range(20):
        await till.pay(settled=False)
    await owner.get("/dashboard/events")
    pages = [ids(owner)]
    while found := re.search(r'href="([^"]+)" rel="next"', owner.page.text):
        await owner.get(html.unescape(found[1]))
        pages.append(ids(owner))
    assert [len(one) for one in pages] == [25, 15]
    assert len({one for page in pages for one in page}) == 40
    found = re.search(r'href="([^"]+)" rel="prev"', owner.page.text)
    assert found
    await owner.get(html.unescape(found[1]))
    assert ids(owner) == pages[0]


async def test_htmx_gets_the_list_alone(till: Till, owner: Browser) -> None:
    await till.pay(settled=False)
    part = await owner.get("/dashboard/events?type=payment.*", **HX, **{"hx-target": "events"})
    assert part.text.lstrip().startswith('<section class="panel" id="events"')


async def test_an_event_shows_the_very_bytes_that_are_sent(till: Till, house: House, owner: Browser) -> None:
    """Laid out only white space is added; the text to copy and the exact text are the body, whatever is in it."""
    await till.pay(settled=False, notes={EVIL: f"{EVIL} \\u20b9 ₹ 1.50", "10": "é"})
    row = house.conn.execute("SELECT id, body FROM events WHERE type = 'payment.created'").fetchone()
    assert row
    await owner.get(f"/dashboard/events/{row['id']}")
    assert EVIL not in owner.page.text
    assert " style=" not in owner.page.text
    texts = [
        html.unescape(re.sub(r"<[^>]+>", "", one))
        for one in re.findall(r'<pre class="json[^>]*><code>(.*?)</code></pre>', owner.page.text, re.DOTALL)
    ]
    assert texts[1] == row["body"]
    assert msgspec.json.decode(texts[0]) == msgspec.json.decode(row["body"])
    assert texts[0].count("\n") > 10
    copied = re.search(r'class="button small" data-copy="([^"]+)"', owner.page.text)
    assert copied
    assert html.unescape(copied[1]) == row["body"]
    assert f"{len(row['body'].encode())} bytes" in owner.text
    assert '<span class="key">&#34;id&#34;</span>' in owner.page.text


async def test_an_event_shows_its_deliveries(till: Till, house: House, owner: Browser) -> None:
    await till.pay(settled=False)
    row = house.conn.execute("SELECT id, event_id FROM outbox WHERE event_type = 'payment.created'").fetchone()
    assert row
    house.conn.execute("UPDATE endpoints SET url = %s", [f"https://shop.example/{EVIL}"])
    await owner.get(f"/dashboard/events/{row['event_id']}")
    assert f'data-webhook-id="{row["id"]}"' in owner.page.text
    assert f'href="/dashboard/webhooks/{row["id"]}"' in owner.page.text
    assert "pending" in owner.text
    assert EVIL in owner.text
    assert EVIL not in owner.page.text


async def test_nobody_s_and_another_s_are_not_there(
    till: Till, house: House, owner: Browser, viewer: Browser, db: Connection
) -> None:
    payment = await till.pay(settled=False)
    row = house.conn.execute("SELECT id FROM events LIMIT 1").fetchone()
    assert row
    assert (await viewer.get(f"/dashboard/events/{row['id']}")).status_code == 200
    other = await merchants.add_merchant(db, "Another Shop")
    house.conn.execute("INSERT INTO memberships SELECT %s, user_id, role, created_at FROM memberships", [other])
    house.conn.execute("UPDATE sessions SET merchant_id = %s", [other])
    for one in (row["id"], "evt_01jd9m3r6ye8a9fqk0s2t4v6xz", "x", "%00", payment):
        assert (await owner.get(f"/dashboard/events/{one}")).status_code == 404, one
    for query in ("", f"?about={payment}", f"?after={row['id'][:-1]}z"):
        await owner.get(f"/dashboard/events{query}")
        assert owner.page.status_code == 200
        assert ids(owner) == [], query
    await owner.get("/dashboard/events")
    assert "No event yet" in owner.text


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1.50,"b":[{},[],"x\\"y: {"],"c":null,"d":-1e9}',
        "[1, 2 ,\n3]",
        '{"a" : "b"}',
        "{}",
        " [] ",
        '{"k":{"k":{"k":true}}}',
        '{"<b>":"\\u003c/span>"}',
    ],
)
def test_json_keeps_each_character(text: str) -> None:
    """Exact: the text; laid out: the text but for white space between tokens, and the same value."""
    exact = "".join(one.text for one in json_text.tokens(text, laid_out=False))
    laid_out = "".join(one.text for one in json_text.tokens(text))
    assert exact == text
    assert msgspec.json.decode(laid_out) == msgspec.json.decode(text)
    kept = [one.text for one in json_text.tokens(text, laid_out=False) if one.kind != "space"]
    assert [one.text for one in json_text.tokens(text) if one.kind != "space"] == kept


@pytest.mark.parametrize(
    "text", ["", "hello", "{", '{"a":}', '"just text"', "<html>", "[" * 100_000, "{" + " " * 300_000]
)
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    assert json_text.tokens(text) == [json_text.Token("text", text)]
