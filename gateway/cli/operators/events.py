"""`ledgate events`: the ledger of facts, in an order that no late commit can slip into."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from cyclopts import App, Parameter, validators
from rich.text import Text

from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.asked import Limit, MerchantOption
from gateway.cli.operators.output import Json, Row, brief, plain, show_json
from gateway.cli.operators.session import EPILOGUE, connect, find, rows
from gateway.cli.screen import Screen
from kit import ids

if TYPE_CHECKING:
    from kit.db import Connection

app = App(name="events", help="The ledger of events: read its end, follow it.", help_epilogue=EPILOGUE)

_PAGE = 1000
_SLACK = timedelta(days=1)
"""How much older than its commit an event's id may be; it keeps the walk in few partitions."""


class Place(NamedTuple):
    """A place in the ledger: what comes later stands after (xact_id, id), and has an id of `from_id` at least."""

    after_xact: str
    after_id: str
    from_id: str


@app.command
def tail(
    *,
    merchant: MerchantOption = None,
    type: Annotated[str | None, Parameter(help="Of this type only: payment.success, or payment.* for a group.")] = None,  # noqa: A002 - the option's name
    since: Annotated[str | None, Parameter(help="All after this event, evt_…, instead of the last ones.")] = None,
    limit: Limit = 20,
    follow: Annotated[
        bool, Parameter(name=["--follow", "-f"], negative=(), help="Go on with what comes; Ctrl-C ends.")
    ] = False,
    every: Annotated[
        float, Parameter(validator=validators.Number(gte=0.1, lte=60), help="Seconds between looks with --follow.")
    ] = 1.0,
    json: Json = False,
) -> int:
    """Print the end of the ledger, the oldest event first. With --json one line each, with the body that is sent.

    Events stand in the order of the transactions that wrote them, and one is printed when every older transaction has
    ended: a late commit is never missed, and a long transaction anywhere on the server delays what comes after it.
    """
    said = Screen()
    printer = _Printer(said, json=json)

    async def run() -> None:
        async with connect(find(), writes=False) as conn:
            filters: dict[str, object] = {"merchant_id": await asked.known(conn, merchant), **_types(type)}
            place = await _begin(conn, filters, since, limit, printer)
            if since is not None or follow:
                place = await _go_on(conn, filters, place, printer, most=None if follow else limit)
            while follow and not said.closed:
                await asyncio.sleep(every)
                place = await _go_on(conn, filters, place, printer, most=None)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return 0
    return 0


async def _begin(
    conn: Connection, filters: dict[str, object], since: str | None, limit: int, printer: _Printer
) -> Place:
    """Print the last events, unless it begins at a named one; where to go on."""
    if since is not None:
        found = await rows(conn, "operator_event_place", {"id": since})
        if not found:
            raise CliError(f"There is no event {plain(since)}.")
        return Place(found[0]["xact_id"], found[0]["id"], _floor(found[0]["created_at"]))
    horizon = await _horizon(conn)
    printer.print(await rows(conn, "operator_newest_events", filters | {"horizon": horizon, "limit": limit}))
    return Place(horizon, "", _floor(datetime.now(UTC)))


async def _go_on(
    conn: Connection, filters: dict[str, object], place: Place, printer: _Printer, *, most: int | None
) -> Place:
    """Print what stands after a place, up to where the ledger is complete now; where to go on."""
    # Asked for first: the events' statement has a later snapshot, which holds all that was committed before this one.
    horizon = await _horizon(conn)
    page = most or _PAGE
    while True:
        values = filters | place._asdict() | {"horizon": horizon, "limit": page}
        found = await rows(conn, "operator_events_after", values)
        printer.print(found)
        if most is not None or len(found) < page or printer.screen.closed:
            return Place(horizon, "", _floor(datetime.now(UTC)))
        last = found[-1]
        place = Place(str(last["xact_id"]), last["id"], place.from_id)


async def _horizon(conn: Connection) -> str:
    (row,) = await rows(conn, "operator_horizon", {})
    return str(row["horizon"])


def _floor(time: datetime) -> str:
    return ids.lower_bound("evt", (time - _SLACK).timestamp())


def _types(wanted: str | None) -> dict[str, object]:
    if wanted is None or wanted == "*":
        return {}
    return {"group": wanted.removesuffix("*")} if wanted.endswith(".*") else {"type": wanted}


class _Printer:
    """Prints events as they come: columns of fixed width, since nobody knows what comes next."""

    def __init__(self, screen: Screen, *, json: bool) -> None:
        self.screen = screen
        self._json = json

    def print(self, events: list[Row]) -> None:
        for event in events:
            if self._json:
                show_json(_shown(event), self.screen)
            else:
                # Ids are never cut: the event's own is left out where two do not fit, then the merchant's.
                line = f"{brief(event['created_at']):<11} {plain(event['type']):<16} {plain(event['subject_id'])}"
                for one in (event["id"], event["merchant_id"]):
                    if len(line) + len(one) + 1 <= self.screen.width:
                        line += f" {one}"
                self.screen.say(Text(line))


def _shown(event: Row) -> Row:
    names = ("id", "type", "merchant_id", "subject_id", "deliveries", "created_at")
    return {name: event[name] for name in names} | {"body": msgspec.Raw(event["body"].encode())}
