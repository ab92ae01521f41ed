"""One rule for all pages: times are shown where the reader is, with UTC in the title, and read where they are typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard import log_filters, stories, typed, words, zones
from kit import ids
from tests.dashboard.conftest import Browser
from tests.dashboard.paying import Till

AT = datetime(2026, 11, 22, 20, 5, 9, 81_200, UTC)


@pytest.fixture
def kolkata() -> Iterator[None]:
    """A reader without a request, who leaves no zone to other tests."""
    token = zones._reader.set(ZoneInfo("Asia/Kolkata"))
    yield
    zones._reader.reset(token)


@pytest.mark.usefixtures("kolkata")
def test_a_moment_is_shown_as_the_reader_s_clock_has_it() -> None:
    assert zones.full(AT) == "23 Nov 2026, 01:35:09 IST"
    assert words.both(AT) == "23 Nov 2026, 01:35:09 IST (22 Nov 2026, 20:05:09 UTC)"
    assert (words.day(AT), words.clock(AT)) == ("23 Nov 2026", "01:35:09.081")
    zones._reader.set(ZoneInfo("America/Sao_Paulo"))
    assert words.both(AT) == "22 Nov 2026, 17:05:09 UTC-03 (22 Nov 2026, 20:05:09 UTC)"
    zones._reader.set(ZoneInfo("UTC"))
    assert words.both(AT) == "22 Nov 2026, 20:05:09 UTC"


@pytest.mark.usefixtures("kolkata")
def test_a_moment_is_read_where_it_is_typed() -> None:
    """What a form shows comes back as it was; an address says its zone, whoever follows it."""
    assert typed.moment(AT) == "2026-11-23T01:35:09.082"
    assert typed.address(AT) == "2026-11-22T20:05:09.082Z"
    assert typed.read_moment(typed.moment(AT), "x") == typed.read_moment(typed.address(AT), "x")
    assert typed.read_moment("2026-11-23", "x") == datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
    assert log_filters.given({"from": typed.address(AT), "to": "neverZ"}) == {
        "from": "2026-11-23T01:35:09.082", "to": "neverZ",
    }  # fmt: skip
    zones._reader.set(ZoneInfo("Europe/Berlin"))
    began = typed.read_moment("2026-03-29", "x")
    assert typed.read_moment("2026-03-29", "x", days=1) - began == timedelta(hours=23), "the clocks went forward"


@pytest.mark.usefixtures("kolkata")
def test_a_payment_s_days_are_the_reader_s() -> None:
    assert stories._day(AT) != stories._day(AT - timedelta(hours=2))


async def test_pages_and_filters_keep_to_it(till: Till, owner: Browser) -> None:
    """In the earliest zone of the world and in the latest, which never have the same date."""
    payment = await till.pay()
    for name in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        owner.client.cookies.set(zones.COOKIE, name, domain="dash.test")
        today = datetime.fromtimestamp(ids.made_at(payment), ZoneInfo(name))
        page = await owner.get(f"/dashboard/payments/{payment}")
        assert f"{today:%-d %b %Y}" in owner.text
        short = zones.name(today)
        assert re.search(rf'title="[^"]* {re.escape(short)} \([^"]* UTC\)"', page.text)
        assert f"As of ({short})" in owner.text
        for day, found in ((today, True), (today - timedelta(days=1), False), (today + timedelta(days=1), False)):
            where = f"since={day:%Y-%m-%d}&until={day:%Y-%m-%d}"
            shown = await owner.get(f"/dashboard/payments?{where}")
            assert (payment in shown.text) is found, (name, where)
        step = re.search(r'\?as_of=(2[^"&]*Z)"', page.text)
        assert step
        assert "As it was on" in (await owner.get(f"/dashboard/payments/{payment}?as_of={step[1]}")).text


async def test_a_page_that_did_not_know_may_come_again_unless_something_were_lost(owner: Browser) -> None:
    """The script of the head fetches it once more with the zone's cookie. What answers a form, or says something once,
    stays as it is, in UTC, and says so."""
    again = '<html lang="en" data-again>'
    assert again in (await owner.get("/dashboard/account")).text
    head = owner.page.text.partition("</head>")[0]
    assert re.search(r'<script src="[^"]+/first\.js"></script>', head), "neither defer nor module"
    assert head.index("first.js") < head.index("stylesheet"), "and waits for none"
    await owner.post("/dashboard/account/name", name="Asha")
    assert (owner.page.request.method, again in owner.page.text) == ("GET", False), "a toast"
    assert again in (await owner.get("/dashboard/account")).text
    await owner.post("/dashboard/account/name", name="")
    assert (owner.page.status_code, again in owner.page.text) == (422, False)
