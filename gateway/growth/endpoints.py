"""The demo's endpoints: one that is well, one that is slow, one that was down, one that is dead, one that fails now."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gateway import demo
from gateway.growth.business import micros, moment, told
from gateway.growth.receivers import Receiver
from kit import ids
from outbox.endpoints import Endpoint, new_secret, seal_secret
from outbox.health import EndpointHealth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from random import Random

    import psycopg

    from gateway.config import Config
    from gateway.growth.business import Business, Shop
    from gateway.growth.receivers import Sent
    from kit.seal import Sealer

_DAY = 86_400 * 1_000_000
_TRIP_AFTER = 50
"""Failures in a row that open a circuit, as dispatchers have it."""


class Ground(NamedTuple):
    """What a past is grown in, and from."""

    conn: psycopg.Connection[Any]
    config: Config
    sealer: Sealer
    now: datetime
    days: int
    chance: Random


def of_demo(ground: Ground, shop: Shop) -> list[Receiver]:
    """The demo merchant's endpoints: its own default one, which is well, and four more."""
    own = ground.conn.execute(
        "SELECT id, url FROM endpoints WHERE bucket = %s AND merchant_id = %s AND is_default",
        [shop.bucket, shop.merchant_id],
    ).fetchone()
    found = []
    base = ground.config.test_merchant_url or f"http://localhost:{ground.config.test_merchant_port}/webhook"
    if own is not None:
        found.append(
            Receiver(endpoint_id=own[0], url=own[1], secret=demo.WEBHOOK_SECRET, events=("*",), character="well")
        )
        base = own[1]
    base = base.partition("?")[0]
    down, dead = ground.now - timedelta(days=8, hours=5), ground.now - timedelta(days=13, hours=3)
    asked = [
        Receiver(
            endpoint_id="", url=f"{base}?to=accounts", secret=demo.WEBHOOK_SECRET, character="slow",
            events=("payment.captured", "refund.*"),
        ),
        Receiver(
            endpoint_id="", url=f"{base}?to=warehouse", secret=demo.WEBHOOK_SECRET, character="was_down",
            events=("payment.success", "order.paid"), bad_from=micros(down),
            bad_until=micros(down + timedelta(hours=6)), recovered_at=micros(down + timedelta(hours=19)),
            recovered_until=micros(down + timedelta(hours=5)),
        ),
        Receiver(
            endpoint_id="", url="https://crm.old-shop.example/hooks/ledgate", secret=new_secret(), character="dead",
            events=("payment.success", "refund.*"), bad_from=micros(dead), bad_until=micros(ground.now) + 1,
            ends=micros(dead + timedelta(days=5)),
        ),
        Receiver(
            endpoint_id="", url="https://alerts.shop.example/v2/payment-failures", secret=new_secret(),
            character="fails", events=("payment.failed", "refund.failed"),
            bad_from=micros(ground.now - timedelta(hours=27)), bad_until=micros(ground.now) + 1,
        ),
    ]  # fmt: skip
    words = ("Accounting", "Warehouse: what was paid is packed", "The old CRM", "Alerts for the support team")
    for one, description in zip(asked, words, strict=True):
        found.append(_endpoint(ground, shop, one, description, rate=20 if one is asked[0] else None))
    return found


def of_neighbour(ground: Ground, shop: Shop) -> Receiver:
    """A neighbour's only endpoint. What it is sent from now on has somewhere to go, too."""
    there = ground.conn.execute(
        "SELECT id, url FROM endpoints WHERE bucket = %s AND merchant_id = %s", [shop.bucket, shop.merchant_id]
    ).fetchone()
    url = ground.config.test_merchant_url or f"http://localhost:{ground.config.test_merchant_port}/webhook"
    one = Receiver(endpoint_id="", url=url, secret=demo.WEBHOOK_SECRET, events=("*",), character="well")
    if there is not None:
        return msgspec.structs.replace(one, endpoint_id=there[0], url=there[1])
    return _endpoint(ground, shop, one, None, default=True)


def _endpoint(
    ground: Ground,
    shop: Shop,
    one: Receiver,
    description: str | None,
    *,
    rate: int | None = None,
    default: bool = False,
) -> Receiver:
    there = ground.conn.execute(
        "SELECT id, disabled_at FROM endpoints WHERE bucket = %s AND merchant_id = %s AND url = %s",
        [shop.bucket, shop.merchant_id, one.url],
    ).fetchone()
    if there is not None:
        ends = None if there[1] is None else micros(there[1])
        bad_from = one.bad_from if ends is None else ends - 5 * _DAY
        return msgspec.structs.replace(one, endpoint_id=there[0], ends=ends, bad_from=bad_from, known=True)
    created_at = ground.now - timedelta(days=ground.days + 12, minutes=ground.chance.randrange(5000))
    endpoint_id = ids.made("whep", micros(created_at), ground.chance.getrandbits(62))
    ended = moment(one.ends) if one.ends is not None else None
    ground.conn.execute(
        "INSERT INTO endpoints (bucket, merchant_id, id, url, event_types, sealed_secret, description, rate,"
        " is_default, enabled, disabled_reason, disabled_at, version, created_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            shop.bucket, shop.merchant_id, endpoint_id, one.url, list(one.events),
            seal_secret(ground.sealer, shop.merchant_id, one.secret), description, rate, default, ended is None,
            _REASON if ended else None, ended, 5 if ended else 1, created_at, ended or created_at,
        ],
    )  # fmt: skip
    return msgspec.structs.replace(one, endpoint_id=endpoint_id)


