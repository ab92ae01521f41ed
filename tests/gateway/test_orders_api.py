"""Orders over the API."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import Api


async def test_an_order_is_answered_read_and_listed_the_same(api: Api) -> None:
    made = await api.post("/orders", {"amount": 12345, "currency": "INR", "receipt": "r-1", "notes": {"a": "b"}})
    order = made.json()

    assert made.status_code == 201
    assert order | {"id": "", "created_at": ""} == {
        "id": "", "amount": 12345, "amount_paid": 0, "amount_due": 12345, "currency": "INR", "receipt": "r-1",
        "notes": {"a": "b"}, "reusable": False, "status": "created", "attempts": 0, "version": 1, "created_at": "",
    }  # fmt: skip
    assert (await api.get(f"/orders/{order['id']}")).json() == order
    page = (await api.get("/orders", limit=1)).json()
    assert page == {"data": [order], "limit": 1, "offset": 0, "has_more": True, "next": order["id"]}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"amount": 0}, "amount", "field_invalid"),
        ({"amount": -1}, "amount", "field_invalid"),
        ({"amount": 2**53}, "amount", "field_invalid"),
        ({"amount": 10**30}, "amount", "field_invalid"),
        ({"amount": 1.5}, "amount", "field_invalid"),
        ({"amount": "100"}, "amount", "field_invalid"),
        ({"amount": True}, "amount", "field_invalid"),
        ({"currency": "XXX"}, "currency", "currency_unknown"),
        ({"currency": "inr"}, "currency", "field_invalid"),
        ({"receipt": "x" * 41}, "receipt", "field_invalid"),
        ({"receipt": "a\0"}, "receipt", "nul_character"),
        ({"reusable": "yes"}, "reusable", "field_invalid"),
        ({"id": "mine"}, "id", "field_unknown"),
    ],
)
async def test_wrong_orders_are_refused_by_field(api: Api, change: dict[str, object], field: str, reason: str) -> None:
    said = await api.post("/orders", {"amount": 100, "currency": "INR", **change})
    error = said.json()["error"]
    assert (said.status_code, error["code"], error["field"], error["reason"]) == (
        400,
        "BAD_REQUEST_ERROR",
        field,
        reason,
    )
    assert (await api.get("/orders")).json()["data"][0]["id"] in {"order_test_123", "order_123"}


async def test_the_largest_amount_is_taken(api: Api) -> None:
    assert (await api.post("/orders", {"amount": 2**53 - 1, "currency": "JPY"})).json()["amount"] == 2**53 - 1
