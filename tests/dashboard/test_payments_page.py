"""The list of payments: filters and search by whatever a customer can name, pages both ways, what is new."""

from __future__ import annotations

import asyncio
import html
import re

import pytest

from dashboard import typed
from gateway import demo, merchants
from gateway.errors import BadRequestError
from kit.db import Connection
from tests.dashboard.conftest import Browser, House
from tests.dashboard.paying import BAD_CARD, GOOD_CARD, Till
from tests.support.paying import pay

HX = {"hx-request": "true"}
EVIL = '<img src=x onerror="alert(1)">'


def shown(browser: Browser) -> list[str]:
    """The ids of the rows, from above."""
    return re.findall(r'data-payment-id="(pay_\w+)"', browser.page.text)


def link(browser: Browser, rel: str) -> str | None:
    found = re.search(rf'href="([^"]+)" rel="{rel}"', browser.page.text)
    return html.unescape(found[1]) if found else None


async def test_a_row_says_what_and_why(till: Till, owner: Browser) -> None:
    """Amount, state, what was paid with (masked), order; why it failed; what went back."""
    failed = await till.pay(card=BAD_CARD)
    good = await till.pay()
    await till.refund(good, 12_345)
    pending = await till.pay(settled=False, flow="qr")

    await owner.get("/dashboard/payments")

    assert shown(owner) == [pending, good, failed]
    rows = re.findall(r'<tr data-test-id="payment-row".*?</tr>', owner.page.text, re.DOTALL)
    assert "UPI QR code" in rows[0]
    assert "as••••@okaxis" in rows[1]
    assert "asha@" not in rows[1]
    assert "₹123.45 refunded" in rows[1]
    assert "Visa •••• 9995" in rows[2]
    assert "The account has not enough money" in rows[2]
    assert f'href="/dashboard/payments/{failed}"' in rows[2]


async def test_filters_hold_together_and_stand_in_the_address(till: Till, owner: Browser) -> None:
    small, large = await till.pay(amount=10_000), await till.pay(amount=90_000)
    card = await till.pay(card=GOOD_CARD, amount=50_000)
    failed = await till.pay(card=BAD_CARD)
    pending = await till.pay(settled=False)
    today = (await till.now()).date().isoformat()

    for query, wanted in {
        "status=success": [card, large, small],
        "status=failed": [failed],
        "status=pending": [pending],
        "method=card": [failed, card],
        "method=card&status=success": [card],
        "least=100.01&most=500": [pending, failed, card],
        "least=900&most=1,000.00&currency=INR": [large],
        "currency=USD": [],
        "order=order_90000": [large],
        "instrument=1111&method=card": [card],
        f"since={today}": [pending, failed, card, large, small],
        f"until={today}&status=failed": [failed],
        "until=2020-01-01": [],
    }.items():
        await owner.get(f"/dashboard/payments?{query}")
        assert shown(owner) == wanted, query
        for name, _, value in (part.partition("=") for part in query.split("&")):
            kept = re.search(rf'name="{name}"[^>]*value="([^"]*)"', owner.page.text)
            chosen = re.search(rf'name="{name}".*?<option value="([^"]*)" selected', owner.page.text, re.DOTALL)
            assert value in {one[1] for one in (kept, chosen) if one}, (query, name)


async def test_a_filter_that_cannot_be_right_is_told_beside_it(owner: Browser) -> None:
    for query, said in (
        ("least=ten", "Enter an amount like 1299.50."),
        ("most=1,50", "Enter an amount like 1299.50."),
        ("least=0", "Enter more than nothing."),
        ("least=1.5&currency=JPY", "Enter an amount like 1299."),
        ("since=yesterday", "Enter a date and a time."),
        ("until=9999-12-31", "Enter a date and a time."),
        ("currency=XXX", "That is no currency."),
        ("status=lost", "Choose one of these."),
        ("method=%3Cb%3E", "Choose one of these."),
    ):
        page = await owner.get(f"/dashboard/payments?{query}")
        assert (page.status_code, said in owner.text) == (422, True), query
        assert "<b>" not in page.text


