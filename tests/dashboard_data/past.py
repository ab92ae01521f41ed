"""A past of known numbers, laid down by the same hands that grow the demo's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import psycopg

from gateway.growth import write
from gateway.growth.business import Business, Event, Paid, Shop, micros, moment, told
from gateway.growth.receivers import Sent, Try
from gateway.instruments import Method
from gateway.merchants import Merchant, bucket_of
from gateway.orders import Order
from gateway.payments import CardView, Payment
from gateway.refunds import Refund
from kit import ids
from schema import partitions
from tests.support.waiting import until

NOW = (datetime.now(UTC) - timedelta(minutes=15)).replace(minute=10, second=0, microsecond=0)
"""Ten minutes into this hour or the last one, and past: what was due then is due."""


def merchant(name: str) -> Merchant:
    return Merchant(f"mer_{name}", bucket_of(f"mer_{name}"), name, "", frozenset({"read"}))


class Past:
    """What one merchant did; `lay` writes it."""

    def __init__(self, whose: Merchant) -> None:
        self.whose = whose
        self.business = Business()
        self.sent: list[Sent] = []
        self._chance = Random(whose.merchant_id)

    def make_id(self, prefix: str, at: int) -> str:
        return ids.made(prefix, at, self._chance.getrandbits(62), spare=prefix == "evt")

    def pay(
        self,
        at: datetime,
        amount: int,
        *,
        currency: str = "INR",
        method: Method = "upi",
        vpa: str = "asha@okaxis",
        last4: str = "4242",
        good: bool | None = True,
        receipt: str | None = None,
        captured: int | None = None,
        refunds: tuple[tuple[datetime, int, bool | None], ...] = (),
        took: timedelta = timedelta(seconds=4),
    ) -> Payment:
        """A payment of an order of its own; `good` None leaves it pending, as it does a refund (time, amount, good)."""
        began = micros(at)
        order = Order(
            id=self.make_id("order", began), amount=amount, amount_paid=amount if good else 0,
            amount_due=0 if good else amount, currency=currency, receipt=receipt, notes={}, reusable=False,
            status="created" if good is None else "paid" if good else "attempted",
            attempts=0 if good is None else 1, version=1 if good is None else 2, created_at=at,
        )  # fmt: skip
        payment = Payment(
            id=self.make_id("pay", began), order_id=order.id, amount=amount, currency=currency, method=method,
            flow="collect" if method == "upi" else None, vpa=vpa if method == "upi" else None,
            card=CardView("visa", last4) if method == "card" else None, status="pending", captured=False,
            amount_refunded=0, notes={}, version=1, created_at=at,
        )  # fmt: skip
        self.tell("payment.created", "payment", payment, began)
        self.tell("payment.pending", "payment", payment, began + 1)
        ended = None if good is None else began + took // timedelta(microseconds=1)
        if ended is not None:
            payment = msgspec.structs.replace(
                payment, status="success" if good else "failed", version=2, updated_at=moment(ended),
                error_code=None if good else "card_declined", error_description=None if good else "No",
            )  # fmt: skip
            self.tell(f"payment.{payment.status}", "payment", payment, ended)
            if good:
                self.tell("order.paid", "order", order, ended + 1)
        if captured is not None and ended is not None:
            payment = msgspec.structs.replace(
                payment, captured=True, amount_captured=captured, version=3, updated_at=moment(ended + 10)
            )
            self.tell("payment.captured", "payment", payment, ended + 10)
        paid = Paid(payment, ended)
        for asked_at, back, gone in refunds:
            self._refund(paid, asked_at, back, gone=gone)
        self.business.orders.append(order)
        self.business.changed[order.id] = at
        self.business.payments.append(paid)
        return paid.payment

    def _refund(self, paid: Paid, at: datetime, amount: int, *, gone: bool | None) -> None:
        began = micros(at)
        refund = Refund(
            id=self.make_id("rfnd", began), payment_id=paid.payment.id, amount=amount, reason="Late", status="pending",
            version=1, created_at=at,
        )  # fmt: skip
        self.tell("refund.created", "refund", refund, began)
        if gone is not None:
            refund = msgspec.structs.replace(
                refund, status="processed" if gone else "failed", version=2, processed_at=moment(began + 2_000_000),
                error_code=None if gone else "refund_declined", error_description=None if gone else "Kept",
            )  # fmt: skip
            self.tell(f"refund.{refund.status}", "refund", refund, began + 2_000_000)
        paid.refunds.append(refund)
        taken = amount if gone is not False else 0
        paid.payment = msgspec.structs.replace(
            paid.payment,
            amount_refunded=paid.payment.amount_refunded + taken,
            version=paid.payment.version + (1 if gone is not False else 2),
            updated_at=refund.processed_at or at,
        )

    def tell(self, event_type: str, kind: str, subject: Any, at: int) -> Event:
        event = told(self.make_id, event_type, kind, subject, at)
        self.business.events.append(event)
        return event

    def event(self, event_type: str, nth: int = 0) -> Event:
        return [event for event in self.business.events if event.type == event_type][nth]

    def send(self, event: Event, endpoint_id: str, *codes: int | None, ordinal: int = 0, open_until: Any = None) -> str:
        """A delivery with one attempt for each answer; a None is no answer. Open until a time, if there is one."""
        tries = [
            Try(claim=n, number=n, at=event.at + n * 1_000_000, duration_ms=10 * n, request_headers='{"a":"b"}',
                code=code, headers=None if code is None else '{"Server":"x"}',
                body=None if code is None else b"said", error="no connection" if code is None else None)
            for n, code in enumerate(codes, 1)
        ]  # fmt: skip
        good = bool(tries) and tries[-1].good
        sent = Sent(
            id=f"dlv_{event.id[4:28]}0{ordinal}", event=event, endpoint_id=endpoint_id,
            status="pending" if open_until else "success" if good else "failed", tries=tries, attempts=len(tries),
            ended_at=micros(open_until) if open_until else event.at + 9_000_000,
        )  # fmt: skip
        self.sent.append(sent)
        return sent.id

    def lay(self, url: str, *, settles: bool = True) -> None:
        """Write it, and wait until it counts as past: see `settle`."""
        shop = Shop(
            merchant_id=self.whose.merchant_id, bucket=self.whose.bucket, name=self.whose.name, receipts="T", payments=0
        )
        with psycopg.connect(url) as conn:
            conn.execute(
                "INSERT INTO merchants (id, bucket, name, created_at) VALUES (%s, %s, %s, now())"
                " ON CONFLICT DO NOTHING",
                [self.whose.merchant_id, self.whose.bucket, self.whose.name],
            )
            covered = NOW.date() - timedelta(days=1)  # migrating has made those from yesterday on
            for day in sorted({moment(event.at).date() for event in self.business.events}, reverse=True):
                if day < covered:
                    partitions.ensure(conn, day + timedelta(days=1 - partitions.DAYS_AHEAD))
                    covered = day - timedelta(days=partitions.DAYS_AHEAD)
            write.write(conn, shop, self.business, self.sent, now=NOW)
            conn.execute("UPDATE figure_places SET from_id = '' WHERE merchant_id = %s", [self.whose.merchant_id])
        self.business, self.sent = Business(), []
        if settles:
            settle(url)


def settle(url: str) -> None:
    """Wait for every transaction of the server that began to write before now: what is younger than one is not counted
    yet (docs/decisions/0016), and other workers' tests write in databases of the same server."""
    with psycopg.connect(url, autocommit=True) as conn:
        (now,) = conn.execute("SELECT pg_current_xact_id()::text").fetchone() or ()

        def over() -> bool:
            asked = conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::xid8", [now])
            return bool((asked.fetchone() or (False,))[0])

        until(over, within=60, what="an end of what was being written")


def endpoint(conn: psycopg.Connection[Any], whose: Merchant, endpoint_id: str, **columns: object) -> None:
    """An endpoint as it is."""
    values: dict[str, object] = {
        "bucket": whose.bucket, "merchant_id": whose.merchant_id, "id": endpoint_id, "url": f"https://x.example/{endpoint_id}",
        "sealed_secret": b"", "created_at": NOW, "updated_at": NOW,
    } | columns  # fmt: skip
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    conn.execute(f"INSERT INTO endpoints ({names}) VALUES ({marks})".encode(), list(values.values()))
