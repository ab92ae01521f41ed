"""Refunds on their way through the processor: transaction, network, transaction; no transaction while it decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from gateway import refunds
from gateway.facts import fact
from gateway.merchants import SQL
from gateway.processors import Approved, Declined, MoneyBack, Outcome
from gateway.refunds import Refund, RefundStatus
from kit.db import fetch
from outbox.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.db import Connection

_OVER = Declined("refund_over", "The refund had ended before")


class Ready(msgspec.Struct, frozen=True):
    """The processor may be asked."""

    work: Work
    asked: MoneyBack
    refund: Refund


class Over(msgspec.Struct, frozen=True):
    """The refund has ended already, or is gone: there is nothing to do."""

    work: Work


class Result(msgspec.Struct, frozen=True):
    """How a refund ended."""

    work: Work
    refund: Refund | None
    """As it was before; None for work that had nothing to do."""
    outcome: Outcome = _OVER


async def begin(conn: Connection, works: Sequence[Work]) -> list[Ready | Over]:
    """Read claimed refunds in one statement. What they promise was taken from their payments when they were made."""
    batch = [{"n": n, "bucket": w.bucket, "merchant_id": w.merchant_id, "id": w.id} for n, w in enumerate(works)]
    rows = await fetch(conn, SQL["begin_refunds"], {"batch": msgspec.json.encode(batch).decode()})
    pending = {row["n"]: row for row in rows if row["status"] == "pending"}
    return [
        Ready(
            work,
            MoneyBack(
                refund_id=work.id,
                payment_id=row["payment_id"],
                charge_reference=row["processor_ref"],
                amount=row["amount"],
                currency=row["currency"],
            ),
            refunds.from_row(row),
        )
        if (row := pending.get(n))
        else Over(work)
        for n, work in enumerate(works)
    ]


async def settle(conn: Connection, results: Sequence[Result], *, dispatcher: str) -> int:
    """Write ends down with their events, and give back what failed, in one statement and one durable commit.

    Returns how many counted; the others had lost their lease.
    """
    now = datetime.now(UTC)
    values = {
        "batch": msgspec.json.encode([_item(n, result, now) for n, result in enumerate(results)]).decode(),
        "dispatcher": dispatcher,
        "writer": f"{dispatcher}/refund",
    }
    return (await conn.execute(SQL["settle_refunds"], values)).rowcount


def _item(n: int, result: Result, now: datetime) -> dict[str, object]:
    work, outcome = result.work, result.outcome
    approved = isinstance(outcome, Approved)
    declined = outcome if isinstance(outcome, Declined) else None
    status: RefundStatus = "processed" if approved else "failed"
    facts = []
    if result.refund is not None:
        assert status in refunds.MOVES[result.refund.status]  # noqa: S101 - the database checks it again
        ended = msgspec.structs.replace(
            result.refund,
            status=status,
            error_code=declined.code if declined else None,
            error_description=declined.description if declined else None,
            version=result.refund.version + 1,
            processed_at=now,
        )
        facts.append(fact(f"refund.{status}", "refund", ended, now))
    return {
        "n": n,
        "bucket": work.bucket,
        "merchant_id": work.merchant_id,
        "work_id": work.id,
        "claims": work.claims,
        "status": status,
        "error_code": declined.code if declined else None,
        "error_description": declined.description if declined else None,
        "processor_ref": outcome.reference if isinstance(outcome, Approved) else None,
        "settled_at": now,
        "facts": facts,
    }
