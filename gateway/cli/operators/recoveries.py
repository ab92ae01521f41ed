"""`ledgate webhooks recover` and its kin: send a range again, follow the job, hold it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from gateway import recoveries
from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.asked import Limit, MerchantOption
from gateway.cli.operators.output import Column, Json, Row, brief, facts, full, plain, show_json, show_list
from gateway.cli.operators.session import connect, find, read, rows, write
from gateway.cli.screen import Screen
from gateway.merchants import Merchant
from outbox import work

if TYPE_CHECKING:
    from gateway.recoveries import DryRun, Verb
    from kit.db import Connection
    from outbox.recoveries import Recovery

_CANNOT = "endpoint off or gone, or event past its retention"
_EVERY = 0.5  # seconds between looks at a job that is followed


def recover(
    *,
    merchant: Annotated[str, Parameter(help="Whose, mer_…")],
    since: Annotated[str, Parameter(help="Events not older than this: 30m, 12h, 7d, or a UTC time.")],
    until: Annotated[str | None, Parameter(help="Events before this, in the same words; now by default.")] = None,
    endpoint: Annotated[str | None, Parameter(help="To this endpoint only, whep_…")] = None,
    event: Annotated[str | None, Parameter(help="Of this type of event only, or of a family: payment.*")] = None,
    status: Annotated[
        Literal["failed", "missed", "success"] | None,
        Parameter(help="failed and missed (disabled, or not there) by default; success sends again what arrived."),
    ] = None,
    rate: Annotated[
        int, Parameter(validator=validators.Number(gte=1, lte=1000), help="Deliveries a second, at most.")
    ] = recoveries.DEFAULT_RATE,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only count.")] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Do not ask.")] = False,
    json: Json = False,
) -> int:
    """Send a range of a merchant's webhooks again, as a job that dispatchers work off behind new events.

    It counts, asks, starts the job and follows it. Ctrl-C leaves the job running. With --json it is not followed.
    """
    from_time = asked.since(since)
    try:
        to_time = asked.since(until)
    except CliError as error:
        raise CliError(str(error).replace("--since", "--until", 1), code=2) from None
    what: dict[str, Any] = {
        "since": from_time, "until": to_time, "endpoint": endpoint, "event": event, "status": status,
    }  # fmt: skip

    async def count(conn: Connection) -> DryRun:
        return await recoveries.dry_run(conn, await _merchant(conn, merchant), **what)

    async def start(conn: Connection) -> Recovery:
        return await recoveries.start(conn, await _merchant(conn, merchant), rate=rate, **what)

    screen = Screen()
    if dry_run or not yes:
        counted = read(count)
        if dry_run:
            show_json(counted) if json else _show_count(screen, counted)
            return 0
        if not _agreed(screen, counted):
            screen.say("Nothing was started.")
            return 1
    made = write(lambda conn, _: start(conn))
    if json:
        show_json(made)
        return 0
    screen.line(made.id)
    return _follow(screen, made.id)


def list_(*, merchant: MerchantOption = None, limit: Limit = 20, json: Json = False) -> int:
    """List recoveries, the newest first."""

    async def look(conn: Connection) -> list[Row]:
        return await rows(
            conn, "operator_recoveries", {"merchant_id": await asked.known(conn, merchant), "limit": limit + 1}
        )

    found = read(look)
    shown, more = found[:limit], len(found) > limit
    if json:
        show_json({"data": [_public(row) for row in shown], "has_more": more})
        return 0
    columns = [
        Column("RECOVERY", lambda row: row["id"]),
        Column("STARTED", lambda row: brief(row["created_at"])),
        Column("STATUS", lambda row: row["status"]),
        Column("SENT", lambda row: str(row["scheduled"]), right=True),
        Column("OF", lambda row: ("" if row["total_is"] == "exact" else "≥ ") + str(row["total"]), right=True),
        Column("SKIPPED", lambda row: str(row["skipped"]), right=True, optional=True),
        Column("WHAT", lambda row: "+".join(row["recovers"]), optional=True),
        Column("EVENT", lambda row: row["event"] or "", optional=True),
        Column("ENDPOINT", lambda row: row["endpoint"] or "", optional=True),
    ]
    if merchant is None:
        columns.append(Column("MERCHANT", lambda row: row["merchant_id"], optional=True))
    show_list(columns, shown, nothing="There is no recovery: ledgate webhooks recover", more=more)
    return 0


def follow(recovery: str, /) -> int:
    """Follow a recovery to its end. Ctrl-C leaves it running.

    Args:
        recovery: rcv_…
    """
    read(lambda conn: _find(conn, recovery))
    return _follow(Screen(), recovery)


def pause(recovery: str, /, *, json: Json = False) -> int:
    """Hold a recovery: it schedules no more. What it scheduled stays on its way.

    Args:
        recovery: rcv_…
    """
    return _move(recovery, "pause", json=json)


def resume(recovery: str, /, *, json: Json = False) -> int:
    """Let a recovery that was paused go on.

    Args:
        recovery: rcv_…
    """
    return _move(recovery, "resume", json=json)


def cancel(recovery: str, /, *, json: Json = False) -> int:
    """End a recovery where it is. What it scheduled stays on its way.

    Args:
        recovery: rcv_…
    """
    return _move(recovery, "cancel", json=json)


def _move(recovery: str, verb: Verb, *, json: bool) -> int:
    async def move(conn: Connection) -> Recovery:
        found = await _find(conn, recovery)
        return await recoveries.move(conn, _as_merchant(found["merchant_id"], found), recovery, verb)

    moved = write(lambda conn, _: move(conn))
    if json:
        show_json(moved)
    else:
        Screen().tick(f"{moved.id} is {moved.status}, {moved.scheduled} of {_total(moved.total, moved.total_is)} sent")
    return 0


def _follow(screen: Screen, recovery: str) -> int:
    """Show how far it is until it ends or stands still."""

    async def look() -> Row:
        async with connect(find(), writes=False) as conn:
            found = await _find(conn, recovery)
            if not (await work.status(conn)).running:
                screen.say("No dispatcher lives: it goes on when one does.")
            with screen.bar("Sending again", total=found["total"] or None) as show:
                while found["status"] == "running" and not screen.closed:
                    show(found["scheduled"] + found["skipped"])
                    await asyncio.sleep(_EVERY)
                    found = await _find(conn, recovery)
                show(found["scheduled"] + found["skipped"])
        return found

    try:
        found = asyncio.run(look())
    except KeyboardInterrupt:
        screen.say()
        screen.say(
            f"It goes on without you. To see it: ledgate webhooks follow {recovery}; to hold it: ledgate webhooks"
            f" pause {recovery}; to end it: ledgate webhooks cancel {recovery}"
        )
        return 0
    skipped = f", {found['skipped']} skipped: endpoint off or gone, or event past its retention" * bool(
        found["skipped"]
    )
    text = f"{found['id']} is {found['status']}: {found['scheduled']} sent on their way{skipped}"
    if found["status"] == "done":
        screen.tick(text)
        screen.say(f"What became of them: ledgate deliveries list --merchant {found['merchant_id']}")
    else:
        screen.cross(text)
    return 0 if found["status"] == "done" else 1


def _show_count(screen: Screen, counted: DryRun) -> None:
    cannot = f"{counted.skipped}: {_CANNOT}" if counted.skipped else None
    pairs = [
        ("to send", _total(counted.total, counted.total_is)),
        ("what", " and ".join(counted.recovers)),
        ("since", full(counted.since)),
        ("until", full(counted.until)),
        ("cannot be sent", cannot),
    ]
    facts(screen, [*pairs, *((name, str(number)) for name, number in counted.by_event.items())])


def _agreed(screen: Screen, counted: DryRun) -> bool:
    if not sys.stdin.isatty():
        raise CliError("Nobody is here to be asked; add --yes, or --dry-run to count.", code=2)
    _show_count(screen, counted)
    return input("Send them again? [y/N] ").strip().lower() in {"y", "yes"}


def _total(total: int, total_is: str) -> str:
    return f"{total}" if total_is == "exact" else f"at least {total}"


async def _merchant(conn: Connection, merchant_id: str) -> Merchant:
    return _as_merchant(merchant_id, await asked.merchant(conn, merchant_id))


def _as_merchant(merchant_id: str, row: Row) -> Merchant:
    return Merchant(merchant_id, row["bucket"], "", "operator", frozenset())


async def _find(conn: Connection, recovery: str) -> Row:
    found = await rows(conn, "operator_recoveries", {"id": recovery, "limit": 1})
    if not found:
        raise CliError(f"There is no recovery {plain(recovery)}; `ledgate webhooks recoveries` shows them.")
    return found[0]


def _public(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "bucket"}
