"""`ledgate queue`: the open work, and who works it off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import App, Parameter, validators

from gateway.cli.operators.output import Column, Json, Row, facts, heading, show_json, span, table
from gateway.cli.operators.session import EPILOGUE, connect, find, rows
from gateway.cli.screen import Screen
from outbox import work

if TYPE_CHECKING:
    from kit.db import Connection

app = App(name="queue", help="The open work and who works it off.", help_epilogue=EPILOGUE)

_MERCHANTS_SHOWN = 10
_KINDS = len(get_args(work.Kind))

_WORK = (
    Column("OPEN", lambda row: str(row["open"]), right=True),
    Column("DUE", lambda row: str(row["due"]), right=True),
    Column("WAITING", lambda row: str(row["waiting"]), right=True),
    Column("LEASED", lambda row: str(row["leased"]), right=True),
    Column("LATE BY", lambda row: span(row["overdue_s"]) if row["due"] else "-", right=True),
    Column("OLDEST", lambda row: span(row["oldest_s"]), right=True),
)


@app.command
def status(
    *,
    watch: Annotated[
        bool, Parameter(name=["--watch", "-w"], negative=(), help="Again and again; Ctrl-C ends.")
    ] = False,
    every: Annotated[
        float, Parameter(validator=validators.Number(gte=0.2, lte=3600), help="Seconds between looks with --watch.")
    ] = 2.0,
    json: Json = False,
) -> int:
    """Show open work by kind and by merchant, the dispatchers, and what was finished within 24 hours.

    Work is due when its time has come (`late by`: since when), waiting before, and leased while a dispatcher does it.
    It counts the whole queue, which holds open work only; a dispatcher that was not seen for 5 s is silent.
    """
    screen = Screen()

    async def run() -> None:
        async with connect(find(), writes=False, whole_tables=True) as conn:
            while not screen.closed:
                found = await _read(conn)
                if json:
                    show_json(found, screen)
                else:
                    if watch:
                        screen.clear()
                    _show(screen, found)
                if not watch:
                    return
                await asyncio.sleep(every)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return 0
    return 0


async def _read(conn: Connection) -> dict[str, Any]:
    async with conn.transaction():  # one snapshot
        counted = await rows(conn, "operator_queue", {"limit": _KINDS + _MERCHANTS_SHOWN})
        dispatchers = await rows(conn, "operator_dispatchers", {})
        totals = await work.status(conn)
    return {
        "running": totals.running,
        "pending": totals.pending,
        "processing": totals.processing,
        "completed_24h": totals.completed,
        "failed_24h": totals.failed,
        "kinds": [_without(row, "merchant_id", "merchant") for row in counted if row["kind"]],
        "merchants": [_without(row, "kind") for row in counted if not row["kind"]][:_MERCHANTS_SHOWN],
        "dispatchers": dispatchers,
    }


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _show(screen: Screen, found: dict[str, Any]) -> None:
    live = sum(row["live"] for row in found["dispatchers"])
    facts(
        screen,
        (
            ("pending", str(found["pending"])),
            ("processing", str(found["processing"])),
            ("within 24 h", f"{found['completed_24h']} completed, {found['failed_24h']} failed"),
            ("dispatchers", f"{live} live" if live else "none lives: nobody works it off"),
        ),
    )
    if found["kinds"]:
        heading(screen, "Open work by kind")
        screen.tabulate(table((Column("KIND", lambda row: row["kind"]), *_WORK), found["kinds"], width=screen.width))
        heading(screen, "Merchants with the most")
        of_merchant = (
            Column("MERCHANT", lambda row: row["merchant_id"]),
            *_WORK,
            Column("NAME", lambda row: row["merchant"] or "-", optional=True),
        )
        screen.tabulate(table(of_merchant, found["merchants"], width=screen.width))
    if found["dispatchers"]:
        heading(screen, "Dispatchers")
        columns = (
            Column("HOST", lambda row: row["host"], elastic=True),
            Column("PID", lambda row: str(row["pid"]), right=True),
            Column("STATE", lambda row: "live" if row["live"] else "silent"),
            Column("SEEN", lambda row: f"{span(row['seen_s'])} ago", right=True),
            Column("IN FLIGHT", lambda row: str(row["in_flight"]), right=True),
            Column("DELIVERED", lambda row: str(row["delivered"]), right=True),
            Column("PROCESSED", lambda row: str(row["processed"]), right=True),
            Column("VERSION", lambda row: row["version"], optional=True),
            Column("ID", lambda row: row["id"], optional=True),
        )
        screen.tabulate(table(columns, found["dispatchers"], width=screen.width))
