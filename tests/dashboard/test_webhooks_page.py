"""The webhooks' page: what is in trouble, the default endpoint and its secret, and the log with its filters."""

from __future__ import annotations

import html
import itertools
import re
from datetime import UTC, datetime, timedelta

from dashboard.reading import news
from gateway.secrets import make_sealer
from kit.db import Connection
from outbox import deliveries, endpoints
from tests.dashboard.conftest import OWNER, Browser, House
from tests.dashboard.hooks import (
    NASTY,
    SECRET,
    WHOSE,
    add_endpoint,
    attempt,
    default_endpoint,
    deliver,
    shown,
)
from tests.support.paying import MERCHANT

HERE = "/dashboard/webhooks"
TEST_IDS = (
    "webhook-config", "webhook-config-form", "webhook-url-input", "webhook-secret", "regenerate-secret-button",
    "save-webhook-button", "test-webhook-button", "webhook-logs-table", "webhook-log-item", "webhook-event",
    "webhook-status", "webhook-attempts", "webhook-last-attempt", "webhook-response-code", "retry-webhook-button",
)  # fmt: skip


def ids_of(page: str) -> set[str]:
    return set(re.findall(r'data-test-id="([^"]+)"', page))


async def test_everything_that_others_find_by_its_test_id_is_there(house: House, owner: Browser) -> None:
    (delivery,) = deliver(house.conn, default_endpoint(house.conn), code=503)
    await owner.get(HERE)
    assert set(TEST_IDS) <= ids_of(owner.page.text)
    row = re.search(r'<tr data-test-id="webhook-log-item".*?</tr>', owner.page.text, re.DOTALL)
    assert row
    assert f'data-webhook-id="{delivery}"' in row[0]
    for test_id, text in (
        ("webhook-event", "payment.success"),
        ("webhook-status", "failed"),
        ("webhook-attempts", "5"),
        ("webhook-response-code", "503"),
        ("webhook-last-attempt", "1 h ago"),
    ):
        found = re.search(rf'data-test-id="{test_id}"[^>]*>(.*?)</(?:a|td|span)>', row[0], re.DOTALL)
        assert found, test_id
        assert re.sub(r"<[^>]+>", "", found[1]).strip() == text, test_id


async def test_a_viewer_sees_all_of_it_and_no_button(house: House, viewer: Browser) -> None:
    deliver(house.conn, default_endpoint(house.conn))
    await viewer.get(HERE)
    acting = {one for one in TEST_IDS if one.endswith("-button")} | {"show-secret-button", "retry-selected-button"}
    assert not acting & ids_of(viewer.page.text)
    assert {"webhook-secret", "webhook-log-item", "webhook-config"} <= ids_of(viewer.page.text)
    assert 'type="checkbox"' not in viewer.page.text
    assert f'action="{HERE}' not in viewer.page.text.replace(f'method="get" action="{HERE}"', "")


async def test_the_secret_is_in_no_page_until_somebody_asks_and_that_is_written_down(
    house: House, owner: Browser
) -> None:
    where = f"{HERE}/endpoints/{default_endpoint(house.conn)}"
    for path in (HERE, where):
        assert SECRET not in (await owner.get(path)).text
    for form, mark in (({"on": "webhooks"}, "webhook-logs-table"), ({}, "save-endpoint-button")):
        said = await owner.post(f"{where}/secret", **form)
        assert SECRET in said.text
        assert mark in said.text, "it is shown where it was asked for"
        assert said.headers["cache-control"] == "no-store"
    part = await owner.post(f"{where}/secret", headers={"hx-request": "true", "hx-target": "secret"})
    assert SECRET in part.text
    assert part.text.lstrip().startswith('<div class="secret-part"')
    assert house.audit() == [(OWNER, "endpoint.secret_shown")] * 3
    assert SECRET not in (await owner.get(HERE)).text


async def test_a_new_secret_is_shown_once_and_the_old_one_signs_on(
    house: House, owner: Browser, db: Connection
) -> None:
    endpoint = default_endpoint(house.conn)
    await owner.get(HERE)
    path = f"{HERE}/endpoints/{endpoint}/secret/regenerate"
    form = owner.page.text.partition(f'action="{path}"')[2].partition("</form>")[0]
    assert all(field in form for field in ('name="on" value="webhooks"', 'name="overlap"', 'value="3600"'))
    await owner.post(path, on="webhooks", overlap="3600")
    now = await endpoints.read_secret(db, make_sealer(house.config), None, **WHOSE)
    assert now
    assert now.webhook_secret != SECRET
    assert now.webhook_secret in html.unescape(owner.page.text)
    assert now.previous_expires_at
    assert "The one before signs too" in owner.text
    assert now.webhook_secret not in html.unescape((await owner.get(HERE)).text)
    await owner.post(f"{HERE}/endpoints/{endpoint}/secret/regenerate", overlap="0")
    assert "the old one has ended" in owner.text
    assert [action for _, action in house.audit()] == ["endpoint.secret_regenerated"] * 2
    too_long = await owner.post(f"{HERE}/endpoints/{endpoint}/secret/regenerate", overlap="604801")
    assert too_long.status_code == 400


