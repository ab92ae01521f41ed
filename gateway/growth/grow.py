"""Grow the demo merchants' past, in a database of test mode, once."""

from __future__ import annotations

import time
from datetime import timedelta
from importlib.metadata import version
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from gateway import demo
from gateway.growth import endpoints, write
from gateway.growth.business import Grower, Shop, micros
from gateway.growth.endpoints import Ground
from gateway.growth.receivers import Post
from gateway.merchants import bucket_of
from kit.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.config import Config
    from gateway.growth.receivers import Receiver, Sent
    from kit.seal import Sealer

DAYS = 30
PAYMENTS = 4_000
SEED = 2024

_NEIGHBOURS = (
    ("mer_demo_kaveri", "Kaveri Textiles", "KT", 0.22),
    ("mer_demo_ladakh", "Ladakh Treks", "LT", 0.05),
)
"""Other merchants, for the operators' view: id, name, receipts, and how much they sell."""


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """What was made."""

    payments: int
    events: int
    deliveries: int
    rows: int
    seconds: float


def grow(
    database_url: str,
    config: Config,
    sealer: Sealer,
    *,
    now: datetime,
    payments: int = PAYMENTS,
    days: int = DAYS,
    seed: int = SEED,
    again: bool = False,
) -> Grown | None:
    """Make up `days` of the demo merchant's past, and some of its neighbours'. None when that was done before.

    Args:
        database_url: as the login that owns the tables.
        config: the settings.
        sealer: for the endpoints' secrets.
        now: where the past ends, UTC.
        payments: of the demo merchant, about.
        days: how far back, 30 at most: attempts are kept no longer.
        seed: another one, another past.
        again: add one more past, whether or not there is one.

    Raises:
        ConfigError: not a database of test mode.
    """
    if not config.test_mode:
        raise ConfigError("a past is made up in test mode only: set TEST_MODE=true")
    began = time.perf_counter()
    chance = Random(f"{seed}/{micros(now) if again else 0}")  # noqa: S311 - make-believe
    with psycopg.connect(database_url, connect_timeout=10) as conn:
        conn.execute("SET timezone = 'UTC'")
        conn.execute("SELECT pg_advisory_xact_lock(5, hashtext(%s))", [demo.MERCHANT_ID])
        if conn.execute("SELECT FROM merchants WHERE id = %s", [demo.MERCHANT_ID]).fetchone() is None:
            raise ConfigError("this database has no demo merchant: a past is made up for a demo only")
        if not again and _is_grown(conn):
            return None
        write.make_partitions(conn, now=now, days=days)
        shop = Shop(
            merchant_id=demo.MERCHANT_ID,
            bucket=_bucket(conn, demo.MERCHANT_ID),
            name="Ledgate Demo",
            receipts="LD",
            payments=payments,
        )
        ground = Ground(conn, config, sealer, now, days, chance)
        done = [_one(ground, shop, endpoints.of_demo(ground, shop))]
        for merchant_id, name, receipts, share in _NEIGHBOURS:
            other = Shop(
                merchant_id=merchant_id,
                bucket=bucket_of(merchant_id),
                name=name,
                receipts=receipts,
                payments=max(2, int(payments * share)),
            )
            conn.execute(
                "INSERT INTO merchants (id, bucket, name, created_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [merchant_id, other.bucket, name, now - timedelta(days=days + 20)],
            )
            done.append(_one(ground, other, [endpoints.of_neighbour(ground, other)]))
        # Their events have old ids: they are counted from the beginning of their partitions.
        conn.execute(
            "UPDATE figure_places SET from_id = '' WHERE merchant_id = ANY(%s)",
            [[shop.merchant_id, *(merchant_id for merchant_id, *_ in _NEIGHBOURS)]],
        )
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("ANALYZE orders, payments, refunds, events, deliveries, delivery_attempts, outbox, endpoints")
    totals = [sum(numbers) for numbers in zip(*done, strict=True)]
    return Grown(
        payments=totals[0],
        events=totals[1],
        deliveries=totals[2],
        rows=totals[3],
        seconds=time.perf_counter() - began,
    )


def _is_grown(conn: psycopg.Connection[Any]) -> bool:
    found = conn.execute("SELECT FROM merchants WHERE id = %s", [_NEIGHBOURS[0][0]]).fetchone()
    return found is not None


def _bucket(conn: psycopg.Connection[Any], merchant_id: str) -> int:
    row = conn.execute("SELECT bucket FROM merchants WHERE id = %s", [merchant_id]).fetchone()
    assert row is not None  # noqa: S101 - it was looked for a moment ago
    return int(row[0])


def _one(ground: Ground, shop: Shop, receivers: Sequence[Receiver]) -> tuple[int, int, int, int]:
    """One merchant: payments, events, deliveries, rows."""
    business = Grower(shop, now=ground.now, days=ground.days, chance=ground.chance).grow()
    endpoints.tell(ground, business, receivers)
    post = Post(now=ground.now, chance=ground.chance, agent=f"Ledgate/{version('ledgate')}")
    sent: list[Sent] = []
    for event in business.events:
        wanting = sorted((one for one in receivers if one.wants(event)), key=lambda one: one.endpoint_id)
        sent += [post.send(event, one, ordinal) for ordinal, one in enumerate(wanting)]
    rows = write.write(ground.conn, shop, business, sent, now=ground.now)
    endpoints.keep_health(ground, shop, receivers, sent)
    endpoints.recover(ground, shop, receivers, sent)
    return len(business.payments), len(business.events), len(sent), rows
