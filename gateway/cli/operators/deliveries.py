"""`ledgate deliveries`: events on their way to endpoints."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter
from rich.padding import Padding
from rich.text import Text

from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.asked import Limit, MerchantOption, Since
from gateway.cli.operators.output import (
    Column,
    Json,
    Row,
    brief,
    facts,
    full,
    heading,
    plain,
    show_json,
    show_list,
    span,
)
from gateway.cli.operators.session import EPILOGUE, connect, find, read, rows
from gateway.cli.screen import Screen
from kit import ids
from outbox import deliveries as outbox

if TYPE_CHECKING:
    from kit.db import Connection

app = App(name="deliveries", help="Webhook deliveries: list, show with their attempts, retry.", help_epilogue=EPILOGUE)

_ATTEMPTS_SHOWN = 50
_REFUSALS = {
    "ok": None,
    "unknown": "there is no such delivery",
    "event_gone": "its event is past its retention",
    "endpoint_gone": "its endpoint was removed",
    "endpoint_disabled": "its endpoint is disabled; first: ledgate endpoints enable",
}


@app.command(name="list")
def list_(
    *,
    merchant: MerchantOption = None,
    status: Annotated[Literal["pending", "success", "failed"] | None, Parameter(help="In this state only.")] = None,
    endpoint: Annotated[str | None, Parameter(help="To this endpoint only, whep_…")] = None,
    event: Annotated[str | None, Parameter(help="Of this type of event only, such as payment.success.")] = None,
    since: Since = None,
    limit: Limit = 20,
    json: Json = False,
) -> int:
    """List deliveries, those of the newest events first.

    A rare --event or --endpoint of a long history needs --since.
    """
    from_time = asked.since(since)

    async def look(conn: Connection) -> list[Row]:
        values: dict[str, object] = {
            "merchant_id": await asked.known(conn, merchant),
            "endpoint_id": endpoint,
            "event": event,
            "from_id": ids.lower_bound("dlv", from_time.timestamp()) if from_time else None,
            "limit": limit + 1,
        }
        if status is not None:
            values[status] = True
        return await rows(conn, "operator_deliveries", values)

    found = read(look)
    shown, more = found[:limit], len(found) > limit
    if json:
        show_json({"data": shown, "has_more": more})
        return 0
    columns = [
        Column("DELIVERY", lambda row: row["id"]),
        Column("CREATED", lambda row: brief(row["created_at"])),
        Column("EVENT", lambda row: row["event"]),
        Column("STATUS", lambda row: row["status"]),
        Column("TRIES", lambda row: str(row["attempts"]), right=True),
        Column("CODE", lambda row: str(row["response_code"] or "-"), right=True),
        Column("NEXT IN", _next, right=True, optional=True),
        Column("ENDPOINT", lambda row: row["endpoint_id"], optional=True),
    ]
    if merchant is None:
        columns.append(Column("MERCHANT", lambda row: row["merchant_id"], optional=True))
    show_list(columns, shown, nothing="There is no such delivery.", more=more)
    return 0


@app.command
def show(delivery: str, /, *, json: Json = False) -> int:
    """Show a delivery: the body that is sent, and each attempt with its headers and what was answered.

    Args:
        delivery: dlv_…
    """
    found = read(lambda conn: _read(conn, delivery))
    if json:
        show_json(found)
    else:
        _show(found)
    return 0


@app.command
def retry(*deliveries: str, json: Json = False) -> int:
    """Send deliveries again now, whatever their state; their attempts start over.

    Each is taken or refused by itself; the exit code is 1 when one was refused.

    Args:
        deliveries: dlv_…, one or more.
    """
    if not deliveries:
        raise CliError("Name the deliveries to send again: ledgate deliveries retry dlv_…", code=2)

    async def run() -> list[Row]:
        async with connect(find(), writes=True) as conn:
            return [await _retry(conn, one) for one in dict.fromkeys(deliveries)]

    done = asyncio.run(run())
    if json:
        show_json({"data": done})
    else:
        screen = Screen()
        for one in done:
            if one["refused"] is None:
                screen.tick(f"{one['id']} is due now")
            else:
                screen.cross(f"{plain(one['id'])}: {one['refused']}")
    return 1 if any(one["refused"] for one in done) else 0


async def _retry(conn: Connection, delivery: str) -> Row:
    found = await rows(conn, "operator_find_delivery", {"id": delivery})
    at = {name: found[0][name] for name in ("bucket", "merchant_id")} if found else {}
    verdict = await outbox.retry(conn, delivery, **at) if found else "unknown"
    return {"id": delivery, "refused": _REFUSALS[verdict]}


async def locate(conn: Connection, delivery: str) -> Row:
    """The delivery of that id, whosever it is.

    Raises:
        CliError: there is none.
    """
    found = await rows(conn, "operator_find_delivery", {"id": delivery})
    if not found:
        raise CliError(f"There is no delivery {plain(delivery)}.")
    return found[0]


async def _read(conn: Connection, delivery: str) -> dict[str, Any]:
    found = await locate(conn, delivery)
    at = {"bucket": found.pop("bucket"), "merchant_id": found["merchant_id"], "id": delivery, "limit": _ATTEMPTS_SHOWN}
    attempts = await rows(conn, "operator_attempts", at)
    return found | {"attempts_made": [_attempt(row) for row in reversed(attempts)]}


def _attempt(row: Row) -> Row:
    body = row["response_body"]
    return {
        "attempt": row["attempt"],
        "started_at": row["started_at"],
        "duration_ms": row["duration_ms"],
        "error": row["error"],
        "request_headers": msgspec.json.decode(row["request_headers"]),
        "response_code": row["response_code"],
        "response_headers": msgspec.json.decode(row["response_headers"]) if row["response_headers"] else None,
        "response_body": body.decode(errors="replace") if body is not None else None,
    }


def _show(found: dict[str, Any]) -> None:
    screen = Screen()
    state = found["status"]
    off = "" if found["endpoint_enabled"] else " (disabled)" if found["endpoint_url"] else " (gone)"
    facts(
        screen,
        (
            ("delivery", found["id"]),
            ("merchant", f"{found['merchant_id']}  {found['merchant']}"),
            ("event", f"{found['event']}  {found['event_id']}"),
            ("about", found["subject_id"]),
            ("endpoint", f"{found['endpoint_id']}{off}"),
            ("url", found["endpoint_url"]),
            ("status", state),
            ("attempts", str(found["attempts"])),
            ("next attempt", _next_in_words(found) if state == "pending" else None),
            ("created", full(found["created_at"])),
            ("finished", full(found["finished_at"])),
        ),
    )
    if found["body"] is not None:
        heading(screen, "Body")
        _block(screen, found["body"])
    for one in found["attempts_made"]:
        code = one["response_code"]
        outcome = str(code) if code else f"no answer: {one['error']}"
        heading(
            screen, f"Attempt {one['attempt']}: {plain(outcome)}, {one['duration_ms']} ms, {full(one['started_at'])}"
        )
        if code and one["error"]:
            _block(screen, one["error"])
        screen.say(Text("request headers", style="dim"))
        _block(screen, *(f"{name}: {value}" for name, value in one["request_headers"].items()))
        if one["response_headers"]:
            screen.say(Text("response headers", style="dim"))
            _block(screen, *(f"{name}: {value}" for name, value in one["response_headers"].items()))
        if one["response_body"]:
            screen.say(Text("response body", style="dim"))
            _block(screen, *one["response_body"].splitlines())


def _block(screen: Screen, *lines: str) -> None:
    for line in lines:
        screen.show(Padding(Text(plain(line), overflow="fold"), (0, 0, 0, 2)))


def _next(row: Row) -> str:
    if row["next_retry_at"] is None:
        return "under way" if row["status"] == "pending" else ""
    wait = (row["next_retry_at"] - datetime.now(UTC)).total_seconds()
    return span(wait) if wait > 0 else "now"


def _next_in_words(row: Row) -> str:
    wait = _next(row)
    if wait in {"under way", "now"}:
        return wait
    return f"in {wait}, {full(row['next_retry_at'])}"
