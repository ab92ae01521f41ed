"""The overview: exact figures with their change, charts that are tables, what is in trouble, first steps."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard import charts, glance, zones
from dashboard.reading import news
from gateway import demo
from kit.db import Connection
from tests.dashboard.conftest import Browser, House
from tests.dashboard.hooks import NASTY, WHOSE, add_endpoint, default_endpoint, deliver
from tests.dashboard.paying import Till
from tests.dashboard_data.past import NOW, Past
from tests.support.paying import MERCHANT

HERE = "/dashboard"
OF_HTMX: Any = {"hx-request": "true", "hx-target": "figures"}


@pytest.fixture
def past() -> Past:
    return Past(MERCHANT)


def figures(browser: Browser) -> dict[str, str]:
    """What stands in each figure."""
    found = re.findall(r'data-figure="([\w-]+)">(.*?)</div>', browser.page.text, re.DOTALL)
    return {name: _plain(text) for name, text in found}


def table(browser: Browser, name: str) -> list[list[str]]:
    """A chart's rows, the newest first: the time, and the cells."""
    chart = re.search(rf'id="chart-{name}".*?<tbody>(.*?)</tbody>', browser.page.text, re.DOTALL)
    assert chart, name
    rows = re.findall(r"<tr.*?</tr>", chart[1], re.DOTALL)
    return [[_plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))).replace("\N{NO-BREAK SPACE}", " ").strip()


async def test_figures_are_exact_and_say_how_much_they_changed(house: House, owner: Browser, past: Past) -> None:
    """What came in within 24 hours, of those that ended, what went back; each against the day before."""
    past.pay(NOW - timedelta(hours=2), 1_250_000, refunds=((NOW - timedelta(hours=1), 30_000, True),))
    past.pay(NOW - timedelta(hours=3), 20_050, method="card")
    past.pay(NOW - timedelta(hours=4), 30_000, good=False, refunds=())
    past.pay(NOW - timedelta(hours=5), 10_000, refunds=((NOW - timedelta(hours=1), 10_000, False),))
    past.pay(NOW - timedelta(hours=30), 1_000_000)
    past.pay(NOW - timedelta(hours=29), 400, good=False)
    past.lay(house.config.database_url)

    await owner.get(HERE)

    assert figures(owner)["volume"] == "Volume ₹12,801 up by 28 % from ₹10,000 in the 24 hours before; 3 payments"
    assert figures(owner)["payments"] == "Succeeded 3 up by 200 % from 1 in the 24 hours before; 4 begun"
    assert figures(owner)["success"] == "Success rate 75 % up by 25 points from 50 % in the 24 hours before; 1 failed"
    assert figures(owner)["refunds"] == "Refunded ₹300.00 1 refund, 1 failed"
    volume = table(owner, "volume")
    assert len(volume) == 24
    assert [row[1:] for row in volume if row[2] != "0"] == [
        ["₹12,500.00", "1"], ["₹200.50", "1"], ["₹100.00", "1"],
    ]  # fmt: skip
    assert [row[1:] for row in table(owner, "payments") if row[2] != "0"] == [["0", "1"]]
    rates = {text for row in table(owner, "success") for text in row[1:]} - {charts.NONE}
    assert rates == {"100 % (1 of 1)", "0 % (0 of 1)"}

    for period, rows in (("7d", 28), ("30d", 30)):
        await owner.get(f"{HERE}?period={period}")
        assert len(table(owner, "volume")) == rows
        assert figures(owner)["volume"].startswith("Volume ₹22,801"), "the day before is in it"


async def test_nothing_is_measured_by_a_period_in_which_next_to_nothing_happened(
    house: House, owner: Browser, past: Past
) -> None:
    for minutes in range(41):
        past.pay(NOW - timedelta(hours=2, minutes=minutes), 10_000)
    past.pay(NOW - timedelta(hours=30), 10_000)
    past.lay(house.config.database_url)
    await owner.get(HERE)
    assert figures(owner)["volume"] == "Volume ₹4,100 41 payments"
    assert figures(owner)["success"] == "Success rate 100 % 0 failed"