async def test_a_cursor_that_is_none_is_refused(owner: Browser) -> None:
    for query in ("after=x", "before=%00", "after=evt_01jd9m3r6ye8a9fqk0s2t4v6xz", "after=x&before=y"):
        assert (await owner.get(f"/dashboard/payments?{query}")).status_code == 400, query


async def test_pages_go_on_both_ways_and_no_payment_is_twice_or_missing(till: Till, owner: Browser) -> None:
    made = sorted(await pay(till.db, till.config, 60), reverse=True)
    seen: list[list[str]] = []
    await owner.get("/dashboard/payments?status=pending")
    assert link(owner, "prev") is None
    seen.append(shown(owner))
    while (older := link(owner, "next")) is not None:
        assert "status=pending" in older
        await owner.get(older)
        seen.append(shown(owner))
    assert [len(one) for one in seen] == [25, 25, 10]
    assert [one for page in seen for one in page] == made
    late = await till.pay(settled=False)
    for page in [seen[1], seen[0], [late, *made[:24]]]:  # the first page is a whole one again
        newer = link(owner, "prev")
        assert newer
        await owner.get(newer)
        assert shown(owner) == page
    assert link(owner, "prev") is None


async def test_a_search_finds_what_a_customer_can_name(till: Till, owner: Browser) -> None:
    """Payment and refund lead to the page at once; order, UPI address, its beginning, last four list what there is."""
    payment = await till.pay(vpa="Meera.K@oksbi", amount=70_000)
    refund = await till.refund(payment)
    card = await till.pay(card=GOOD_CARD)
    for text in (payment, f" {refund} "):
        await owner.get("/dashboard/payments?q=" + text.replace(" ", "%20"))
        assert owner.page.url.path == f"/dashboard/payments/{payment}"
    for text, by, wanted in (
        ("order_70000", "order", payment),
        ("meera.k@OKSBI", "vpa", payment),
        ("meera.k@", "handle", payment),
        ("MEERA", "handle", payment),
        ("1111", "last4", card),
    ):
        await owner.get(f"/dashboard/payments?q={text}")
        assert re.findall(r'data-by="(\w+)"', owner.page.text) == [by], text
        assert shown(owner) == [wanted], text


async def test_a_search_without_a_find_says_what_can_be_searched_for(owner: Browser) -> None:
    for text in (
        "nobody@nowhere",
        "pay_01jd9m3r6ye8a9fqk0s2t4v6xz",
        "rfnd_01jd9m3r6ye8a9fqk0s2t4v6xz",
        "%00",
        EVIL,
        "9" * 500,
    ):
        page = await owner.client.get("/dashboard/payments", params={"q": text})
        assert page.status_code == 200
        if text.strip("\0%0"):
            assert "No payment answers to that" in page.text, text
        assert EVIL not in page.text


async def test_nothing_yet_and_nothing_found_are_told_apart(owner: Browser) -> None:
    await owner.get("/dashboard/payments")
    assert "No payment yet" in owner.text
    await owner.get("/dashboard/payments?method=card")
    assert "No payment answers to the filters" in owner.text


async def test_another_merchant_s_payments_are_in_no_list_and_no_search(
    till: Till, house: House, owner: Browser, db: Connection
) -> None:
    payment = await till.pay(vpa="meera@oksbi")
    other = await merchants.add_merchant(db, "Another Shop")
    house.conn.execute("UPDATE sessions SET merchant_id = %s", [other])
    house.conn.execute("INSERT INTO memberships SELECT %s, user_id, role, created_at FROM memberships", [other])
    for query in ("", f"?q={payment}", "?q=meera@oksbi", "?q=meera", "?q=order_test_123", "?order=order_test_123",
                  f"/news?waiting={payment}"):  # fmt: skip
        page = await owner.get(f"/dashboard/payments{query}")
        assert page.status_code == 200, query
        assert f'data-payment-id="{payment}"' not in page.text, query
        assert f"state-{payment}" not in page.text, query
    assert demo.MERCHANT_ID not in page.text


