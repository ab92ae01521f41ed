"""`ledgate payments`: tries to pay, and all that came of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from gateway.cli.operators import asked, timeline
from gateway.cli.operators.asked import Limit, MerchantOption, Since
from gateway.cli.operators.output import Column, Json, Row, brief, money, show_json, show_list
from gateway.cli.operators.session import EPILOGUE, read, rows
from kit import ids

if TYPE_CHECKING:
    from kit.db import Connection

app = App(name="payments", help="Payments: list, or show one with all that came of it.", help_epilogue=EPILOGUE)


@app.command(name="list")
def list_(
    *,
    merchant: MerchantOption = None,
    status: Annotated[Literal["pending", "success", "failed"] | None, Parameter(help="In this state only.")] = None,
    since: Since = None,
    limit: Limit = 20,
    json: Json = False,
) -> int:
    """List payments, the newest first. A rare --status failed of a long history needs --since."""
    from_time = asked.since(since)

    async def look(conn: Connection) -> list[Row]:
        values = {
            "merchant_id": await asked.known(conn, merchant),
            "status": None if status == "pending" else status,
            "from_id": ids.lower_bound("pay", from_time.timestamp()) if from_time else None,
            "limit": limit + 1,
        }
        return await rows(conn, "operator_pending_payments" if status == "pending" else "operator_payments", values)

    found = read(look)
    shown, more = found[:limit], len(found) > limit
    if json:
        show_json({"data": shown, "has_more": more})
        return 0
    columns = [
        Column("PAYMENT", lambda row: row["id"]),
        Column("CREATED", lambda row: brief(row["created_at"])),
        Column("STATUS", lambda row: row["status"]),
        Column("AMOUNT", lambda row: money(row["amount"], row["currency"]), right=True),
        Column("METHOD", _method),
        Column("ERROR", lambda row: row["error_code"] or "", elastic=True, optional=True),
        Column("ORDER", lambda row: row["order_id"], optional=True),
    ]
    if merchant is None:
        columns.append(Column("MERCHANT", lambda row: row["merchant_id"], optional=True))
    show_list(columns, shown, nothing="There is no such payment.", more=more)
    return 0


@app.command
def show(payment: str, /, *, json: Json = False) -> int:
    """Show a payment, its order, its refunds, and what happened when: events and their deliveries.

    It shows what the payment's merchant sees: of a card the brand and last four digits, a UPI address in full.

    Args:
        payment: pay_…
    """
    found = read(lambda conn: timeline.read(conn, payment))
    if json:
        show_json(found)
    else:
        timeline.show(found)
    return 0


def _method(row: Row) -> str:
    return (
        f"{row['card_brand']} {row['card_last4']}"
        if row["card_brand"]
        else f"{row['method']} {row['flow'] or ''}".strip()
    )