async def test_currencies_are_chosen_and_never_added_up(house: House, owner: Browser, past: Past) -> None:
    past.pay(NOW - timedelta(hours=2), 500_000)
    past.pay(NOW - timedelta(hours=2), 1_999, currency="USD", method="card")
    past.pay(NOW - timedelta(hours=2), 500, currency="USD", method="card", good=False)
    past.lay(house.config.database_url)

    await owner.get(HERE)
    assert figures(owner)["volume"] == "Volume ₹5,000 1 payment"
    assert figures(owner)["success"].startswith("Success rate 100 %")
    assert "$" not in owner.text
    links = dict(re.findall(r'id="(currency-\w+|period-\w+)" href="([^"]+)"', owner.page.text))
    assert html.unescape(links["currency-USD"]) == f"{HERE}?currency=USD"

    await owner.get(f"{HERE}?currency=USD")
    assert figures(owner)["volume"] == "Volume $19.99 1 payment"
    assert figures(owner)["success"].startswith("Success rate 50 %")
    assert "₹" not in owner.text
    links = dict(re.findall(r'id="(period-\w+)" href="([^"]+)"', owner.page.text))
    assert html.unescape(links["period-7d"]) == f"{HERE}?period=7d&currency=USD"


async def test_trouble_has_its_reason_and_the_button_that_mends_it(
    house: House, owner: Browser, viewer: Browser, db: Connection
) -> None:
    held = await add_endpoint(db, house.config, description=NASTY)
    house.conn.execute(
        "INSERT INTO endpoint_health (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,"
        " last_error, open_until, trips) VALUES (%s, %s, %s, 57, now() - interval '2 days', now(), %s,"
        " now() + interval '3 min', 1)",
        [WHOSE["bucket"], WHOSE["merchant_id"], held, f"HTTP 503 {NASTY}"],
    )
    for browser in (owner, viewer):
        await browser.get(HERE)
        assert "57 failures in a row for 2 d" in browser.text
        assert "HTTP 503" in browser.text
        assert "<script>alert" not in browser.page.text
        assert "<img src=x" not in browser.page.text
    assert "all-well" not in owner.page.text
    house.conn.execute("UPDATE endpoint_health SET open_until = NULL, trips = 0")
    for browser in (owner, viewer):
        attempt = f'action="{HERE}/webhooks/endpoints/{held}/test"'
        assert (attempt in (await browser.get(HERE)).text) is (browser is owner), "one click tries it"
    house.conn.execute("UPDATE endpoint_health SET open_until = now() + interval '3 min', trips = 1")
    await owner.get(HERE)
    mend = f"{HERE}/webhooks/endpoints/{held}/enable"
    assert (mend in owner.page.text, mend in viewer.page.text) == (True, False)

    await owner.post(mend, on="overview")

    assert owner.page.url.path == HERE
    assert "It is on, and what waited is sent now." in owner.text
    assert "endpoint-trouble" not in owner.page.text
    assert house.audit()[-1][1] == "endpoint.enabled"


async def test_the_queue_says_how_much_waits_and_since_when(house: House, owner: Browser, past: Past) -> None:
    endpoint = default_endpoint(house.conn)
    past.pay(datetime.now(UTC) - timedelta(hours=3, minutes=1), 100)
    event = past.event("payment.success")
    past.send(event, endpoint, 500, open_until=datetime.now(UTC) + timedelta(hours=1))
    past.send(past.event("payment.created"), endpoint, 200)
    past.send(past.event("payment.pending"), endpoint, 500, 500)
    past.lay(house.config.database_url)
    await owner.get(HERE)
    assert figures(owner)["waiting"] == "Waiting 1 1 tried before"
    assert figures(owner)["oldest"].startswith("Oldest waiting 3 h ago")
    assert figures(owner)["arrived"] == "Arrived 50 % 1 of 2 deliveries"
    assert figures(owner)["given-up"] == "Given up 1 every attempt failed"
    assert f'href="{HERE}/webhooks?status=failed#log"' in owner.page.text
    assert re.search(r"Webhooks to deliver\s+1\s+0\s+0\s+3 h ago", owner.text)


async def test_who_begins_is_shown_the_first_steps_and_who_has_begun_is_not(
    house: House, owner: Browser, db: Connection
) -> None:
    """A payment, a look at the shop, a webhook URL; each is ticked when it is done."""
    house.conn.execute("DELETE FROM endpoints")
    await owner.get(HERE)
    assert "Welcome to Ledgate" in owner.text
    assert 'href="/dashboard/docs#create-order"' in owner.page.text
    assert 'href="http://dash.test:3002"' in owner.page.text
    assert "Set a webhook URL" in owner.text
    assert "data-chart" not in owner.page.text

    await Till(db, house.config).pay(amount=4_200)
    await owner.get(HERE)
    assert "One step is left" in owner.text
    assert figures(owner)["volume"] == "Volume ₹42.00 1 payment"

    await add_endpoint(db, house.config)
    await owner.get(HERE)
    assert "first-steps" not in owner.page.text
    assert "Your endpoint is well" in owner.text


