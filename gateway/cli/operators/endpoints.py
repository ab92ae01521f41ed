"""`ledgate endpoints`: where merchants want to be told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from gateway import egress, endpoint_rules
from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.asked import Limit
from gateway.cli.operators.output import Column, Json, Row, facts, full, plain, show_json, show_list, span
from gateway.cli.operators.session import EPILOGUE, find, read, rows, write
from gateway.cli.screen import Screen
from gateway.errors import BadRequestError
from gateway.merchants import SQL
from gateway.secrets import make_sealer
from kit.db import fetch
from kit.seal import SealError
from outbox import endpoints

if TYPE_CHECKING:
    from gateway.config import Config
    from kit.db import Connection

app = App(
    name="endpoints",
    help="Webhook endpoints: list, show, create, enable, disable, read a secret.",
    help_epilogue=f"{EPILOGUE} `create` and `secret` need LEDGATE_SECRET_KEYS, or TEST_MODE=true.",
)

_REASON_MOST = 200


@app.command(name="list")
def list_(merchant: str | None = None, /, *, limit: Limit = 100, json: Json = False) -> int:
    """List endpoints of one merchant or of all.

    Args:
        merchant: mer_…
    """

    async def look(conn: Connection) -> list[Row]:
        await asked.known(conn, merchant)
        return await rows(conn, "operator_endpoints", {"merchant_id": merchant, "limit": limit + 1})

    found = read(look)
    shown, more = found[:limit], len(found) > limit
    if json:
        show_json({"data": [_shown(row) for row in shown], "has_more": more})
        return 0
    columns = [
        Column("ENDPOINT", lambda row: row["id"]),
        Column("STATE", _state),
        Column("CIRCUIT", lambda row: str(row["circuit"]) if row["probe_at"] else "", optional=True),
        Column("FAILING SINCE", lambda row: full(row["failing_since"]) or "", optional=True),
        Column("RATE", lambda row: f"{row['rate']}/s" if row["rate"] else "", optional=True),
        Column("ORDERED", lambda row: "yes" if row["ordered"] else "", optional=True),
        Column("EVENTS", lambda row: ",".join(row["events"]), elastic=True),
        Column("URL", lambda row: row["url"], elastic=True),
    ]
    if merchant is None:
        columns.append(Column("MERCHANT", lambda row: row["merchant_id"], optional=True))
    show_list(columns, shown, nothing="There is no endpoint: ledgate endpoints create MERCHANT URL", more=more)
    return 0


@app.command
def show(endpoint: str, /, *, json: Json = False) -> int:
    """Show an endpoint; never its secret.

    Args:
        endpoint: whep_…
    """
    found = read(lambda conn: _find(conn, endpoint))
    if json:
        show_json(_shown(found))
        return 0
    schedule = found["retry_schedule"]
    pairs = (
        ("endpoint", found["id"] + (", the merchant's default" if found["default"] else "")),
        ("merchant", f"{found['merchant_id']}  {found['merchant']}"),
        ("url", found["url"]),
        ("state", _state(found)),
        ("reason", found["disabled_reason"]),
        ("disabled", full(found["disabled_at"]) if found["disabled_at"] else None),
        ("circuit", _circuit(found)),
        ("failing", _trouble(found)),
        ("events", ", ".join(found["events"])),
        ("retries after", ", ".join(span(step) for step in schedule) if schedule else "the default schedule"),
        ("rate", f"{found['rate']} attempts a second" if found["rate"] else "no limit"),
        ("ordered", "an event waits for the one before" if found["ordered"] else None),
        ("old secret", f"signs too until {full(found['previous_secret_expires_at'])}" if _overlaps(found) else None),
        ("created", full(found["created_at"])),
        ("updated", full(found["updated_at"])),
    )
    facts(Screen(), pairs)
    return 0


@app.command
def create(
    merchant: str,
    url: str,
    /,
    *,
    event: Annotated[
        list[str] | None,
        Parameter(negative=(), help="A type, payment.* or *; may be given several times. All events without."),
    ] = None,
    json: Json = False,
) -> int:
    """Make an endpoint with a new secret, which `ledgate endpoints secret` shows.

    Args:
        merchant: mer_…
        url: Where webhooks are sent, http:// or https://.
    """
    try:
        events = endpoint_rules.check_events(event or ["*"], "--event")
        asyncio.run(egress.check_once(find().config.egress, url, "URL"))
    except BadRequestError as error:
        raise CliError(error.description, code=2) from None

    async def make(conn: Connection, config: Config) -> str:
        found = await asked.merchant(conn, merchant)
        at = {"bucket": found["bucket"], "merchant_id": merchant}
        await endpoints.lock(conn, merchant_id=merchant)
        if await endpoints.count(conn, bucket=found["bucket"], merchant_id=merchant) >= endpoints.MAX_ENDPOINTS:
            raise CliError(f"The merchant has {endpoints.MAX_ENDPOINTS} endpoints, which is as many as there may be.")
        endpoint_id, _ = await endpoints.add(conn, make_sealer(config), **at, url=url, event_types=events)
        return endpoint_id

    made = write(make)
    if json:
        show_json({"id": made, "merchant_id": merchant, "url": url, "events": events})
        return 0
    screen = Screen()
    screen.line(made)
    screen.say(f"Its secret: ledgate endpoints secret {made}")
    return 0


@app.command
def enable(endpoint: str, /, *, json: Json = False) -> int:
    """Turn an endpoint on. What was kept for it while it was off is sent with `ledgate deliveries retry`.

    Args:
        endpoint: whep_…
    """
    return _switch(endpoint, enabled=True, reason=None, json=json)


@app.command
def disable(
    endpoint: str,
    /,
    *,
    reason: Annotated[str, Parameter(help="What its merchant reads.")] = "turned off by the operator",
    json: Json = False,
) -> int:
    """Turn an endpoint off.

    Args:
        endpoint: whep_…
    """
    if not reason.strip() or len(reason) > _REASON_MOST or not reason.isprintable():
        raise CliError(f"--reason: 1 to {_REASON_MOST} characters that can be read.", code=2)
    return _switch(endpoint, enabled=False, reason=reason.strip(), json=json)


@app.command
def secret(endpoint: str, /, *, json: Json = False) -> int:
    """Show the secret that signs an endpoint's webhooks. It needs LEDGATE_SECRET_KEYS, or TEST_MODE=true.

    Args:
        endpoint: whep_…
    """

    async def unseal(conn: Connection, config: Config) -> endpoints.Secret:
        sealer = make_sealer(config)
        found = await _find(conn, endpoint)
        at = {"bucket": found["bucket"], "merchant_id": found["merchant_id"]}
        try:
            held = await endpoints.read_secret(conn, sealer, endpoint, **at)
        except SealError as error:
            raise CliError(f"The secret of {endpoint} cannot be opened: {error}") from None
        if held is None:
            raise CliError(f"There is no endpoint {endpoint}.")
        return held

    held = write(unseal)
    if json:
        show_json({"id": endpoint, "secret": held.webhook_secret})
    else:
        Screen().line(held.webhook_secret)
    return 0


def _switch(endpoint: str, *, enabled: bool, reason: str | None, json: bool) -> int:
    async def change(conn: Connection) -> None:
        found = await _find(conn, endpoint)
        at = {"bucket": found["bucket"], "merchant_id": found["merchant_id"], "id": endpoint}
        # Unlike a filter, a reason of None is said: there is none any more.
        await fetch(conn, SQL["operator_switch_endpoint"], at | {"enabled": enabled, "reason": reason})

    write(lambda conn, _: change(conn))
    if json:
        show_json({"id": endpoint, "enabled": enabled, "disabled_reason": reason})
    else:
        Screen().tick(f"{endpoint} is {'enabled' if enabled else 'disabled'}")
    return 0


async def _find(conn: Connection, endpoint: str) -> Row:
    found = await rows(conn, "operator_endpoints", {"id": endpoint, "limit": 1})
    if not found:
        raise CliError(f"There is no endpoint {plain(endpoint)}; `ledgate endpoints list` shows them.")
    return found[0]


def _state(row: Row) -> str:
    if not row["enabled"]:
        return "disabled"
    return "failing" if row["failing_since"] else "enabled"


def _circuit(row: Row) -> str | None:
    """Nothing while it is closed."""
    if row["circuit"] == "open":
        return f"open until {full(row['probe_at'])}"
    return "half open: one probe decides" if row["circuit"] == "half_open" else None


def _trouble(row: Row) -> str | None:
    if not row["failing_since"]:
        return None
    return f"since {full(row['failing_since'])}, {row['failures']} attempts (last: {row['last_error']})"


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "bucket"}


def _overlaps(row: Row) -> bool:
    until = row["previous_secret_expires_at"]
    return until is not None and until > datetime.now(UTC)
