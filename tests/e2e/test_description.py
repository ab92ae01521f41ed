"""The description is true: every call of CONTRACT.md is there, and each call, with each example, does what it says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from gateway import demo
from gateway.api.examples import EXAMPLES
from gateway.config import load
from tests.support import calls
from tests.support.processes import Stack, stack
from tests.support.server import fresh_database
from tests.support.waiting import until

Json = dict[str, Any]

CONTRACT = {
    ("post", "/orders"), ("get", "/orders"), ("get", "/orders/{order_id}"),
    ("post", "/payments"), ("get", "/payments"), ("get", "/payments/{payment_id}"),
    ("post", "/payments/{payment_id}/capture"),
    ("post", "/payments/{payment_id}/refunds"), ("get", "/payments/{payment_id}/refunds"),
    ("get", "/refunds"), ("get", "/refunds/{refund_id}"),
    ("get", "/webhooks"), ("get", "/webhooks/{delivery_id}"), ("post", "/webhooks/{delivery_id}/retry"),
    ("post", "/webhooks/test"), ("post", "/webhooks/verify"), ("post", "/webhooks/secret/regenerate"),
    ("get", "/webhooks/config"), ("put", "/webhooks/config"),
    ("get", "/webhook-endpoints"), ("post", "/webhook-endpoints"), ("get", "/webhook-endpoints/{endpoint_id}"),
    ("patch", "/webhook-endpoints/{endpoint_id}"), ("delete", "/webhook-endpoints/{endpoint_id}"),
    ("get", "/events"), ("get", "/events/{event_id}"), ("get", "/test/jobs/status"),
}  # fmt: skip
"""`POST /webhooks/recover` comes with the recovery jobs of step 3."""
OF_EVERYBODY = {"408", "429", "431", "500", "503"}
OF_A_BODY = {"400", "413", "415"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with (
        fresh_database(os.environ["TEST_SERVER_URL"], os.environ["TEST_SERVER_TEMPLATE"]) as url,
        stack(url, tmp_path_factory.mktemp("shop"), TEST_PROCESSING_DELAY="0") as made,
    ):
        asyncio.run(demo.seed(url, load(made.env)))
        made.start_receiver()
        made.start_api()
        made.start_dispatcher()
        yield made


@pytest.fixture(scope="module")
def description(shop: Stack) -> Json:
    found: Json = calls.get(f"{shop.url}/openapi.json").json()
    return found


@pytest.fixture
def http(shop: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{shop.url}/api/v1", auth=(demo.KEY_ID, demo.SECRET), timeout=30) as made:
        yield made


def test_every_call_of_the_contract_is_described_with_its_refusals(description: Json) -> None:
    calls = _calls(description)

    assert description["openapi"].startswith("3.1")
    assert {(method, path) for method, path in calls} >= CONTRACT
    assert len({call["operationId"] for call in calls.values()}) == len(calls)
    for (method, path), call in calls.items():
        told = set(call["responses"])
        public = path == "/test/jobs/status"
        assert told >= OF_EVERYBODY, (method, path)
        assert public or told >= {"401", "403"}, (method, path)
        assert "{" not in path or "404" in told, (method, path)
        if "requestBody" in call:
            assert told >= OF_A_BODY, (method, path)
            assert ("post", f"/api/v1{path}") in EXAMPLES or ("put", f"/api/v1{path}") in EXAMPLES or method == "patch"
        if method == "post":
            assert "422" in told, path
            assert "Idempotency-Key" in {one["name"] for one in call["parameters"]}, path
        assert call["summary"]
        assert call["description"]
        if not public:
            assert "RateLimit-Remaining" in call["responses"]["429"]["headers"]
        for status, response in call["responses"].items():
            assert response["description"], (method, path, status)
            if int(status) >= 400:
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)


def test_every_call_does_what_its_description_says(description: Json, http: httpx.Client) -> None:
    """With each of its examples, on objects that are there: the described status, a body of the described shape."""
    replayed = 0
    calls = sorted(_calls(description).items(), key=lambda one: (one[0][0] == "delete", one[0][1]))
    for (method, path), call in calls:
        content = call.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {"": {"value": None}}).items():
            there = path.format(**{key: _make(http, key) for key in _keys(path)})
            said = http.request(method, there, json=example["value"])
            good = [status for status in call["responses"] if status < "300"]
            assert str(said.status_code) in good, (method, path, name, said.text)
            schema = (
                call["responses"][str(said.status_code)].get("content", {}).get("application/json", {}).get("schema")
            )
            if schema is not None:
                _validate(description, schema, said.json())
            replayed += 1
    assert replayed > 40


def test_the_examples_have_the_described_shape(description: Json) -> None:
    seen = 0
    for call in _calls(description).values():
        given = call.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in given.get("examples", {}).values():
            _validate(description, given["schema"], example["value"])
            seen += 1
        for response in call["responses"].values():
            answered = response.get("content", {}).get("application/json", {})
            if "example" in answered:
                _validate(description, answered["schema"], answered["example"])
                seen += 1
    assert seen >= len(EXAMPLES)


def test_metrics_count_requests_and_work(shop: Stack) -> None:
    """Prometheus' text, no path with an id in it."""
    calls.get(f"{shop.url}/api/v1/orders/order_123", auth=(demo.KEY_ID, demo.SECRET))
    calls.get(f"{shop.url}/nonsense/of/somebody")
    said = calls.get(f"{shop.url}/metrics")

    assert said.headers["content-type"].startswith("text/plain; version=1.0.0")
    assert 'ledgate_requests_total{method="GET",path="/api/v1/orders/{order_id}",status="200"}' in said.text
    assert "order_123" not in said.text
    assert "nonsense" not in said.text
    assert "ledgate_database_up 1.0" in said.text
    assert "ledgate_dispatcher_running 1.0" in said.text
    assert 'ledgate_work{state="pending"}' in said.text