async def test_where_the_period_is_empty_it_says_when_the_last_payment_was(
    house: House, owner: Browser, past: Past
) -> None:
    past.pay(datetime.now(UTC) - timedelta(days=3, minutes=1), 100)
    past.lay(house.config.database_url)
    await owner.get(HERE)
    assert "None in this time; the latest was 3 d ago" in owner.text
    assert 'href="/dashboard?period=30d"' in owner.page.text
    assert "first-steps" not in owner.page.text


async def test_days_begin_where_the_reader_lives(house: House, owner: Browser, past: Past) -> None:
    """As the browser has told by a cookie, also by an old name; UTC for whoever has no script, or writes nonsense."""
    past.pay(NOW - timedelta(hours=1), 100)
    past.lay(house.config.database_url)
    for told, zone, begins in (
        ("Asia/Calcutta", "Asia/Kolkata", "18:30:00+00:00"),
        ("America/New_York", "America/New York", ":00:00+00:00"),
        ("", "UTC", "T00:00:00+00:00"),
        ("../../etc/passwd", "UTC", "T00:00:00+00:00"),
        ("America", "UTC", "T00:00:00+00:00"),
    ):
        owner.client.cookies.set(zones.COOKIE, told, domain="dash.test")
        await owner.get(f"{HERE}?period=30d")
        assert f"Times in {zone}." in owner.text, told
        times = re.search(r'id="chart-volume".*?<tbody>(.*?)</tbody>', owner.page.text, re.DOTALL)
        assert times
        assert all(one.endswith(begins) for one in re.findall(r'datetime="([^"]+)"', times[1])), told


@pytest.mark.parametrize(
    "query", ["period=1y", "period=", "currency=XXX", "currency=%3Cb%3E", "period=24h&currency=inr"]
)
async def test_an_address_that_cannot_be_right_is_refused(owner: Browser, query: str) -> None:
    page = await owner.get(f"{HERE}?{query}")
    assert page.status_code == 400
    assert "<b>" not in page.text


async def test_htmx_gets_the_figures_alone(owner: Browser, db: Connection, house: House) -> None:
    await Till(db, house.config).pay()
    said = await owner.get(f"{HERE}?period=7d", **OF_HTMX)
    assert said.text.lstrip().startswith('<div id="figures"')
    assert 'hx-get="/dashboard?period=7d"' in said.text
    assert "<html" not in said.text


async def test_the_page_hears_of_payments_and_of_deliveries(house: House, db: Connection) -> None:
    marks = [(await news.of_payments(db, MERCHANT), await news.of_log(db, MERCHANT))]
    await Till(db, house.config).pay()
    marks.append((await news.of_payments(db, MERCHANT), await news.of_log(db, MERCHANT)))
    deliver(house.conn, default_endpoint(house.conn))
    marks.append((await news.of_payments(db, MERCHANT), await news.of_log(db, MERCHANT)))
    assert len(set(marks)) == 3


async def test_an_operator_without_a_merchant_sees_no_figures(house: House) -> None:
    operator = await house.signed_in(demo.USERS[2].email)
    assert (await operator.get(HERE)).status_code != 200 or "data-figure" not in operator.page.text


def test_what_is_rounded_never_lies() -> None:
    assert charts.percent(0.99999).startswith("99.9")
    assert charts.percent(1.0).startswith("100")
    assert charts.percent(None) == charts.NONE
    assert glance.rounded(99_999, "INR") == "₹999.99"
    assert glance.rounded(12_345_678_950, "INR") == "₹12,34,56,790"
    assert glance.rounded(123_456, "JPY") == "¥123,456"
    assert glance.rounded(1_234_500, "KWD") == "KWD\N{NO-BREAK SPACE}1,235"


def test_units_are_those_of_the_currency() -> None:
    assert charts.money("INR") == charts.Unit("money", 100, "₹", lakhs=True)
    assert charts.money("JPY") == charts.Unit("money", 1, "¥", lakhs=False)
    assert charts.money("KWD") == charts.Unit("money", 1000, "KWD\N{NO-BREAK SPACE}", lakhs=False)
