"""One payment and all that came of it, in one column by time; and as it stood at any moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dashboard.reading import SQL
from dashboard.reading.webhooks import EventDelivery, deliveries_of
from gateway import orders, payments, refund_lists
from gateway.errors import NotFoundError
from gateway.listing import Paging
from gateway.orders import Order
from gateway.payments import Payment
from gateway.refunds import Refund
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from kit.db import Connection

_AROUND = timedelta(seconds=15)  # what clocks of two processes and a statement's time may put an event from its moment
_AHEAD = timedelta(hours=1)  # more than any process's clock is
_FIRST = timedelta(minutes=2)  # after a payment's start, for as long its end is looked for in any case
_WALKED = 5_000  # events that `payment_facts` looks at in one span

Source = Literal["api", "ledger", "processor", "event", "delivery", "attempt", "to_do"]

REFUNDS = 100
"""Shown of one payment, the newest."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a payment. Times in UTC."""

    at: datetime
    source: Source
    """Who knows: `api` (a call, and its idempotency key while that is kept), `ledger` (a state, a capture, a refund),
    `processor` (its answer), `event` (a fact that is told), `attempt` (one HTTP try of a delivery), `delivery` (one
    that is still open or was given up), `to_do` (work that waits; `at` is when it is due)."""
    what: str
    """`payment.created`, `payment.success`, `refund.failed`, `payment.process`, …; of an attempt the event's type."""
    subject_id: str
    """The payment or refund; the order of `order.paid`."""
    id: str | None = None
    """The event's or the delivery's."""
    outcome: Literal["good", "bad", "waiting"] | None = None
    amount: int | None = None
    """Minor units, where money is meant."""
    detail: str | None = None
    """Plain text from others: an error, a processor's reference, an idempotency key, a reason."""
    code: int | None = None
    """Of an attempt: the answer's status; None where no answer came. Of an API call: its own."""
    duration_ms: int | None = None
    number: int | None = None
    """Of an attempt: which one."""
    endpoint_id: str | None = None
    endpoint_url: str | None = None
    deliveries: int | None = None
    """Of an event: how many endpoints wanted it."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A payment's page."""

    payment: Payment
    """As it stood at `as_of`."""
    order: Order
    """As it is now."""
    refunds: list[Refund]
    """The newest first; those that were there at `as_of`, as they are now."""
    entries: list[Entry]
    """The oldest first; work that waits comes last."""
    deliveries: list[EventDelivery]
    """Of all its events, as they are now."""
    as_of: datetime | None
    moments: list[datetime]
    """When something happened, whatever `as_of` is, the earliest first."""
    complete: bool
    """False where more events lie around these moments than were looked at: some may be missing."""
    refundable: int
    """What can be refunded now, minor units."""
    capturable: int
    """What can be captured now, minor units; 0 where nothing can."""


async def timeline(conn: Connection, merchant: Merchant, payment_id: str, *, as_of: datetime | None = None) -> Timeline:
    """Read a payment with its history.

    Args:
        conn: as the API's role; one transaction shows one moment.
        merchant: whose.
        payment_id: which.
        as_of: only what had happened by then, and the payment as the newest event before it told of it; UTC.

    Raises:
        NotFoundError: there is none, it is another merchant's, or it was not there yet at `as_of`.
    """
    now = await payments.get(conn, merchant, payment_id)
    order = await orders.get(conn, merchant, now.order_id)
    refunds = (await refund_lists.of_payment(conn, merchant, payment_id, Paging(limit=REFUNDS))).data
    subjects = [payment_id, *(refund.id for refund in refunds)] + ([] if order.reusable else [order.id])
    facts, complete = await _facts(conn, merchant, now.created_at, _spans(now, refunds), subjects)
    delivered = await deliveries_of(conn, merchant, [fact["id"] for fact in facts])
    (reference,) = await fetch(conn, SQL["payment_reference"], merchant.scope | {"id": payment_id})
    work = await fetch(conn, SQL["payment_work"], merchant.scope | {"ids": subjects})
    called = sorted({fact["created_at"] for fact in facts if fact["type"] in _CALLS})
    calls = await fetch(conn, SQL["payment_calls"], merchant.scope | {"moments": called, "ids": subjects})
    entries = [entry for fact in facts for entry in _told(fact, calls, reference["processor_ref"])]
    types = {fact["id"]: fact for fact in facts}
    entries += [entry for row in delivered for entry in _sent(row, types[row["event_id"]])]
    entries.sort(key=lambda entry: (entry.at, _ORDER[entry.source], entry.id or ""))
    happened = sorted({entry.at for entry in entries if entry.source != "delivery"})
    entries += [_to_do(row) for row in work]
    if as_of is not None:
        entries = [entry for entry in entries if entry.at <= as_of and entry.source not in {"to_do", "delivery"}]
    captured = now.amount_captured or now.amount
    open_to_money = now.status == "success"
    return Timeline(
        payment=now if as_of is None else _then(now, facts, as_of),
        order=order,
        refunds=[one for one in refunds if as_of is None or one.created_at <= as_of],
        entries=entries,
        deliveries=msgspec.convert(delivered, list[EventDelivery]),
        as_of=as_of,
        moments=happened,
        complete=complete,
        refundable=captured - now.amount_refunded if open_to_money else 0,
        capturable=now.amount if open_to_money and not now.captured and now.amount_refunded < now.amount else 0,
    )


