"""Make up a shop's month: orders, payments, captures, refunds, and the events that told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from gateway import instruments
from gateway.growth import people
from gateway.orders import Order
from gateway.payments import CardView, Payment
from gateway.refunds import Refund
from kit import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from gateway.growth.people import Customer
    from gateway.instruments import Flow, Method

_INDIA = timedelta(hours=5, minutes=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RATES = {"upi": 0.935, "card": 0.9}
_OUTAGE_RATE = 0.4
_MOST_TRIES = 4
_FLOWS: tuple[Flow, ...] = ("collect", "collect", "collect", "intent", "intent", "qr")


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant whose past is made up."""

    merchant_id: str
    bucket: int
    name: str
    receipts: str
    """What the shop's own numbers begin with."""
    payments: int
    """How many, about: tries to pay after a failure are among them."""


class Event(msgspec.Struct):
    """A fact, with its time in microseconds."""

    id: str
    type: str
    subject_id: str
    body: str
    at: int


class Paid(msgspec.Struct):
    """A payment as it is now, what only the ledger knows of it, and its refunds."""

    payment: Payment
    settled_at: int | None
    refunds: list[Refund] = msgspec.field(default_factory=list)
    bank_keeps: bool = False
    """Refunds of it fail."""


class Business(msgspec.Struct):
    """All of a shop's past."""

    orders: list[Order] = msgspec.field(default_factory=list)
    changed: dict[str, datetime] = msgspec.field(default_factory=dict)
    """When an order last changed."""
    payments: list[Paid] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)


def moment(at: int) -> datetime:
    """A time in microseconds as everybody else has it."""
    return _EPOCH + at * _MICROSECOND


def micros(at: datetime) -> int:
    """The other way."""
    return (at - _EPOCH) // _MICROSECOND


