"""What stands in a shop's page opens one order's checkout and nothing else: not one call of the API."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from gateway import demo
from tests.checkout_page.conftest import KEY, Conn, Shop
from tests.gateway.conftest import AUTH, Api
from tests.support.working import Hands

METHODS = {"get", "post", "put", "patch", "delete"}


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _example(call: dict[str, Any], described: dict[str, Any]) -> object:
    """A body that is right, or nothing: who sends a wrong one is told so before he is asked who he is."""
    try:
        content = call["requestBody"]["content"]["application/json"]
    except KeyError:
        return None
    schema = content["schema"]
    while "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for found in (content.get("examples"), schema.get("examples")):
        if found:
            first = next(iter(found.values())) if isinstance(found, dict) else found[0]
            return first["value"] if isinstance(first, dict) and "value" in first else first
    return {}


async def test_the_key_and_the_page_s_token_open_no_call_of_the_api(
    shop: Shop, api: Api, hands: Hands, conn: Conn
) -> None:
    """Whichever way they are sent, to every path and method that the API describes, with ids that are there."""
    page = await shop.open(shop.order("order_a"))
    payment = (await page.pay())["payment"]["id"]
    await hands.work_off("payment.process")
    refund = (await api.post(f"/payments/{payment}/refunds", {"amount": 1})).json()["id"]
    endpoint = conn.execute("SELECT id FROM endpoints").fetchall()
    before = conn.execute("SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM refunds)").fetchall()

    described = (await api.client.get("/openapi.json")).json()
    ids = {"payments": payment, "orders": "order_a", "refunds": refund, "keys": KEY}
    ids["webhook-endpoints"] = endpoint[0]["id"] if endpoint else "whep_none"
    ways: list[dict[str, str]] = [
        {"X-Api-Key": KEY},
        {"X-Api-Key": KEY, "X-Api-Secret": page.token},
        {"X-Api-Key": KEY, "X-Api-Secret": KEY},
        {"Authorization": _basic(KEY, "")},
        {"Authorization": _basic(KEY, page.token)},
        {"Authorization": f"Bearer {page.token}"},
        {"X-Checkout-Session": page.token},
    ]
    asked = 0
    for path, calls in described["paths"].items():
        for method in METHODS & calls.keys():
            if not calls[method].get("security", described.get("security")):
                continue
            first = path.removeprefix("/api/v1/").partition("/")[0]
            address = re.sub(r"{\w+}", ids.get(first, "x"), path)
            way = ways[asked % len(ways)]
            asked += 1
            body = _example(calls[method], described)
            said = await api.client.request(method.upper(), address, headers=way, json=body)
            assert said.status_code == 401, (method, address, way, said.text)
    assert asked >= 30
    for way in ways:
        said = await api.client.get("/api/v1/payments", headers=way)
        assert said.status_code == 401, way
    assert conn.execute("SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM refunds)").fetchall() == before


@pytest.mark.parametrize("headers", [{}, AUTH, {"Authorization": _basic(KEY, demo.SECRET)}, {"X-Api-Key": KEY}])
async def test_the_secret_opens_no_call_of_the_checkout(shop: Shop, headers: dict[str, Any]) -> None:
    """A page's token does, of the order that it was made for; neither key nor secret nor cookies stand for it."""
    page = await shop.open(shop.order("order_a"))
    more = {**headers, "Cookie": f"x-checkout-session={page.token}", "Idempotency-Key": "1"}
    for method, path in (("GET", "state"), ("GET", "events"), ("POST", "session"), ("POST", "pay")):
        for address in (
            f"/checkout/{path}",
            f"/checkout/{path}?x-checkout-session={page.token}&order_id=order_a&key={KEY}",
        ):
            body = {"method": "upi", "vpa": "success@paytm"} if path == "pay" else None
            said = await shop.client.request(method, address, headers=more, json=body)
            assert (said.status_code, said.json()["error"]["reason"]) == (403, "session_invalid")
    assert shop.payments() == []
    assert "set-cookie" not in page.headers