_CALLS = {"payment.created": "POST /payments", "payment.captured": "POST /capture", "refund.created": "POST /refunds"}
"""Events that a call brought about."""

_ORDER: dict[Source, int] = {
    "api": 0, "processor": 1, "ledger": 2, "event": 3, "attempt": 4, "delivery": 5, "to_do": 6,
}  # fmt: skip
"""Of what happened at one moment, what came first."""

_OUTCOMES: dict[str, Literal["good", "bad", "waiting"]] = {
    "payment.pending": "waiting",
    "payment.success": "good",
    "payment.failed": "bad",
    "payment.captured": "good",
    "refund.created": "waiting",
    "refund.processed": "good",
    "refund.failed": "bad",
    "order.paid": "good",
}


async def rehearse(conn: Connection, merchant: Merchant) -> None:
    """Read a story that is nobody's, so that a connection has planned how before somebody waits for theirs."""
    at = datetime.now(UTC)
    nobody = merchant.scope | {"id": "", "ids": [""], "moments": [at]}
    await _facts(conn, merchant, at, [(at, at)], [""])
    await deliveries_of(conn, merchant, [""])
    for name in ("payment_reference", "payment_work", "payment_calls"):
        await fetch(conn, SQL[name], nobody)


async def _facts(
    conn: Connection,
    merchant: Merchant,
    since: datetime,
    spans: list[tuple[datetime, datetime]],
    subjects: list[str],
) -> tuple[list[dict[str, Any]], bool]:
    values = merchant.scope | {
        "lows": [ids.lower_bound("evt", low.timestamp()) for low, _ in spans],
        "highs": [ids.lower_bound("evt", high.timestamp()) for _, high in spans],
        "subjects": subjects,
    }
    walked = await fetch(conn, SQL["payment_facts"], values)
    complete = all(row["walked"] < _WALKED for row in walked)
    ours = set(subjects)
    found = {row["id"]: row for row in walked if row["subject_id"] in ours}
    bounds = {
        "low": ids.lower_bound("dlv", (since - _AROUND).timestamp()),  # nothing is told of it before
        "high": ids.lower_bound("dlv", (datetime.now(UTC) + _AHEAD).timestamp()),
    }
    values = merchant.scope | bounds | {"subjects": subjects, "known": list(found)}
    found |= {row["id"]: row for row in await fetch(conn, SQL["payment_told_facts"], values)}
    # Test events tell of endpoints; those of an order that several payments share are not this payment's.
    return [found[key] for key in sorted(found)], complete