async def test_htmx_gets_the_list_alone(till: Till, owner: Browser) -> None:
    await till.pay(settled=False)
    part = await owner.get("/dashboard/payments?status=pending", **HX, **{"hx-target": "payments"})
    assert part.text.lstrip().startswith('<section class="panel" id="payments"')
    assert "<form" not in part.text


async def test_what_is_new_is_counted_and_what_was_pending_is_told(till: Till, owner: Browser) -> None:
    old = await till.pay(settled=False)
    await owner.get("/dashboard/payments")
    asked = re.search(r'hx-get="(/dashboard/payments/news\?[^"]+)"', owner.page.text)
    assert asked
    news = html.unescape(asked[1])
    said = await owner.get(news, **HX)
    assert "new payment" not in said.text
    assert "state-" not in said.text
    await till.settle()
    await till.pay(card=BAD_CARD)
    await till.pay()
    said = await owner.get(news, **HX)
    assert "2 new payments" in owner.text
    assert f'id="state-{old}" hx-swap-oob="true"' in said.text
    assert "success" in owner.text
    said = await owner.get(news.replace("news?", "news?status=failed&"), **HX)
    assert "1 new payment" in owner.text


async def test_the_list_is_told_of_every_change(till: Till, house: House, owner: Browser) -> None:
    """The stream's mark changes with a payment that comes and one that ends; nothing else wakes the page. What came
    before the stream was open, and after the page was read, is told, too."""
    house.app.state.live._interval = 0.02
    await owner.get("/dashboard/payments")
    (address,) = re.findall(r'data-live="([^"]+)"', owner.page.text)
    await till.pay(settled=False)
    events = _stream(owner, address)
    async with asyncio.timeout(20):
        await anext(events)
        assert await anext(events) == "new"
        await till.settle()
        assert await anext(events) == "new"
    await events.aclose()


async def _stream(owner: Browser, path: str):
    app = owner.client._transport.app  # the transport waits for whole bodies: a stream is read from the application
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    gone = asyncio.Event()

    async def receive():
        if not queue_started.is_set():
            queue_started.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body":
            await queue.put(message.get("body", b""))

    queue_started = asyncio.Event()
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
        "headers": [(b"host", b"dash.test"), (b"cookie", f"ledgate_session={owner.token}".encode())],
        "client": ("127.0.0.1", 1), "server": ("dash.test", 80), "state": {}, "app": app,
    }  # fmt: skip
    running = asyncio.create_task(app(scope, receive, send))
    try:
        while True:
            body = await queue.get()
            if b"retry" in body:
                yield "open"
            if b"event: new" in body:
                yield "new"
    finally:
        gone.set()
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("1", "INR", 100), ("1,29,900.5", "INR", 12_990_050), ("1,299", "USD", 129_900), (" 7.10 ", "EUR", 710),
     ("0.01", "INR", 1), ("500", "JPY", 500), ("500.0", "JPY", 500), ("1.234", "KWD", 1234), ("12.500", "INR", 1250)],
)  # fmt: skip
def test_an_amount_is_read_as_it_is_meant_and_shown_so_that_it_can_be_read(
    text: str, currency: str, minor: int
) -> None:
    assert typed.read_amount(text, currency, "amount") == minor
    assert typed.read_amount(typed.amount(minor, currency), currency, "amount") == minor


@pytest.mark.parametrize("text", ["", "1,5", "1.234", "-1", "1e3", "٣", "₹5", "0", "0.001", "9" * 30, "1 000", "١٢"])
def test_what_could_mean_two_things_is_no_amount(text: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        typed.read_amount(text, "INR", "amount")
    assert refused.value.field == "amount"
