"""One payment: its money, its timeline, as of any moment."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta

import pytest

from dashboard import typed
from dashboard.reading import news
from gateway import merchants
from gateway.errors import NotFoundError
from gateway.merchants import Merchant
from kit.db import Connection
from tests.dashboard.conftest import Browser, House
from tests.dashboard.looking import money, states, steps
from tests.dashboard.paying import BAD_CARD, Till
from tests.support.paying import MERCHANT

EVIL = "</script><img src=x onerror=alert(1)>\"'"
NOBODY = "pay_01jd9m3r6ye8a9fqk0s2t4v6xz"


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


async def test_a_moment_that_cannot_be_is_told_and_the_payment_shown(till: Till, owner: Browser) -> None:
    payment = await till.pay(settled=False)
    for moment, said in (
        ("soon", "Enter a date and a time"),
        ("2026-02-30T10:00", "Enter a date"),
        ("2001-01-01T00:00", "The payment was not there yet: it was made on"),
        ("%3Cscript%3E", "Enter a date"),
        ("9999-12-31T23:59:59-23:59", "Enter a date"),
        ("2126-01-01T00:00", "That moment has not come yet."),
    ):
        page = await owner.get(f"/dashboard/payments/{payment}?as_of={moment}")
        assert (page.status_code, said in owner.text) == (422, True), moment
        assert payment in page.text
        assert "<script>" not in page.text
    assert (await owner.get(f"/dashboard/payments/{payment}?as_of=%00")).status_code == 400


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
    assert house.conn.execute("SELECT id FROM refunds").fetchall() == []


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