def _spans(payment: Payment, refunds: list[Refund]) -> list[tuple[datetime, datetime]]:
    """When something is known to have happened, as spans that do not overlap, the earliest first."""
    known = [(payment.created_at - _AROUND, payment.created_at + _FIRST)]
    moments = [payment.updated_at, *(at for refund in refunds for at in (refund.created_at, refund.processed_at))]
    known += [(moment - _AROUND, moment + _AROUND) for moment in moments if moment is not None]
    merged: list[tuple[datetime, datetime]] = []
    for low, high in sorted(known):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _told(fact: dict[str, Any], calls: list[dict[str, Any]], reference: str | None) -> list[Entry]:
    """What one event says happened: the call that made it, what the processor said, the state, and the event itself."""
    kind, _, verb = fact["type"].partition(".")
    subject = msgspec.json.decode(fact["body"])["data"].get(kind, {})
    at, subject_id = fact["created_at"], fact["subject_id"]
    entries = []
    if fact["type"] in _CALLS:
        call = next((one for one in calls if one["created_at"] == at and _answers(one, fact, subject)), None)
        entries.append(
            Entry(
                at=at,
                source="api",
                what=_CALLS[fact["type"]],
                subject_id=subject_id,
                detail=call["key"] if call else None,
                code=call["status"] if call else None,
            )
        )
    error = subject.get("error_description") or subject.get("error_code")
    if (kind, verb) in {("payment", "success"), ("payment", "failed"), ("refund", "processed"), ("refund", "failed")}:
        good = verb in {"success", "processed"}
        entries.append(
            Entry(
                at=at,
                source="processor",
                what=f"{kind}.approved" if good else f"{kind}.declined",
                subject_id=subject_id,
                outcome="good" if good else "bad",
                detail=(reference if kind == "payment" and good else None) if good else error,
            )
        )
    if fact["type"] != "payment.created":  # the first state is `pending`, told at the same moment
        amount = subject.get("amount_captured") if verb == "captured" else subject.get("amount")
        reason = subject.get("reason") if kind == "refund" else None
        entries.append(
            Entry(
                at=at,
                source="ledger",
                what=fact["type"],
                subject_id=subject_id,
                outcome=_OUTCOMES.get(fact["type"]),
                amount=amount,
                detail=error or reason,
            )
        )
    entries.append(
        Entry(
            at=at,
            source="event",
            what=fact["type"],
            subject_id=subject_id,
            id=fact["id"],
            deliveries=fact["deliveries"],
        )
    )
    return entries


def _answers(call: dict[str, Any], fact: dict[str, Any], subject: dict[str, Any]) -> bool:
    return bool(call["answered"] == fact["subject_id"] or call["answered"] == subject.get("id"))


def _sent(row: dict[str, Any], fact: dict[str, Any]) -> list[Entry]:
    """A delivery's attempts; and the delivery itself while it is open, or when it was given up."""
    where = {"endpoint_id": row["endpoint_id"], "endpoint_url": row["endpoint_url"]}
    entries = []
    for one in msgspec.json.decode(row["history"]):
        code = one["response_code"]
        entries.append(
            Entry(
                at=datetime.fromisoformat(one["started_at"]).astimezone(UTC),
                source="attempt",
                what=fact["type"],
                subject_id=fact["subject_id"],
                id=row["id"],
                outcome="good" if code is not None and 200 <= code < 300 else "bad",  # noqa: PLR2004 - HTTP's 2xx
                detail=one["error"],
                code=code,
                duration_ms=one["duration_ms"],
                number=one["number"],
                **where,
            )
        )
    if row["status"] != "success":
        at = row["finished_at"] or row["next_retry_at"] or row["last_attempt_at"] or row["created_at"]
        entries.append(
            Entry(
                at=at,
                source="delivery",
                what=fact["type"],
                subject_id=fact["subject_id"],
                id=row["id"],
                outcome="bad" if row["status"] == "failed" else "waiting",
                number=row["attempts"],
                **where,
            )
        )
    return entries


def _to_do(row: dict[str, Any]) -> Entry:
    return Entry(
        at=row["next_retry_at"],
        source="to_do",
        what=row["kind"],
        subject_id=row["id"],
        outcome="waiting",
        detail="under way" if row["under_way"] else None,
        number=row["claims"],
    )


def _then(now: Payment, facts: list[dict[str, Any]], as_of: datetime) -> Payment:
    """The payment as the newest event by that time told of it; what refunds took is added up from theirs."""
    states = [
        msgspec.convert(msgspec.json.decode(fact["body"])["data"]["payment"], Payment)
        for fact in facts
        if fact["subject_id"] == now.id and fact["created_at"] <= as_of
    ]
    if not states:
        return _unsettled(now, as_of)
    state = max(states, key=lambda one: one.version)
    given: dict[str, int] = {}
    for fact in facts:
        if fact["type"].startswith("refund.") and fact["created_at"] <= as_of:
            refund = msgspec.json.decode(fact["body"])["data"]["refund"]
            given[refund["id"]] = 0 if refund["status"] == "failed" else refund["amount"]
    return msgspec.structs.replace(state, amount_refunded=sum(given.values()))


def _unsettled(now: Payment, as_of: datetime) -> Payment:
    """Of a payment whose events are past their retention nothing is known but how it is now."""
    if as_of < now.created_at:
        raise NotFoundError(f"payment {now.id} did not exist at {as_of:%Y-%m-%d %H:%M:%S} UTC")
    return now
