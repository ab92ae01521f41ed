"""Refund and capture from a payment's page: asked about, made once, noted; never more than is left."""

from __future__ import annotations

import asyncio
import html

from tests.dashboard.conftest import Browser, House
from tests.dashboard.looking import hidden, money, states, steps
from tests.dashboard.paying import GOOD_CARD, Till

EVIL = "</script><img src=x onerror=alert(1)>\"'"
NOBODY = "pay_01jd9m3r6ye8a9fqk0s2t4v6xz"


async def act(browser: Browser, payment: str, what: str, **form: str) -> None:
    """Fill in, be asked, be sure."""
    await browser.get(f"/dashboard/payments/{payment}/{what}")
    await browser.post(f"/dashboard/payments/{payment}/{what}", **form)
    await browser.post(f"/dashboard/payments/{payment}/{what}", **{**hidden(browser), "step": "do"})


async def test_a_refund_is_asked_about_made_once_and_noted(till: Till, house: House, owner: Browser) -> None:
    """All that is left is filled in; a part and a reason; the question; the deed, once, however often it is sent."""
    payment = await till.pay()
    await owner.get(f"/dashboard/payments/{payment}/refund")
    assert 'name="amount" type="text" value="500.00"' in owner.page.text
    await owner.post(f"/dashboard/payments/{payment}/refund", amount="123.45", reason="Returned goods")
    assert "Refund ₹123.45?" in owner.text
    assert "₹376.55 is left then" in owner.text
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
    assert "Only ₹200.00 is left to refund." in other.text
    assert 'value="300"' in other.page.text
    assert 'value="mine"' in other.page.text
    assert refunds(house) == [(30_000, "mine")]


async def test_what_is_wrong_stands_beside_its_field(till: Till, house: House, owner: Browser) -> None:
    payment = await till.pay()
    await owner.get(f"/dashboard/payments/{payment}/refund")
    for form, said in (
        ({"amount": "500.01"}, "Only ₹500.00 is left to refund."),
        ({"amount": "0"}, "Enter more than nothing."),
        ({"amount": "-5"}, "Enter an amount like 1299.50."),
        ({"amount": "1.001"}, "Enter an amount like 1299.50."),
        ({"amount": ""}, "Enter an amount like 1299.50."),
        ({"amount": "5", "reason": "x" * 256}, "At most 255 characters."),
    ):
        page = await owner.post(f"/dashboard/payments/{payment}/refund", **form)
        assert (page.status_code, said in owner.text) == (422, True), form
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
    assert (page.status_code, "₹200.00 was refunded already; capture at least as much." in owner.text) == (422, True)


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


def refunds(house: House) -> list[tuple[int, str | None]]:
    return [
        (row["amount"], row["reason"]) for row in house.conn.execute("SELECT amount, reason FROM refunds").fetchall()
    ]
