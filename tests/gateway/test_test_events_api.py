"""Test events through the real path, with data that JavaScript writes back byte for byte."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway import samples
from gateway.errors import BadRequestError
from kit import ids
from outbox.endpoints import EVENT_TYPES
from schema.invariants import broken
from tests.gateway.conftest import AUTH, Api
from tests.support.tools import run_node

Conn = psycopg.Connection[dict[str, Any]]


async def test_a_test_event_is_a_fact_with_one_delivery_due_now(api: Api, conn: Conn) -> None:
    """Whatever the endpoint's filter and schedule say; the ledger and the log show it, and the body says what it is."""
    conn.execute("UPDATE endpoints SET event_types = '{refund.*}', retry_schedule = '{3600}'")

    said = await api.post("/webhooks/test", {})

    assert said.status_code == 202
    answer = said.json()
    assert set(answer) == {"id", "event_id", "status"}
    assert ids.pattern("dlv").match(answer["id"])
    shown = (await api.get(f"/webhooks/{answer['id']}")).json()
    body = msgspec.json.decode(shown["body"])
    assert (shown["event"], shown["event_id"], shown["status"]) == ("webhook.test", answer["event_id"], "pending")
    assert list(body) == ["id", "event", "timestamp", "test", "data"]
    assert (body["id"], body["event"], body["test"]) == (answer["event_id"], "webhook.test", True)
    due = conn.execute("SELECT next_retry_at <= now() AS due FROM outbox WHERE id = %s", [answer["id"]]).fetchone()
    assert due == {"due": True}
    assert broken(conn) == {}


async def test_a_test_event_needs_no_body(api: Api) -> None:
    said = await api.client.post("/api/v1/webhooks/test", headers=AUTH)
    assert said.status_code == 202


async def test_a_test_event_goes_to_the_named_endpoint_alone(api: Api, conn: Conn) -> None:
    made = (await api.post("/webhook-endpoints", {"url": "http://localhost:8001/", "events": ["order.paid"]})).json()
    said = await api.post("/webhooks/test", {"endpoint_id": made["id"], "event": "payment.success"})
    shown = (await api.get(f"/webhooks/{said.json()['id']}")).json()
    assert (shown["endpoint"]["id"], shown["event"]) == (made["id"], "payment.success")
    assert conn.execute("SELECT count(*) AS n FROM outbox").fetchone() == {"n": 1}
    assert broken(conn) == {}, "a made-up payment is no payment"


async def test_a_test_event_needs_an_endpoint_that_takes_it(api: Api, conn: Conn) -> None:
    for body in ({"endpoint_id": ids.new("whep")}, {"endpoint_id": "nonsense"}):
        said = await api.post("/webhooks/test", body)
        assert (said.status_code, said.json()["error"]["field"]) == (404, "endpoint_id")
    conn.execute("UPDATE endpoints SET enabled = false")
    assert (await api.post("/webhooks/test", {})).json()["error"]["reason"] == "endpoint_disabled"
    conn.execute("DELETE FROM endpoints")
    assert (await api.post("/webhooks/test", {})).json()["error"]["reason"] == "no_endpoint"
    assert conn.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 0}


async def test_a_retried_test_event_is_one(api: Api, conn: Conn) -> None:
    said = [await api.post("/webhooks/test", {"data": {"2": 1, "1": 2}}, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert said[0].text == said[1].text
    assert conn.execute("SELECT count(*) AS n FROM outbox").fetchone() == {"n": 1}


def _deep(levels: int) -> Any:
    return {"a": _deep(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        (b'{"data": {"a": 1.5}}', "data.a", "number_not_integer"),
        (b'{"data": {"a": [0, 1e2]}}', "data.a[1]", "number_not_integer"),
        (b'{"data": {"a": -0.0}}', "data.a", "number_not_integer"),
        (b'{"data": {"a": 9007199254740992}}', "data.a", "number_too_large"),
        (b'{"data": {"a": -9007199254740992}}', "data.a", "number_too_large"),
        (b'{"data": {"a": ' + b"9" * 60 + b"}}", "data.a", "number_too_large"),
        (b'{"data": {"a": "x\\u0000"}}', "data.a", "nul_character"),
        (b'{"data": {"x\\u0000": 1}}', "data", "nul_character"),
        (b'{"data": {"a": "' + b"x" * 16_384 + b'"}}', "data", "data_too_large"),
        (msgspec.json.encode({"data": _deep(9)}), "data" + ".a" * 8, "data_too_deep"),
        (b'{"data": []}', "data", "field_invalid"),
        (b'{"data": "x"}', "data", "field_invalid"),
        (b'{"event": "payment.nonsense"}', "event", "field_invalid"),
        (b'{"evnt": "x"}', "evnt", "field_unknown"),
    ],
)
async def test_data_that_javascript_would_write_differently_is_refused_by_name(
    api: Api, conn: Conn, text: bytes, field: str, reason: str
) -> None:
    headers = {**AUTH, "Content-Type": "application/json"}
    said = await api.client.post("/api/v1/webhooks/test", content=text, headers=headers)
    error = said.json()["error"]
    assert (said.status_code, error["field"], error["reason"]) == (400, field, reason)
    assert conn.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 0}


async def test_what_javascript_reads_is_what_was_sent(api: Api) -> None:
    """Integer-like keys at every depth, the largest integers, the deepest nesting, every sample."""
    texts = []
    data = {"b": {"10": [{"2": 1, "1": -(2**53) + 1}], "9": None}, "4294967295": True, "4294967294": "\u2028", "": {}}
    for body in ({"data": data}, {"data": _deep(8)}, *({"event": one} for one in sorted(EVENT_TYPES))):
        said = await api.post("/webhooks/test", body)
        assert said.status_code == 202, said.text
        texts.append((await api.get(f"/webhooks/{said.json()['id']}")).json()["body"])
    assert msgspec.json.decode(texts[0])["data"] == data
    assert run_node(SAME, msgspec.json.encode(texts)) == str(len(texts))


SAME = """
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const text of given) if (JSON.stringify(JSON.parse(text)) !== text) { console.error(text); process.exit(1); }
console.log(given.length);
"""
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_KEYS = _TEXT | st.integers(-3, 2**33).map(str) | st.sampled_from(["__proto__", "constructor", "00", "1.0", "-0"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.integers(-3, 3) | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=12,
)


def test_any_data_is_refused_or_survives_javascript() -> None:
    """And what is accepted is what was meant, whatever the order of its keys."""
    taken: list[str] = []
    refused: set[str | None] = set()

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.lists(st.dictionaries(_KEYS, _VALUES, max_size=6), min_size=10, max_size=12))
    @example([{"a": "\0"}, {"a": 1.5}, {"a": 2**53 + 1}])  # each reason is met, whatever else is found
    def collect(many: list[dict[str, Any]]) -> None:
        for one in many:
            try:
                checked = samples.check_data(one)
            except BadRequestError as error:
                refused.add(error.reason)
            else:
                assert checked == one
                taken.append(msgspec.json.encode(checked).decode())

    collect()
    assert len(taken) > 80
    assert refused >= {"number_not_integer", "number_too_large", "nul_character"}
    assert run_node(SAME, msgspec.json.encode(taken)) == str(len(taken))
