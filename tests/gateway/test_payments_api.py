"""Payments over the API: what is answered is what is written, with all that it owes."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from gateway import demo
from tests.gateway.conftest import CARD, UPI, Api

Conn = psycopg.Connection[dict[str, Any]]


async def test_a_payment_commits_with_its_events_deliveries_and_work(api: Api, conn: Conn) -> None:
    """One POST: a payment, two events, a delivery of each to the one endpoint, the processing work."""
    said = await api.post("/payments", UPI)
    payment = said.json()

    assert said.status_code == 201
    assert payment | {"id": "", "created_at": ""} == {
        "id": "", "order_id": "order_test_123", "amount": 50000, "currency": "INR", "method": "upi", "flow": "collect",
        "vpa": "user@paytm", "status": "pending", "captured": False, "amount_refunded": 0, "notes": {},
        "version": 1, "created_at": "",
    }  # fmt: skip
    events = conn.execute("SELECT * FROM events ORDER BY id").fetchall()
    assert [(one["type"], one["subject_id"], one["deliveries"]) for one in events] == [
        ("payment.created", payment["id"], 1),
        ("payment.pending", payment["id"], 1),
    ]
    assert all(said.text in one["body"] for one in events), "the event shows the payment as the API does"
    work = conn.execute("SELECT kind, id, event_id FROM outbox ORDER BY kind, id").fetchall()
    assert [one["kind"] for one in work] == ["payment.process", "webhook.deliver", "webhook.deliver"]
    assert work[0]["id"] == payment["id"]
    assert [one["event_id"] for one in work[1:]] == [one["id"] for one in events]


async def test_the_write_is_one_statement_and_one_commit(api: Api, conn: Conn) -> None:
    """Counted by the server: one transaction more, for all of it."""
    await api.post("/payments", UPI)  # warms credentials and connections

    def commits() -> int:
        conn.execute("SELECT pg_stat_clear_snapshot()")
        row = conn.execute(
            "SELECT count(DISTINCT xmin::text) AS n FROM ("
            " SELECT xmin FROM payments UNION ALL SELECT xmin FROM events UNION ALL SELECT xmin FROM outbox"
            " UNION ALL SELECT xmin FROM idempotency_keys UNION ALL SELECT xmin FROM orders) AS written"
        ).fetchone()
        return int(row["n"]) if row else 0

    before = commits()
    said = await api.post(
        "/payments", {**UPI, "order_id": "fresh", "amount": 7, "currency": "INR"}, **{"Idempotency-Key": "k"}
    )

    assert said.status_code == 201
    assert commits() == before + 1, "payment, order, events, deliveries, work and key bear one transaction's id"


async def test_an_unknown_order_with_amount_and_currency_is_opened(api: Api, conn: Conn) -> None:
    said = await api.post("/payments", {**UPI, "order_id": "mine-7", "amount": 1234, "currency": "INR"})
    order = (await api.get("/orders/mine-7")).json()

    assert (said.status_code, said.json()["amount"]) == (201, 1234)
    assert (order["amount"], order["status"], order["reusable"], order["amount_due"]) == (1234, "created", False, 1234)


@pytest.mark.parametrize(
    ("change", "status", "field", "reason"),
    [
        ({"order_id": "nobody"}, 404, "order_id", None),
        ({"order_id": "nobody", "amount": 5}, 404, "order_id", None),
        ({"amount": 49999}, 400, "amount", "amount_differs"),
        ({"amount": 50000, "currency": "USD"}, 400, "currency", "currency_differs"),
        ({"order_id": "new", "amount": 5, "currency": "USD"}, 400, "currency", "currency_not_upi"),
        ({"vpa": None}, 400, "vpa", "vpa_missing"),
        ({"vpa": "nobody"}, 400, "vpa", "vpa_invalid"),
        ({"vpa": "a b@psp"}, 400, "vpa", "vpa_invalid"),
        ({"card": CARD}, 400, "card", "field_not_of_method"),
        ({"method": "card"}, 400, "card", "card_missing"),
        ({"method": "card", "card": CARD}, 400, "vpa", "field_not_of_method"),
        ({"method": "cash"}, 400, "method", "field_invalid"),
        ({"flow": "push"}, 400, "flow", "field_invalid"),
        ({"notes": {"a": 1}}, 400, "notes[...]", "field_invalid"),
        ({"notes": {str(n): "x" for n in range(16)}}, 400, "notes", "field_invalid"),
        ({"notes": {"a": "x" * 257}}, 400, "notes[...]", "field_invalid"),
        ({"notes": {"a": "x\0"}}, 400, "notes", "nul_character"),
        ({"nonsense": 1}, 400, "nonsense", "field_unknown"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_and_nothing_is_written(
    api: Api, conn: Conn, change: dict[str, object], status: int, field: str, reason: str | None
) -> None:
    said = await api.post("/payments", {**UPI, **change}, **{"Idempotency-Key": "refused"})

    error = said.json()["error"]
    assert (said.status_code, error["field"], error.get("reason")) == (status, field, reason)
    assert error["code"] == ("NOT_FOUND" if status == 404 else "BAD_REQUEST_ERROR")
    assert error["request_id"] == said.headers["x-request-id"]
    assert _written(conn) == 0


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"number": "4111111111111112"}, "card.number", "card_number_invalid"),
        ({"number": "411111111111111x"}, "card.number", "card_number_invalid"),
        ({"number": "4111"}, "card.number", "field_invalid"),
        ({"expiry_month": 13}, "card.expiry_month", "field_invalid"),
        ({"expiry_year": 2020}, "card.expiry_year", "card_expired"),
        ({"expiry_year": 20}, "card.expiry_year", "card_expired"),
        ({"cvv": "12"}, "card.cvv", "field_invalid"),
        ({"cvv": "1234"}, "card.cvv", "cvv_invalid"),
        ({"pin": "1"}, "card.pin", "field_unknown"),
    ],
)
async def test_a_wrong_card_is_refused_without_repeating_it(
    api: Api, conn: Conn, change: dict[str, object], field: str, reason: str
) -> None:
    said = await api.post("/payments", {"order_id": "order_123", "method": "card", "card": {**CARD, **change}})

    error = said.json()["error"]
    assert (said.status_code, error["field"], error["reason"]) == (400, field, reason)
    assert "4111" not in said.text
    assert _written(conn) == 0


async def test_of_a_card_only_brand_and_last_four_are_in_the_clear(api: Api, conn: Conn) -> None:
    """Nowhere in the database does the number, its spaces aside, or the CVV stand in the clear."""
    said = await api.post(
        "/payments", {"order_id": "order_123", "method": "card", "card": CARD}, **{"Idempotency-Key": "c"}
    )

    assert said.json()["card"] == {"brand": "visa", "last4": "1111"}
    for table in ("payments", "events", "outbox", "idempotency_keys"):
        text = str(conn.execute(f"SELECT * FROM {table}").fetchall())
        assert "411111111111" not in text
        assert "4111 1111" not in text
    sealed = conn.execute("SELECT sealed_instrument FROM payments").fetchone()
    assert sealed is not None
    assert b"4111" not in sealed["sealed_instrument"]


async def test_upi_intent_and_qr_answer_with_a_deep_link(api: Api) -> None:
    for flow in ("intent", "qr"):
        said = await api.post("/payments", {"order_id": "order_123", "method": "upi", "flow": flow})
        payment = said.json()
        assert payment["deep_link"] == (
            f"upi://pay?pa=mer_demo@ledgate&pn=Ledgate%20Demo&tr={payment['id']}&cu=INR&am=500.00"
        )
        assert (await api.get(f"/payments/{payment['id']}")).json() == payment, "reading shows what creating answered"


async def test_read_back_equals_the_answer_whatever_the_notes(api: Api) -> None:
    notes = {"b": "ü", "10": "x", "2": '"\\', "a": "\u2028\x7f\t😀", "__proto__": "p"}
    payment = (await api.post("/payments", {**UPI, "notes": notes})).json()

    assert list(payment["notes"]) == ["2", "10", "b", "a", "__proto__"]
    assert payment["notes"] == notes
    assert (await api.get(f"/payments/{payment['id']}")).json() == payment


async def test_lists_are_newest_first_and_filtered(api: Api) -> None:
    first = (await api.post("/payments", UPI)).json()
    card = (await api.post("/payments", {"order_id": "order_123", "method": "card", "card": CARD})).json()
    last = (await api.post("/payments", UPI)).json()

    async def ids(**params: object) -> list[str]:
        page = (await api.get("/payments", **params)).json()
        return [one["id"] for one in page["data"]]

    assert await ids() == [last["id"], card["id"], first["id"]]
    assert await ids(method="card") == [card["id"]]
    assert await ids(order_id="order_test_123") == [last["id"], first["id"]]
    assert await ids(status="success") == []
    assert await ids(created_from=card["created_at"], created_to=last["created_at"]) == [card["id"]]
    page = (await api.get("/payments", limit=2)).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([last["id"], card["id"]], True)
    page = (await api.get("/payments", limit=2, offset=2)).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([first["id"]], False)


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "x"},
        {"offset": -1},
        {"status": "done"},
        {"order_id": "a\0b"},
        {"created_from": "yesterday"},
    ],
)
async def test_wrong_list_parameters_are_refused(api: Api, params: dict[str, object]) -> None:
    said = await api.get("/payments", **params)
    assert (said.status_code, said.json()["error"]["code"]) == (400, "BAD_REQUEST_ERROR")
    assert said.json()["error"]["field"] == next(iter(params))


async def test_what_does_not_exist_is_not_found(api: Api) -> None:
    for path in ("/payments/pay_x", "/payments/pay_01h2xcejqtf2nbrexx3vqjhp41", "/orders/x", "/orders/%00", "/nothing"):
        said = await api.get(path)
        assert (said.status_code, said.json()["error"]["code"]) == (404, "NOT_FOUND"), path


def _written(conn: Conn) -> int:
    row = conn.execute(
        "SELECT (SELECT count(*) FROM payments) + (SELECT count(*) FROM events) + (SELECT count(*) FROM outbox)"
        " + (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM orders WHERE id <> ALL(%s)) AS n",
        [list(demo.ORDER_IDS)],
    ).fetchone()
    return int(row["n"]) if row else -1
