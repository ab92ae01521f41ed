"""One payment in one view: its order, its refunds, and what happened when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from rich.padding import Padding
from rich.text import Text

from gateway import orders, payments
from gateway.cli.errors import CliError
from gateway.cli.operators.output import Column, Row, facts, full, heading, money, plain, span, table
from gateway.cli.operators.session import rows
from gateway.cli.screen import Screen
from gateway.merchants import Merchant
from kit import ids

if TYPE_CHECKING:
    from kit.db import Connection

_WALKED = 50_000
"""Events of the merchant that are looked at in one span of time."""

_AROUND = timedelta(seconds=15)
"""How far the clocks of two processes, and the time a statement takes, may put an event from what it tells of."""

_FIRST = timedelta(minutes=10)
"""After the start of a payment, for as long its events are looked for in any case."""

_SHORT = 12  # hours and milliseconds, as a line of the timeline shows them


async def read(conn: Connection, payment_id: str) -> dict[str, Any]:
    """Everything about a payment, as `--json` shows it.

    Raises:
        CliError: there is none.
    """
    found = await rows(conn, "operator_find_payment", {"id": payment_id})
    if not found:
        raise CliError(f"There is no payment {plain(payment_id)}.")
    at = {"bucket": found[0]["bucket"], "merchant_id": found[0]["merchant_id"]}
    merchant = Merchant(found[0]["merchant_id"], found[0]["bucket"], found[0]["merchant"], "", frozenset())
    payment = await payments.get(conn, merchant, payment_id)
    order = await orders.get(conn, merchant, payment.order_id)
    refunds = await rows(conn, "operator_payment_refunds", at | {"payment_id": payment_id})
    refund_ids = [refund["id"] for refund in refunds]
    work = await rows(conn, "operator_payment_work", at | {"ids": [payment_id, *refund_ids]})
    spans = _spans(payment, refunds)
    walked = await rows(
        conn,
        "operator_payment_events",
        at
        | {
            "lows": [ids.lower_bound("evt", low.timestamp()) for low, _ in spans],
            "highs": [ids.lower_bound("evt", high.timestamp()) for _, high in spans],
            "subjects": [payment_id, order.id, *refund_ids],
            "limit": _WALKED,
        },
    )
    subjects = {payment_id, *refund_ids} | (set() if order.reusable else {order.id})
    events = [event for event in walked if event["subject_id"] in subjects]
    deliveries = await rows(conn, "operator_event_deliveries", at | {"event_ids": [event["id"] for event in events]})
    return {
        "payment": {"merchant_id": merchant.merchant_id} | msgspec.to_builtins(payment, builtin_types=(datetime,)),
        "order": msgspec.to_builtins(order, builtin_types=(datetime,)),
        "refunds": refunds,
        "work": work,
        "events": [
            {name: event[name] for name in ("id", "type", "subject_id", "created_at")}
            | {"deliveries": [_shown(one) for one in deliveries if one["event_id"] == event["id"]]}
            for event in events
        ],
        "events_complete": all(event["walked"] < _WALKED for event in walked),
    }


def show(found: dict[str, Any]) -> None:
    """Print it."""
    screen = Screen()
    payment, order = found["payment"], found["order"]
    currency = payment["currency"]
    card = payment.get("card")
    method = f"{card['brand']} ending in {card['last4']}" if card else payment.get("flow", "")
    captured = payment.get("amount_captured", 0)
    of = "in all, each time" if order["reusable"] else "of"
    paid = f"{order['status']}, paid {money(order['amount_paid'], currency)} {of} {money(order['amount'], currency)}"
    facts(
        screen,
        (
            ("payment", payment["id"]),
            ("merchant", payment["merchant_id"]),
            ("status", payment["status"]),
            ("error", _error(payment)),
            ("amount", money(payment["amount"], currency)),
            ("method", " ".join(filter(None, (payment["method"], method, payment.get("vpa"))))),
            ("captured", money(captured, currency) if captured else "no"),
            ("refunded", money(payment["amount_refunded"], currency)),
            ("notes", msgspec.json.encode(payment["notes"]).decode() if payment["notes"] else None),
            ("created", full(payment["created_at"])),
            ("updated", full(payment.get("updated_at"))),
            ("order", f"{order['id']}{' (reusable)' if order['reusable'] else ''}"),
            ("", paid),
        ),
    )
    if found["refunds"]:
        heading(screen, "Refunds")
        columns = (
            Column("REFUND", lambda row: row["id"]),
            Column("STATUS", lambda row: row["status"]),
            Column("AMOUNT", lambda row: money(row["amount"], currency), right=True),
            Column("WHY", lambda row: _error(row) or row["reason"] or "", elastic=True),
        )
        screen.tabulate(table(columns, found["refunds"], width=screen.width))
    _show_timeline(screen, found)


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in {"bucket", "merchant_id"}}


def _show_timeline(screen: Screen, found: dict[str, Any]) -> None:
    heading(screen, "Timeline (UTC)")
    day = None
    entries = [(event["created_at"], 0, event) for event in found["events"]]
    entries += [
        (one["last_attempt_at"], 1, one)
        for event in found["events"]
        for one in event["deliveries"]
        if one["last_attempt_at"]
    ]
    several = len({one["endpoint_id"] for event in found["events"] for one in event["deliveries"]}) > 1
    for time, kind, what in sorted(entries, key=lambda entry: (entry[0], entry[1], entry[2]["id"])):
        if time.date() != day:
            day = time.date()
            screen.say(Text(f"{day:%Y-%m-%d}", style="dim"))
        clock = f"{time:%H:%M:%S}.{time.microsecond // 1000:03}"
        if kind == 0:
            _line(screen, clock, Text(f"{what['type']:<17}", style="bold"), what["id"])
        else:
            _line(screen, clock, Text(f"  {_outcome(what)}"), what["id"])
            if several:
                where = Text(plain(f"to {what['endpoint_url'] or what['endpoint_id']}"), style="dim", overflow="fold")
                screen.show(Padding(where, (0, 0, 0, _SHORT + 4)))
    for event in found["events"]:
        for one in event["deliveries"]:
            if one["last_attempt_at"] is None:
                _line(screen, "to do", Text(f"  {event['type']}, not yet sent"), one["id"])
    for one in found["work"]:
        _line(screen, "to do", Text(f"  {one['kind']} {_when(one)}"), one["id"])
    if not found["events_complete"]:
        screen.say("The merchant has more events than were looked through; some may be missing here.")


def _line(screen: Screen, clock: str, what: Text, subject_id: str) -> None:
    """One line of at most 80 columns: the id goes to the next one where both do not fit."""
    text = Text(f"{clock:<{_SHORT}}  ") + what
    if len(text) + 1 + len(subject_id) <= screen.width:
        screen.say(text + Text(f" {subject_id}", style="dim"))
    else:
        screen.say(text)
        screen.say(Text(" " * (_SHORT + 4) + subject_id, style="dim"))


def _outcome(delivery: Row) -> str:
    tries = f"{delivery['attempts']} attempt{'s' if delivery['attempts'] != 1 else ''}"
    word = {"pending": "to be retried:", "success": "delivered", "failed": "not delivered:"}[delivery["status"]]
    return f"{word} {delivery['response_code'] or 'no answer'}, {tries}"


def _when(work: Row) -> str:
    if work["due"]:
        return "due now"
    wait = span((work["next_retry_at"] - datetime.now(UTC)).total_seconds())
    return f"under way (lease ends in {wait})" if work["leased_by"] else f"in {wait}"


def _error(row: Row) -> str | None:
    code = row.get("error_code")
    return f"{code}: {row['error_description']}" if code and row.get("error_description") else code


def _spans(payment: payments.Payment, refunds: list[Row]) -> list[tuple[datetime, datetime]]:
    """When something is known to have happened, as spans that do not overlap, the earliest first."""
    known = [(payment.created_at - _AROUND, payment.created_at + _FIRST)]
    moments = [payment.updated_at, *(refund[name] for refund in refunds for name in ("created_at", "processed_at"))]
    known += [(moment - _AROUND, moment + _AROUND) for moment in moments if moment is not None]
    merged: list[tuple[datetime, datetime]] = []
    for low, high in sorted(known):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