_REASON = "every attempt failed for 5 days (last: no connection: connection refused)"


def tell(ground: Ground, business: Business, receivers: Sequence[Receiver]) -> None:
    """What the merchant's other endpoints were told of those in trouble: warnings, and the end."""

    def make_id(prefix: str, at: int) -> str:
        return ids.made(prefix, at, ground.chance.getrandbits(62), spare=True)

    for one in receivers:
        if one.known or one.character not in {"dead", "fails"}:
            continue
        row = ground.conn.execute(
            "SELECT created_at, description FROM endpoints WHERE id = %s", [one.endpoint_id]
        ).fetchone()
        assert row is not None  # noqa: S101 - it was made a moment ago
        error = "no connection: connection refused" if one.character == "dead" else "HTTP 500"
        for version_, hours in enumerate((24, 72, 96, 120), 2):
            at = one.bad_from + hours * 3_600_000_000
            if at >= micros(ground.now):
                break
            over = at == one.ends
            health = EndpointHealth(
                state="failing",
                circuit="half_open",
                failures=hours * 9,
                failing_since=moment(one.bad_from),
                last_failure_at=moment(at),
                last_error=error,
                probe_at=moment(at),
                will_be_disabled_at=None if over else moment(one.bad_from + 120 * 3_600_000_000),
                warnings=min(version_ - 1, 3),
            )
            endpoint = Endpoint(
                id=one.endpoint_id,
                url=one.url,
                events=list(one.events),
                description=row[1],
                retry_schedule=None,
                rate=None,
                ordered=False,
                header_names=[],
                enabled=not over,
                disabled_reason=_REASON if over else None,
                disabled_at=moment(at) if over else None,
                default=False,
                health=health,
                version=version_,
                created_at=row[0],
                updated_at=moment(at) if over else row[0],
            )
            name = "endpoint.disabled" if over else "endpoint.failing"
            business.events.append(told(make_id, name, "endpoint", endpoint, at))
    business.events.sort(key=lambda event: event.id)


def keep_health(ground: Ground, shop: Shop, receivers: Sequence[Receiver], sent: Sequence[Sent]) -> None:
    """What dispatchers would know of endpoints whose newest attempts all failed."""
    for one in receivers:
        tries = sorted(
            (attempt for delivery in sent if delivery.endpoint_id == one.endpoint_id for attempt in delivery.tries),
            key=lambda attempt: attempt.at,
        )
        failures = 0
        while failures < len(tries) and not tries[-1 - failures].good:
            failures += 1
        if not failures:
            continue
        first, last = tries[-failures], tries[-1]
        trips = max(0, (failures - _TRIP_AFTER) // 10 + 1) if failures >= _TRIP_AFTER else 0
        warnings = sum(one.bad_from + hours * 3_600_000_000 < micros(ground.now) for hours in (24, 72, 96))
        warnings = warnings if one.character in {"dead", "fails"} else 0
        warned = moment(one.bad_from + (24, 24, 72, 96)[warnings] * 3_600_000_000) if warnings else None
        ground.conn.execute(
            "INSERT INTO endpoint_health (bucket, merchant_id, endpoint_id, failures, failing_since, last_failure_at,"
            " last_error, open_until, trips, warnings, warned_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                shop.bucket, shop.merchant_id, one.endpoint_id, failures, moment(first.at), moment(last.at),
                (last.error or f"HTTP {last.code}")[:200],
                (ground.now + timedelta(minutes=4) if one.ends is None else moment(one.ends)) if trips else None, trips,
                warnings, warned,
            ],
        )  # fmt: skip


def recover(ground: Ground, shop: Shop, receivers: Sequence[Receiver], sent: Sequence[Sent]) -> None:
    """The job that sent again what had failed."""
    for one in receivers:
        again = [delivery for delivery in sent if delivery.again and delivery.endpoint_id == one.endpoint_id]
        if one.recovered_at is None or not again:
            continue
        begun = one.recovered_at
        ground.conn.execute(
            "INSERT INTO recoveries (bucket, merchant_id, id, endpoint_id, recovers, since, until, up_to_now, rate,"
            " state, total, total_is_exact, scheduled, skipped, place, created_at, updated_at, finished_at)"
            " VALUES (%s, %s, %s, %s, '{failed}', %s, %s, false, 100, 'done', %s, true, %s, 0, %s, %s, %s, %s)",
            [
                shop.bucket, shop.merchant_id, ids.made("rcv", begun, ground.chance.getrandbits(62)), one.endpoint_id,
                moment(one.bad_from), moment(one.recovered_until), len(again), len(again), again[-1].id, moment(begun),
                moment(begun + 90_000_000), moment(begun + 90_000_000),
            ],
        )  # fmt: skip