class Grower:
    """Makes one shop's past up, from left to right."""

    def __init__(self, shop: Shop, *, now: datetime, days: int, chance: Random) -> None:
        self._shop = shop
        self._now = micros(now)
        self._days = days
        self._chance = chance
        self._made = Business()
        self._numbers = chance.randrange(1200, 9000)
        outage = now - timedelta(days=days * 0.6)
        self._outage = (micros(outage), micros(outage + timedelta(hours=2, minutes=20)))

    def grow(self) -> Business:
        """All of it; events in the order of their ids."""
        people_of = [people.customer(self._chance) for _ in range(max(10, self._shop.payments // 3))]
        for at in self._times():
            self._order(at, self._chance.choice(people_of))
        self._made.events.sort(key=lambda event: event.id)
        return self._made

    def _times(self) -> Iterator[int]:
        """When orders are made: days and nights, weekends, a sale, a shop that grows."""
        chance = self._chance
        begin = self._now - self._days * 86_400 * 1_000_000
        hours = range(self._days * 24)
        sale = self._days - 9
        weights = []
        for n in hours:
            local = moment(begin + n * 3_600_000_000) + _INDIA
            weight = people.HOURS[local.hour] * people.DAYS[local.weekday()] * (0.8 + 0.4 * n / len(hours))
            weights.append(weight * (2.1 if n // 24 == sale else 1))
        count = int(self._shop.payments / 1.06)
        chosen = chance.choices(hours, weights, k=count)
        yield from sorted(begin + n * 3_600_000_000 + chance.randrange(3_600_000_000) for n in chosen)

    def _order(self, at: int, who: Customer) -> None:
        chance = self._chance
        abroad = chance.random() < 0.02  # noqa: PLR2004 - one of fifty
        self._numbers += chance.choice((1, 1, 1, 2))
        order = Order(
            id=self._id("order", at),
            amount=(amount := chance.choice(people.ABROAD) if abroad else people.price(chance)),
            amount_paid=0,
            amount_due=amount,
            currency="USD" if abroad else "INR",
            receipt=f"{self._shop.receipts}-{self._numbers}",
            notes={"channel": chance.choice(people.CHANNELS)},
            reusable=False,
            status="created",
            attempts=0,
            version=1,
            created_at=moment(at),
        )
        self._made.changed[order.id] = order.created_at
        at += chance.randrange(4_000_000, 90_000_000)
        if chance.random() < 0.03:  # noqa: PLR2004 - the basket was left standing
            at = self._now
        for _ in range(_MOST_TRIES):
            if at >= self._now - 5_000_000:
                break
            method: Method = (
                "card" if abroad or who.likes_cards or chance.random() < 0.08 else "upi"  # noqa: PLR2004
            )
            ended = self._pay(order, at, who, method)
            if ended is None:
                break
            paid, settled_at = ended
            order = self._settled(order, paid, settled_at)
            if paid.payment.status == "success":
                self._money(paid, settled_at)
                break
            if chance.random() < 0.4:  # noqa: PLR2004 - gave up
                break
            at = settled_at + chance.randrange(20_000_000, 400_000_000)
        self._made.orders.append(order)

    def _pay(self, order: Order, at: int, who: Customer, method: Method) -> tuple[Paid, int] | None:
        """A try to pay; None when it is still under way."""
        chance = self._chance
        flow = chance.choice(_FLOWS) if method == "upi" else None
        payment_id = self._id("pay", at)
        link = None
        if flow in {"intent", "qr"}:
            link = (
                instruments.upi_link(
                    merchant_id=self._shop.merchant_id, merchant_name=self._shop.name, payment_id=payment_id
                )
                + f"{order.amount // 100}.{order.amount % 100:02}"
            )
        payment = Payment(
            id=payment_id,
            order_id=order.id,
            amount=order.amount,
            currency=order.currency,
            deep_link=link,
            method=method,
            flow=flow,
            vpa=who.vpa if flow == "collect" or (flow and chance.random() < 0.7) else None,  # noqa: PLR2004
            card=CardView(who.brand, who.last4) if method == "card" else None,
            status="pending",
            captured=False,
            amount_refunded=0,
            notes={"customer": who.name, "city": who.city},
            version=1,
            created_at=moment(at),
        )
        self._tell("payment.created", "payment", payment, at)
        self._tell("payment.pending", "payment", payment, at + 1)
        seconds = min(chance.lognormvariate(2.3 if method == "upi" else 0.9, 0.6), 200)
        settled_at = at + int(seconds * 1_000_000)
        paid = Paid(msgspec.structs.replace(payment, deep_link=None), settled_at)
        self._made.payments.append(paid)
        if settled_at >= self._now:
            paid.settled_at = None
            return None
        rate = _OUTAGE_RATE if method == "upi" and self._outage[0] <= at < self._outage[1] else _RATES[method]
        good = chance.random() < rate
        code, description = (None, None) if good else people.declined(chance, method)
        paid.payment = msgspec.structs.replace(
            paid.payment,
            status="success" if good else "failed",
            error_code=code,
            error_description=description,
            version=2,
            updated_at=moment(settled_at),
        )
        self._tell(f"payment.{paid.payment.status}", "payment", paid.payment, settled_at)
        return paid, settled_at

    def _settled(self, order: Order, paid: Paid, at: int) -> Order:
        good = paid.payment.status == "success"
        order = msgspec.structs.replace(
            order,
            status="paid" if good else "attempted",
            amount_paid=order.amount if good else 0,
            amount_due=0 if good else order.amount,
            attempts=order.attempts + 1,
            version=order.version + 1,
        )
        self._made.changed[order.id] = moment(at)
        if good:
            self._tell("order.paid", "order", order, at + 1)
        return order

    def _money(self, paid: Paid, at: int) -> None:
        """What became of the money: captured, given back."""
        chance = self._chance
        if chance.random() < 0.86:  # noqa: PLR2004
            at += int(chance.lognormvariate(5.0, 2.2) * 1_000_000)
            if at < self._now:
                self._capture(paid, at)
        if chance.random() < 0.055:  # noqa: PLR2004
            paid.bank_keeps = chance.random() < 0.09  # noqa: PLR2004
            whole = chance.random() < 0.6  # noqa: PLR2004
            for _ in range(1 if whole else chance.choice((1, 1, 2))):
                at += int(chance.lognormvariate(10.9, 1.0) * 1_000_000)
                if at >= self._now - 1_000_000:
                    break
                self._refund(paid, at, whole=whole)

    def _capture(self, paid: Paid, at: int) -> None:
        amount = paid.payment.amount
        if self._chance.random() < 0.03:  # noqa: PLR2004 - a part of the order could not be sent
            amount = max(1, amount * self._chance.randrange(40, 95) // 100)
        paid.payment = msgspec.structs.replace(
            paid.payment,
            captured=True,
            amount_captured=amount,
            version=paid.payment.version + 1,
            updated_at=moment(at),
        )
        self._tell("payment.captured", "payment", paid.payment, at)

    def _refund(self, paid: Paid, at: int, *, whole: bool) -> None:
        chance = self._chance
        left = (paid.payment.amount_captured or paid.payment.amount) - paid.payment.amount_refunded
        amount = left if whole else max(1, left * chance.randrange(15, 60) // 100)
        if left <= 0:
            return
        refund = Refund(
            id=self._id("rfnd", at),
            payment_id=paid.payment.id,
            amount=amount,
            reason=chance.choice(people.REASONS),
            status="pending",
            version=1,
            created_at=moment(at),
        )
        self._changed(paid, at, refunded=amount)
        self._tell("refund.created", "refund", refund, at)
        at += int(chance.lognormvariate(2.4, 0.7) * 1_000_000)
        if at < self._now:
            bad = paid.bank_keeps
            refund = msgspec.structs.replace(
                refund,
                status="failed" if bad else "processed",
                error_code="refund_declined" if bad else None,
                error_description="The payer's bank does not take the money back" if bad else None,
                version=2,
                processed_at=moment(at),
            )
            if bad:
                self._changed(paid, at, refunded=-amount)
            self._tell(f"refund.{refund.status}", "refund", refund, at)
        paid.refunds.append(refund)

    def _changed(self, paid: Paid, at: int, *, refunded: int) -> None:
        paid.payment = msgspec.structs.replace(
            paid.payment,
            amount_refunded=paid.payment.amount_refunded + refunded,
            version=paid.payment.version + 1,
            updated_at=moment(at),
        )

    def _tell(self, event_type: str, kind: str, subject: Payment | Refund | Order, at: int) -> None:
        self._made.events.append(told(self._id, event_type, kind, subject, at))

    def _id(self, prefix: str, at: int) -> str:
        return ids.made(prefix, at, self._chance.getrandbits(62), spare=prefix == "evt")


def told(make_id: Callable[[str, int], str], event_type: str, kind: str, subject: msgspec.Struct, at: int) -> Event:
    """The event that tells of a subject, as `gateway.facts` writes it."""
    event_id = make_id("evt", at)
    body = {"id": event_id, "event": event_type, "timestamp": at // 1_000_000, "data": {kind: subject}}
    subject_id: str = subject.id  # type: ignore[attr-defined]
    return Event(event_id, event_type, subject_id, msgspec.json.encode(body).decode(), at)
