"""Events of any Unicode, from the request's bytes through the real statements: `JSON.stringify(JSON.parse(body))` is
the body, so that receivers in JavaScript may verify over what they parsed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import psycopg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway import captures, orders, payments, refunds, webhooks
from gateway.api.wire import decode
from gateway.captures import CapturePayment
from gateway.config import Config
from gateway.money import MAX_AMOUNT
from gateway.orders import CreateOrder
from gateway.payments import CreatePayment
from gateway.refunds import CreateRefund
from gateway.secrets import make_sealer
from gateway.webhooks import SendTest
from kit.db import Connection
from tests.gateway.conftest import AUTH, UPI, Api, api
from tests.kit.test_json import SAME
from tests.support.paying import MERCHANT
from tests.support.tools import run_node
from tests.support.working import work_off

__all__ = ["api"]
T = TypeVar("T")
Conn = psycopg.Connection[dict[str, Any]]

LONG = os.environ.get("FUZZ") == "long"
"""`make test-fuzz`: 10,000 payments with any notes, and 500 of every other kind."""
PAYMENTS = 10_000 if LONG else 500
STORIES = 500 if LONG else 25
BATCH = 100

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
ODD = st.sampled_from('a\u2028\u2029\x01\x1f\x7f\x80\\"/<>%\ufeff\ufffe\uffff\U0010ffff😀é\u0301\u202e')
SHORT = st.text(CHARACTERS, max_size=12) | st.text(ODD, max_size=8)
TEXT = SHORT | SHORT | st.builds(lambda one, times: one * times, CHARACTERS, st.integers(250, 256))
NUMBERS = st.integers(0, 2**33).map(str) | st.sampled_from(["0", "00", "-1", "1.0", "4294967294", "4294967295", "1e3"])
NAMES = st.sampled_from(["__proto__", "constructor", "toString", "version", "amount_refunded", "id", '","data":{'])
KEYS = (TEXT | NUMBERS | NAMES).filter(bool)
NOTES = st.dictionaries(KEYS, TEXT, max_size=15)
DATA = st.recursive(
    TEXT | st.none() | st.booleans() | st.integers(-MAX_AMOUNT, MAX_AMOUNT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.just(""), inner, max_size=3),
    max_leaves=6,
)


def _draw(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """That many, as hypothesis makes them."""
    drawn: list[T] = []
    how = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    @how
    @given(strategy)
    def collect(one: T) -> None:
        drawn.append(one)

    while len(drawn) < count:  # it may stop early, when it believes that it has seen everything
        collect()
    return drawn[:count]


def _asked(kind: type[T], request: dict[str, Any], n: int) -> T:
    """The request as the API understands it, from bytes with escapes and from bytes without."""
    return decode(msgspec.json.Decoder(kind), json.dumps(request, ensure_ascii=n % 2 == 0).encode())


def _assert_survive(bodies: list[str]) -> None:
    assert run_node(SAME, "\n".join(bodies).encode()) == str(len(bodies))


async def test_payments_of_any_notes(config: Config, db: Connection, conn: Conn) -> None:
    """Through `create_payments`, a hundred in one statement; every body in one Node process."""
    sealer, now = make_sealer(config), datetime.now(UTC)
    asked = _draw(NOTES, PAYMENTS)
    wanted = {}
    for start in range(0, PAYMENTS, BATCH):
        requests = [
            _asked(CreatePayment, UPI | {"notes": one}, n) for n, one in enumerate(asked[start : start + BATCH])
        ]
        drafts = [payments.draft(MERCHANT, one, key=None, sealer=sealer, now=now) for one in requests]
        for verdict in await payments.create_batch(db, drafts):
            assert verdict.verdict == "created"
            wanted[drafts[verdict.n].item["id"]] = asked[start + verdict.n]

    rows = conn.execute("SELECT subject_id, body FROM events ORDER BY id").fetchall()
    assert len(rows) == 2 * PAYMENTS
    _assert_survive([row["body"] for row in rows])
    for row in rows:
        assert json.loads(row["body"])["data"]["payment"]["notes"] == wanted[row["subject_id"]]


async def test_what_comes_after_it(config: Config, db: Connection, conn: Conn) -> None:
    """Orders, their receipts, captures and refunds with any reason, through every statement that writes an event."""
    sealer = make_sealer(config)
    receipts, reasons = _draw(TEXT.map(lambda one: one[:40]), STORIES), _draw(TEXT.filter(bool), STORIES)
    reasons = [one[:255] for one in reasons]
    paid = []
    for n, (notes, receipt) in enumerate(zip(_draw(NOTES, STORIES), receipts, strict=True)):
        request = _asked(CreateOrder, {"amount": 100, "currency": "INR", "receipt": receipt, "notes": notes}, n)
        order = msgspec.json.decode((await orders.create(db, MERCHANT, request, key=None, sealer=sealer)).body)
        pays = _asked(CreatePayment, UPI | {"order_id": order["id"], "notes": notes}, n)
        answer = await payments.create(db, MERCHANT, pays, key=None, sealer=sealer)
        paid.append(msgspec.json.decode(answer.body)["id"])
    await work_off(config, "payment.process")
    for n, (payment, reason) in enumerate(zip(paid, reasons, strict=True)):
        refund = _asked(CreateRefund, {"amount": 40, "reason": reason}, n)
        await refunds.create(db, MERCHANT, payment, refund, key=None, sealer=sealer)
        await captures.capture(db, MERCHANT, payment, CapturePayment(), key=None, sealer=sealer)
    await work_off(config, "refund.process")

    rows = conn.execute("SELECT type, body FROM events").fetchall()
    assert len(rows) == 7 * STORIES
    _assert_survive([row["body"] for row in rows])
    told = {json.loads(row["body"])["data"]["refund"]["reason"] for row in rows if row["type"] == "refund.processed"}
    assert told == set(reasons)


async def test_test_events_of_any_data(db: Connection, conn: Conn) -> None:
    """Nested and empty, in the merchant's own shape; what JavaScript would write otherwise is refused before."""
    wanted = _draw(st.dictionaries(KEYS | st.just(""), DATA, max_size=4), STORIES)
    for n, data in enumerate(wanted):
        request = _asked(SendTest, {"event": "webhook.test", "data": data}, n)
        await webhooks.send_test(db, MERCHANT, webhooks.check_test(request))

    bodies = [row["body"] for row in conn.execute("SELECT body FROM events ORDER BY id")]
    assert [json.loads(one)["data"] for one in bodies] == wanted
    _assert_survive(bodies)


async def test_half_a_character_is_refused(api: Api, conn: Conn) -> None:
    """A surrogate without its other half is no text, escaped or as bytes; and nothing is written."""
    headers = AUTH | {"Content-Type": "application/json"}
    for text in (r'"\ud83d"', r'"\ude00 x"', r'"\ude00\ud83d"', '"\udc80"'):
        for notes in (f'{{{text}: "a"}}', f'{{"a": {text}}}'):
            body = json.dumps(UPI)[:-1] + f', "notes": {notes}}}'
            said = await api.client.post(
                "/api/v1/payments", content=body.encode(errors="surrogatepass"), headers=headers
            )
            assert (said.status_code, said.json()["error"]["reason"]) == (400, "json_invalid")
    assert conn.execute("SELECT FROM events").rowcount == 0
