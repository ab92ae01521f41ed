"""One payment: its money, its timeline, as of any moment; refund and capture from there."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import datetime, timedelta

import pytest

from dashboard import typed
from dashboard.reading import news
from gateway import merchants
from gateway.config import Config
from gateway.errors import NotFoundError
from gateway.merchants import Merchant
from kit.db import Connection
from tests.dashboard.conftest import Browser, House
from tests.dashboard.paying import BAD_CARD, GOOD_CARD, Till
from tests.support.paying import MERCHANT

EVIL = "</script><img src=x onerror=alert(1)>\"'"
NOBODY = "pay_01jd9m3r6ye8a9fqk0s2t4v6xz"


@pytest.fixture
def till(db: Connection, config: Config) -> Till:
    return Till(db, config)


def steps(browser: Browser) -> list[str]:
    """Source and title of each step, from above."""
    found = re.findall(
        r'<span class="source">(.*?)</span>.*?<span class="title">(.*?)</span>', browser.page.text, re.DOTALL
    )
    return [html.unescape(f"{source}: {title}") for source, title in found]


def money(browser: Browser) -> list[str]:
    """Amount, captured, refunded, left."""
    return re.findall(r"<dd>([^<]*)</dd>", browser.page.text.partition('data-test-id="money"')[2].partition("</dl>")[0])


def states(browser: Browser) -> list[str]:
    """Of the refunds, the newest first."""
    return re.findall(r'data-test-id="refund-status">(\w+)<', browser.page.text)


def hidden(browser: Browser) -> dict[str, str]:
    """The hidden fields of the form that asks whether it is meant."""
    form = browser.page.text.partition('id="act"')[2].partition("</form>")[0]
    return {
        name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    }


async def act(browser: Browser, payment: str, what: str, **form: str) -> None:
    """Fill in, be asked, be sure."""
    await browser.get(f"/dashboard/payments/{payment}/{what}")
    await browser.post(f"/dashboard/payments/{payment}/{what}", **form)
    await browser.post(f"/dashboard/payments/{payment}/{what}", **{**hidden(browser), "step": "do"})


async def test_the_timeline_tells_all_in_one_column(till: Till, owner: Browser) -> None:
    payment = await till.pay()
    await till.capture(payment)
    await till.refund(payment, 10_000, "Returned goods")

    await owner.get(f"/dashboard/payments/{payment}")

    told = [step for step in steps(owner) if not step.startswith("Webhook")]
    assert told == [
        "API call: Payment created", "Ledger: Payment pending", "Event: payment.created", "Event: payment.pending",
        "Processor: Processor approved the payment", "Ledger: Payment succeeded", "Event: payment.success",
        "API call: Capture asked for", "Ledger: Captured ₹500.00", "Event: payment.captured",
        "API call: Refund asked for", "Ledger: Refund of ₹100.00 asked for", "Event: refund.created",
        "Next: The processor is asked to refund",
    ]  # fmt: skip
    assert sum(step.startswith("Webhook") for step in steps(owner)) == 5, "one for each event"
    assert money(owner) == ["₹500.00", "₹500.00", "₹100.00", "₹400.00"]
    assert "Returned goods" in owner.text
    assert states(owner) == ["pending"]


async def test_attempts_lead_to_their_delivery_and_failures_stand_above(
    till: Till, house: House, owner: Browser
) -> None:
    payment = await till.pay()
    row = house.conn.execute("SELECT * FROM outbox WHERE event_type = 'payment.success'").fetchone()
    assert row
    scope = (row["bucket"], row["merchant_id"])
    for number, code in ((1, 503), (2, None)):
        house.conn.execute(
            "INSERT INTO delivery_attempts (bucket, merchant_id, delivery_id, claim, attempt, started_at, duration_ms,"
            " response_code, error, request_headers) VALUES (%s, %s, %s, %s, %s, now(), 81, %s, %s, '{}')",
            [*scope, row["id"], number, number, code, None if code else EVIL],
        )
    house.conn.execute("DELETE FROM outbox WHERE id = %s", [row["id"]])
    house.conn.execute(
        "INSERT INTO deliveries (bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status,"
        " claims, attempts, response_code, created_at, last_attempt_at, finished_at) VALUES"
        " (%s, %s, %s, %s, %s, %s, %s, 'failed', 2, 2, NULL, %s, now(), now())",
        [*scope, row["id"], row["event_id"], row["event_type"], payment, row["endpoint_id"], row["created_at"]],
    )  # fmt: skip

    await owner.get(f"/dashboard/payments/{payment}")

    assert "localhost:4000 answered 503 in 81 ms" in owner.text
    assert f"localhost:4000 no answer in 81 ms · {EVIL}" in owner.text
    assert EVIL not in owner.page.text
    assert owner.page.text.count(f'href="/dashboard/webhooks/{row["id"]}"') == 4, (
        "two attempts, the end, the note above"
    )
    assert "Webhook: payment.success was given up" in steps(owner)
    assert "1 webhook was given up" in owner.text
    again = owner.page.text.partition('data-test-id="failed-deliveries"')[2].partition("</form>")[0]
    assert f'name="id" value="{row["id"]}"' in again
    await owner.post("/dashboard/webhooks/retry", id=row["id"], next=f"/dashboard/payments/{payment}")
    assert owner.page.url.path == f"/dashboard/payments/{payment}"
    assert "given up" not in owner.text


async def test_why_a_payment_failed_stands_above(till: Till, owner: Browser) -> None:
    payment = await till.pay(card=BAD_CARD)
    await owner.get(f"/dashboard/payments/{payment}")
    assert "The payment failed: insufficient_funds The account has not enough money" in owner.text
    assert "Visa •••• 9995" in owner.text
    assert "4000 0000" not in owner.page.text
    assert f"/dashboard/payments/{payment}/refund" not in owner.page.text
    assert money(owner) == ["₹500.00", "₹0.00", "₹0.00", "₹0.00"]


async def test_as_of_a_moment_the_payment_is_what_it_was(till: Till, owner: Browser) -> None:
    """Before its end pending; then captured, not yet refunded; a refund that ended later is pending. No buttons."""
    payment = await till.pay(settled=False)
    moments = [await till.now()]
    await till.settle()
    moments.append(await till.now())
    await till.capture(payment, 40_000)
    moments.append(await till.now())
    await till.refund(payment, 10_000)
    moments.append(await till.now())
    await till.settle()

    seen = []
    for moment in moments:
        await owner.get(f"/dashboard/payments/{payment}?as_of={moment.isoformat().replace('+', '%2B')}")
        status = re.search(r'data-test-id="payment-status">(\w+)<', owner.page.text)
        assert status
        seen.append((status[1], money(owner), states(owner), len(steps(owner)) > 0))
        assert "As it was on" in owner.text
        assert f"/dashboard/payments/{payment}/refund" not in owner.page.text
        assert "data-live" not in owner.page.text
    assert seen == [
        ("pending", ["₹500.00", "₹0.00", "₹0.00", "₹0.00"], [], True),
        ("success", ["₹500.00", "₹0.00", "₹0.00", "₹500.00"], [], True),
        ("success", ["₹500.00", "₹400.00", "₹0.00", "₹400.00"], [], True),
        ("success", ["₹500.00", "₹400.00", "₹100.00", "₹300.00"], ["pending"], True),
    ]
    await owner.get(f"/dashboard/payments/{payment}")
    assert states(owner) == ["processed"]


async def test_one_walks_through_the_moments_by_links(till: Till, owner: Browser) -> None:
    """Back, step by step, to the first one; and on again to the last."""
    payment = await till.pay()
    await till.capture(payment)
    await owner.get(f"/dashboard/payments/{payment}")
    lengths = [len(steps(owner))]
    walked = []
    while found := re.search(r'href="([^"]+)"[^>]*data-test-id="step-back"', owner.page.text):
        await owner.get(html.unescape(found[1]))
        walked.append(owner.page.url.query)
        lengths.append(len(steps(owner)))
    assert lengths == sorted(set(lengths), reverse=True)
    assert lengths[-1] >= 4, "the call, the state, two events"
    back = []
    while found := re.search(r'href="([^"]+)"[^>]*data-test-id="step-on"', owner.page.text):
        await owner.get(html.unescape(found[1]))
        back.append(owner.page.url.query)
    assert back[: len(walked) - 1] == walked[-2::-1]


@pytest.mark.parametrize(
    ("moment", "said"),
    [("soon", "Enter a date and a time"), ("%00", "Enter a date"), ("2026-02-30T10:00", "Enter a date"),
     ("2001-01-01T00:00", "The payment was not there yet: it was made on"), ("%3Cscript%3E", "Enter a date"),
     ("9999-12-31T23:59:59-23:59", "Enter a date")],
)  # fmt: skip
async def test_a_moment_that_cannot_be_is_told_and_the_payment_shown(
    till: Till, owner: Browser, moment: str, said: str
) -> None:
    payment = await till.pay(settled=False)
    page = await owner.get(f"/dashboard/payments/{payment}?as_of={moment}")
    assert said in owner.text if moment != "%00" else page.status_code == 200
    assert page.status_code == (200 if moment == "%00" else 422)
    assert payment in page.text
    assert "<script>" not in page.text


async def test_a_refund_is_asked_about_made_once_and_noted(till: Till, house: House, owner: Browser) -> None:
    """All that is left is filled in; a part and a reason; the question; the deed, once, however often it is sent."""
    payment = await till.pay()
    await owner.get(f"/dashboard/payments/{payment}/refund")
    assert 'name="amount" type="text" value="500.00"' in owner.page.text
    await owner.post(f"/dashboard/payments/{payment}/refund", amount="123.45", reason="Returned goods")
    assert "Refund ₹123.45?" in owner.text
    assert "₹376.55 are left then" in owner.text
    assert refunds(house) == []
    sure = hidden(owner) | {"step": "do"}
    twins = [await owner.post(f"/dashboard/payments/{payment}/refund", follow=False, **sure) for _ in range(2)]
    assert [one.status_code for one in twins] == [303, 303]
    assert refunds(house) == [(12_345, "Returned goods")]
    assert [action for _, action in house.audit()] == ["refund.created"]
    await owner.get(f"/dashboard/payments/{payment}")
    assert "A refund of ₹123.45 is on its way" in owner.text
    assert "Dashboard: Refund asked for" in steps(owner)
    assert states(owner) == ["pending"]
    await till.settle()
    await owner.get(f"/dashboard/payments/{payment}")
    assert states(owner) == ["processed"]


async def test_twenty_tabs_that_are_sure_at_once_refund_once(till: Till, house: House, owner: Browser) -> None:
    payment = await till.pay()
    await owner.get(f"/dashboard/payments/{payment}/refund")
    await owner.post(f"/dashboard/payments/{payment}/refund", amount="500")
    sure = {**hidden(owner), "step": "do"}
    said = await asyncio.gather(
        *(owner.client.post(f"/dashboard/payments/{payment}/refund", data=sure) for _ in range(20))
    )
    assert {one.status_code for one in said} == {303}
    assert refunds(house) == [(50_000, None)]
    assert len(house.audit()) == 1


async def test_who_comes_second_is_told_what_is_left(till: Till, house: House, owner: Browser) -> None:
    """Two decided at the same time; the second one's form says what is left by now, and keeps what was typed."""
    payment = await till.pay()
    other = await house.signed_in()
    for one in (owner, other):
        await one.get(f"/dashboard/payments/{payment}/refund")
        await one.post(f"/dashboard/payments/{payment}/refund", amount="300", reason="mine")
    await owner.post(f"/dashboard/payments/{payment}/refund", **{**hidden(owner), "step": "do"})
    said = await other.post(f"/dashboard/payments/{payment}/refund", **{**hidden(other), "step": "do"})
    assert said.status_code == 422
    assert "Only ₹200.00 are left to refund." in other.text
    assert 'value="300"' in other.page.text
    assert 'value="mine"' in other.page.text
    assert refunds(house) == [(30_000, "mine")]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"amount": "500.01"}, "Only ₹500.00 are left to refund."),
        ({"amount": "0"}, "Enter more than nothing."),
        ({"amount": "-5"}, "Enter an amount like 1299.50."),
        ({"amount": "1.001"}, "Enter an amount like 1299.50."),
        ({"amount": ""}, "Enter an amount like 1299.50."),
        ({"amount": "5", "reason": "x" * 256}, "At most 255 characters."),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    till: Till, house: House, owner: Browser, form: dict[str, str], said: str
) -> None:
    payment = await till.pay()
    await owner.get(f"/dashboard/payments/{payment}/refund")
    page = await owner.post(f"/dashboard/payments/{payment}/refund", **form)
    assert (page.status_code, said in owner.text) == (422, True)
    assert page.text.count('aria-invalid="true"') == 1
    assert refunds(house) == []