def _calls(description: Json) -> dict[tuple[str, str], Json]:
    return {
        (method, path.removeprefix("/api/v1")): call
        for path, calls in description["paths"].items()
        for method, call in calls.items()
        if path.startswith("/api/v1")
    }


def _keys(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _make(http: httpx.Client, key: str) -> str:
    """An object of that kind, in the state that most calls want it in."""
    return str(MAKERS[key](http)["id"])


def _paid(http: httpx.Client) -> Json:
    request = {"order_id": demo.ORDER_IDS[0], "method": "upi", "vpa": "success@psp"}
    payment: Json = http.post("/payments", json=request).json()
    until(lambda: http.get(f"/payments/{payment['id']}").json()["status"] == "success", what="success")
    return payment


def _delivery(http: httpx.Client) -> Json:
    http.put("/webhooks/config", json={"webhook_url": "http://localhost:9999/none"})
    made: Json = http.post("/webhooks/test", json={}).json()
    return made


def _event(http: httpx.Client) -> Json:
    _paid(http)
    # What the ledger shows waits for every transaction of the server that is open, and this is not the only test.
    found = until(lambda: http.get("/events?limit=1").json()["data"], what="an event")
    first: Json = found[0]
    return first


MAKERS: dict[str, Callable[[httpx.Client], Json]] = {
    "order_id": lambda http: http.post("/orders", json={"amount": 50000, "currency": "INR"}).json(),
    "payment_id": _paid,
    "refund_id": lambda http: http.post(f"/payments/{_paid(http)['id']}/refunds", json={}).json(),
    "endpoint_id": lambda http: http.post(
        "/webhook-endpoints", json={"url": "https://shop.example/x", "events": ["order.paid"]}
    ).json(),
    "delivery_id": _delivery,
    "event_id": _event,
    "recovery_id": lambda http: http.post("/webhooks/recover", json={"since": "2026-01-01T00:00:00Z"}).json(),
    "key_id": lambda http: http.post("/api-keys", json={"scopes": ["read"]}).json(),
}


def _validate(description: Json, schema: Json, value: Any) -> None:
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": description["components"],
        **schema,
    }
    errors = [str(one) for one in jsonschema_rs.validator_for(document).iter_errors(value)]
    assert errors == [], (schema, value)
