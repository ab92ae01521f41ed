"""`ledgate histories`: what is kept of events, deliveries and attempts, and how much room it takes."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from gateway.cli.operators.output import Column, Json, Row, full, show_json, show_list
from gateway.cli.operators.session import EPILOGUE, read, rows

app = App(name="histories", help="The histories: from when on they are kept, and their size.", help_epilogue=EPILOGUE)


@app.command
def show(*, json: Json = False) -> int:
    """Show the histories: days, size with indexes, and since when all of it is there.

    They end by whole days (LEDGATE_EVENT_RETENTION, LEDGATE_ATTEMPT_RETENTION); there are partitions for a week ahead.
    """
    found = [_shown(row) for row in read(lambda conn: rows(conn, "operator_histories", {}))]
    if json:
        show_json({"data": found, "has_more": False})
        return 0
    columns = (
        Column("HISTORY", lambda row: row["name"]),
        Column("DAYS", lambda row: str(row["days"]), right=True),
        Column("FIRST DAY", lambda row: row["oldest"] or "-"),
        Column("LAST DAY", lambda row: row["newest"] or "-"),
        Column("SIZE", lambda row: _size(row["bytes"]), right=True),
        Column("ALL KEPT SINCE", lambda row: full(row["kept_from"]) or "the beginning", optional=True),
    )
    show_list(columns, found, nothing="There is no history.")
    return 0


def _shown(row: Row) -> dict[str, Any]:
    return row | {name: _date(row[name]) for name in ("oldest", "newest")}


def _date(day: str | None) -> str | None:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else None


def _size(count: int) -> str:
    value, units = float(count), ["B", "kiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:  # noqa: PLR2004 - IEC 80000-13
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