async def test_a_capture_is_asked_about_made_once_and_noted(till: Till, house: House, owner: Browser) -> None:
    payment = await till.pay(card=GOOD_CARD)
    await act(owner, payment, "capture", amount="450")
    assert "Captured ₹450.00." in owner.text
    assert money(owner) == ["₹500.00", "₹450.00", "₹0.00", "₹450.00"]
    assert f"/dashboard/payments/{payment}/capture" not in owner.page.text
    again = await owner.get(f"/dashboard/payments/{payment}/capture")
    assert "It is captured already." in again.text
    said = await owner.post(f"/dashboard/payments/{payment}/capture", amount="1")
    assert said.status_code == 422
    assert [action for _, action in house.audit()] == ["payment.captured"]


async def test_a_capture_below_what_was_refunded_is_refused_in_the_form_s_words(till: Till, owner: Browser) -> None:
    payment = await till.pay()
    await till.refund(payment, 20_000)
    await owner.get(f"/dashboard/payments/{payment}/capture")
    page = await owner.post(f"/dashboard/payments/{payment}/capture", amount="199.99")
    assert (page.status_code, "₹200.00 were refunded already; capture at least as much." in owner.text) == (422, True)


async def test_one_may_change_one_s_mind(till: Till, house: House, owner: Browser) -> None:
    payment = await till.pay()
    await owner.get(f"/dashboard/payments/{payment}/refund")
    await owner.post(f"/dashboard/payments/{payment}/refund", amount="12", reason=EVIL)
    assert EVIL in owner.text
    assert EVIL not in owner.page.text
    await owner.post(f"/dashboard/payments/{payment}/refund", **{**hidden(owner), "step": "change"})
    assert 'name="amount" type="text" value="12"' in owner.page.text
    assert EVIL in html.unescape(owner.page.text)
    assert refunds(house) == []