async def test_a_second_click_ends_no_secret_that_receivers_still_have(
    house: House, owner: Browser, db: Connection
) -> None:
    """Only the one before signs too: made anew twice, the first one would end at once, and no receiver has another."""
    endpoint = default_endpoint(house.conn)
    await owner.get(HERE)
    path = f"{HERE}/endpoints/{endpoint}/secret/regenerate"
    form = owner.page.text.partition(f'action="{path}"')[2].partition("</form>")[0]
    found = re.search(r'name="key" value="([^"]+)"', form)
    assert found
    for _ in range(2):
        await owner.post(path, on="webhooks", overlap="3600", key=found[1])
        now = await endpoints.read_secret(db, make_sealer(house.config), None, **WHOSE)
        assert now
        assert now.webhook_secret in html.unescape(owner.page.text)
    (row,) = house.conn.execute("SELECT sealed_previous_secret FROM endpoints WHERE is_default").fetchall()
    before = make_sealer(house.config).unseal(
        row["sealed_previous_secret"], context=f"webhook-secret:{MERCHANT.merchant_id}"
    )
    assert before.decode() == SECRET
    assert [action for _, action in house.audit()] == ["endpoint.secret_regenerated"]


async def test_a_url_that_is_refused_says_why_beside_its_field(house: House, owner: Browser) -> None:
    await owner.get(HERE)
    for url, told in (
        ("", "Enter the URL"),
        ("shop.example/hook", "must begin with https"),
        ("http://10.0.0.1/hook", "is refused"),
        ("https://shop.example:22/", "is refused"),
        ("https://user:secret@shop.example/", "must not hold a user name"),
        (f"https://shop.example/{NASTY}", "white space"),
    ):
        said = await owner.post(f"{HERE}/config", webhook_url=url)
        assert said.status_code == 422
        shape = (
            r'<input id="url"[^>]*? value="([^"]*)"[^>]* aria-invalid="true"[^>]*>\s*<p class="about wrong"[^>]*>(.*)<'
        )
        field = re.search(shape, said.text)
        assert field, url
        assert html.unescape(field[1]) == url, "what was typed stays"
        assert told in html.unescape(field[2])
        assert "<script>alert" not in said.text
    assert house.audit() == []


async def test_the_default_endpoint_moves_and_keeps_the_rest(house: House, owner: Browser) -> None:
    house.conn.execute("UPDATE endpoints SET event_types = '{payment.*}', enabled = false, disabled_at = now()")
    await owner.get(HERE)
    await owner.post(f"{HERE}/config", webhook_url=" https://shop.example/hook ")
    assert "It is still off" in owner.text
    row = house.conn.execute("SELECT url, event_types, enabled FROM endpoints").fetchone()
    assert row == {"url": "https://shop.example/hook", "event_types": ["payment.*"], "enabled": False}
    house.conn.execute("DELETE FROM endpoints")
    await owner.get(HERE)
    assert "Enter where your receiver listens" in owner.text
    await owner.post(f"{HERE}/config", webhook_url="https://shop.example/hook")
    assert "Webhooks go there" in owner.text
    assert [action for _, action in house.audit()] == ["endpoint.changed", "endpoint.created"]


async def test_each_filter_narrows_the_log(house: House, owner: Browser, db: Connection) -> None:
    conn, first = house.conn, default_endpoint(house.conn)
    second = await add_endpoint(db, house.config, description="Warehouse")
    old = deliver(conn, first, 2, ago=timedelta(days=3), code=404)
    silent = deliver(conn, second, event="refund.failed", subject="rfnd_1", code=0)
    good = deliver(conn, first, status="success", event="order.paid")
    everything, now = {*old, *silent, *good}, datetime.now(UTC)
    for query, wanted in (
        ("", everything),
        ("status=failed", {*old, *silent}),
        ("status=success&event=order.paid", set(good)),
        (f"endpoint={second}", set(silent)),
        ("payment=rfnd_1", set(silent)),
        ("code=4xx", set(old)),
        ("code=404", set(old)),
        ("code=none", set(silent)),
        ("code=2xx", set(good)),
        ("when=24h", {*silent, *good}),
        (f"from={now - timedelta(days=4):%Y-%m-%dT%H:%M}&to={now - timedelta(days=2):%Y-%m-%dT%H:%M}", set(old)),
        ("status=pending", set()),
    ):
        await owner.get(f"{HERE}?{query}")
        assert set(shown(owner.page.text)) == wanted, query
    assert "No delivery fits all of these filters" in owner.text


async def test_a_filter_that_cannot_be_right_says_so_where_the_log_is(owner: Browser) -> None:
    for query in ("status=gone", "event=x.y", "code=9xx", "when=ever", "from=yesterday", f"payment={NASTY}"):
        said = await owner.get(f"{HERE}?{query}", **{"hx-request": "true", "hx-target": "deliveries"})
        assert said.status_code == 200, query
        assert 'class="note bad"' in said.text
        page = await owner.get(f"{HERE}?{query}")
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