async def test_a_viewer_sees_no_button_and_may_do_nothing(till: Till, house: House, viewer: Browser) -> None:
    payment = await till.pay()
    await viewer.get(f"/dashboard/payments/{payment}")
    assert viewer.page.status_code == 200
    for what in ("refund", "capture"):
        assert f"/dashboard/payments/{payment}/{what}" not in viewer.page.text
        assert (await viewer.client.get(f"/dashboard/payments/{payment}/{what}")).status_code == 403
        form = {"csrf": viewer.csrf, "amount": "5", "step": "do", "key": "dashboard-x"}
        assert (await viewer.client.post(f"/dashboard/payments/{payment}/{what}", data=form)).status_code == 403
    assert refunds(house) == []


async def test_without_the_form_s_token_nothing_is_done(till: Till, house: House, owner: Browser) -> None:
    payment = await till.pay()
    for what in ("refund", "capture"):
        form = {"amount": "5", "step": "do", "key": "dashboard-x"}
        assert (await owner.client.post(f"/dashboard/payments/{payment}/{what}", data=form)).status_code == 403
    assert refunds(house) == []


async def test_nobody_s_and_another_s_are_not_there(till: Till, house: House, owner: Browser, db: Connection) -> None:
    payment = await till.pay()
    other = await merchants.add_merchant(db, "Another Shop")
    await owner.get(f"/dashboard/payments/{payment}/refund")
    csrf = owner.csrf
    house.conn.execute("INSERT INTO memberships SELECT %s, user_id, role, created_at FROM memberships", [other])
    house.conn.execute("UPDATE sessions SET merchant_id = %s", [other])
    for one in (payment, NOBODY, "pay_x", "x", "%00", "pay_%27"):
        for path in ("", "?as_of=2026-01-01T00:00", "/live", "/refund", "/capture"):
            assert (await owner.client.get(f"/dashboard/payments/{one}{path}")).status_code == 404, (one, path)
        for what in ("refund", "capture"):
            form = {"csrf": csrf, "amount": "5", "step": "do", "key": "dashboard-x"}
            assert (await owner.client.post(f"/dashboard/payments/{one}/{what}", data=form)).status_code == 404
    assert refunds(house) == []


async def test_what_strangers_wrote_is_text(till: Till, house: House, owner: Browser) -> None:
    """Notes, reasons, the processor's words, an idempotency key, an endpoint's address."""
    payment = await till.pay(notes={"<b>": EVIL})
    await till.refund(payment, 1, EVIL)
    house.conn.execute("UPDATE payments SET processor_ref = %s", [EVIL])
    house.conn.execute("UPDATE endpoints SET url = %s", [f"https://{EVIL}/"])
    await owner.get(f"/dashboard/payments/{payment}")
    assert owner.page.status_code == 200
    assert owner.text.count(EVIL) >= 3
    assert EVIL not in owner.page.text
    assert "<b>" not in owner.page.text
    assert " style=" not in owner.page.text


async def test_the_page_is_live_while_something_is_to_come(till: Till, house: House, owner: Browser) -> None:
    """A pending payment, refund or delivery; of a payment that is done with nothing is asked."""
    payment = await till.pay(settled=False)
    await owner.get(f"/dashboard/payments/{payment}")
    live = re.search(r'data-live="([^"]+)"', owner.page.text)
    assert live
    assert live[1].startswith(f"/dashboard/payments/{payment}/live")
    await till.settle()
    await owner.get(f"/dashboard/payments/{payment}")
    assert "data-live" in owner.page.text, "deliveries wait"
    house.conn.execute("DELETE FROM outbox")
    await owner.get(f"/dashboard/payments/{payment}")
    assert "data-live" not in owner.page.text
    await till.refund(payment, 5)
    await owner.get(f"/dashboard/payments/{payment}")
    assert "data-live" in owner.page.text