async def test_the_log_goes_on_page_by_page_and_back_and_misses_nothing(house: House, owner: Browser) -> None:
    everything = deliver(house.conn, default_endpoint(house.conn), 45)
    await owner.get(f"{HERE}?status=failed")
    seen, pages = shown(owner.page.text), 1
    assert 'rel="prev"' not in owner.page.text
    while older := re.search(r'href="([^"]+)" rel="next"', owner.page.text):
        await owner.get(html.unescape(older[1]))
        seen += shown(owner.page.text)
        pages += 1
        assert "hx-trigger" not in owner.page.text.partition('id="deliveries"')[2].partition(">")[0], (
            "it stays as it is"
        )
    assert (seen, pages) == (sorted(everything, reverse=True), 3)
    back: list[str] = shown(owner.page.text)
    while newer := re.search(r'href="([^"]+)" rel="prev"', owner.page.text):
        await owner.get(html.unescape(newer[1]))
        back = shown(owner.page.text) + back
    assert back == seen
    assert (await owner.get(f"{HERE}?after=nonsense")).status_code == 400


async def test_htmx_gets_the_part_that_it_asks_for(house: House, owner: Browser) -> None:
    deliver(house.conn, default_endpoint(house.conn))
    for target, begins in (
        ("deliveries", '<div id="deliveries"'),
        ("endpoints", '<div id="endpoints"'),
        ("secret", '<div class="secret-part" id="secret"'),
        ("test-result", '<div id="test-result"'),
    ):
        said = await owner.get(HERE, **{"hx-request": "true", "hx-target": target})
        assert said.text.lstrip().startswith(begins), target
        assert "<html" not in said.text


async def test_trouble_says_what_why_and_offers_the_button_that_mends_it(
    house: House, owner: Browser, db: Connection
) -> None:
    conn = house.conn
    dead = await add_endpoint(db, house.config, description=NASTY, url="https://crm.example/hook")
    conn.execute(
        "UPDATE endpoints SET enabled = false, disabled_at = now() - interval '3 days', disabled_reason = %s"
        " WHERE id = %s",
        [f"every attempt failed for 5 days (last: {NASTY})", dead],
    )
    held = await add_endpoint(db, house.config, description="Alerts")
    conn.execute(
        "INSERT INTO endpoint_health (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,"
        " last_error, open_until, trips) VALUES (%s, %s, %s, 57, now() - interval '2 days', now(), 'HTTP 503',"
        " now() + interval '3 min', 1)",
        [WHOSE["bucket"], WHOSE["merchant_id"], held],
    )
    await owner.get(HERE)
    for text in (
        "Ledgate turned it off 3 d ago", "Every attempt failed for 5 days", "Turn on and send what it missed",
        "Held up", "57 failures in a row for 2 d", "HTTP 503", "It is mended: send now", "turns it off in 3 d",
    ):  # fmt: skip
        assert text in owner.text, text
    assert "<script>alert" not in owner.page.text
    assert "{{7*7}}" in owner.text, "a name is shown as it is"
    await owner.get(f"{HERE}/endpoints/{dead}")
    assert "turned it off" in owner.text

    failed = deliver(conn, dead, 3, ago=timedelta(days=3, hours=-1))
    await owner.post(f"{HERE}/endpoints/{dead}/enable", recover="true", on="webhooks")
    assert owner.page.url.path.startswith(f"{HERE}/recoveries/rcv_")
    assert f"of {len(failed)}" in owner.text
    await owner.post(f"{HERE}/endpoints/{held}/enable", on="webhooks")
    assert owner.page.url.path == HERE
    assert "endpoint-trouble" not in owner.page.text
    assert [action for _, action in house.audit()] == ["endpoint.enabled", "recovery.started", "endpoint.enabled"]


async def test_the_page_hears_of_everything_that_changes_the_log(house: House, owner: Browser, db: Connection) -> None:
    """The mark that its stream asks for: another one after each step of a delivery, also of an old one."""
    endpoint = default_endpoint(house.conn)
    marks = [await news.of_log(db, MERCHANT)]
    (one,) = deliver(house.conn, endpoint)
    marks.append(await news.of_log(db, MERCHANT))
    deliver(house.conn, endpoint, 40)
    marks.append(await news.of_log(db, MERCHANT))
    await deliveries.retry(db, one, **WHOSE)
    marks.append(await news.of_log(db, MERCHANT))
    house.conn.execute("UPDATE outbox SET attempts = 1, response_code = 500")
    marks.append(await news.of_log(db, MERCHANT))
    house.conn.execute("DELETE FROM outbox")
    marks.append(await news.of_log(db, MERCHANT))
    assert all(before != after for before, after in itertools.pairwise(marks))
    assert await news.of_log(db, MERCHANT) == marks[-1]


async def test_what_a_receiver_answers_is_shown_as_text(house: House, owner: Browser) -> None:
    (one,) = deliver(house.conn, default_endpoint(house.conn))
    attempt(house.conn, one, code=400, body=NASTY)
    await owner.get(f"{HERE}?test={one}")
    assert "<script>alert" not in owner.page.text
    assert "<script>alert(1)</script>" in html.unescape(owner.page.text)
    assert "400 Not accepted" in owner.text