async def test_its_mark_changes_with_the_payment_its_refunds_and_open_deliveries(till: Till, house: House) -> None:
    payment = await till.pay(settled=False)
    (row,) = house.conn.execute("SELECT id FROM outbox WHERE event_type = 'payment.created'").fetchall()

    async def mark(merchant: Merchant = MERCHANT) -> str:
        async with house.app.state.gateway.database.connection() as conn:
            return await news.of_payment(conn, merchant, payment, [row["id"]])

    marks = [await mark()]
    await till.settle()
    marks.append(await mark())
    await till.refund(payment, 5)
    marks.append(await mark())
    await till.settle()
    marks.append(await mark())
    house.conn.execute("UPDATE outbox SET attempts = attempts + 1 WHERE id = %s", [row["id"]])
    marks.append(await mark())
    house.conn.execute("DELETE FROM outbox WHERE id = %s", [row["id"]])
    marks.append(await mark())
    assert len(set(marks)) == 6
    assert await mark() == marks[-1]
    with pytest.raises(NotFoundError):
        await mark(Merchant("mer_other", MERCHANT.bucket, "", "", frozenset()))


async def test_of_a_long_story_the_newest_steps_are_shown(
    till: Till, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await till.pay()
    await owner.get(f"/dashboard/payments/{payment}")
    whole = steps(owner)
    assert "These are the newest steps" not in owner.text
    monkeypatch.setattr("dashboard.pages.payment._STEPS", 3)
    await owner.get(f"/dashboard/payments/{payment}")
    assert steps(owner) == whole[-3:]
    assert "These are the newest steps" in owner.text


def test_a_moment_in_an_address_never_hides_what_happened_at_it() -> None:
    """Addresses are to the millisecond, events to the microsecond: rounded up."""
    at = datetime.fromisoformat("2026-11-22T13:05:09.000001+00:00")
    for step in range(0, 2000, 7):
        one = at + timedelta(microseconds=step)
        read = typed.read_moment(typed.moment(one), "as_of")
        assert timedelta(0) <= read - one < timedelta(milliseconds=1)


def refunds(house: House) -> list[tuple[int, str | None]]:
    return [
        (row["amount"], row["reason"]) for row in house.conn.execute("SELECT amount, reason FROM refunds").fetchall()
    ]
