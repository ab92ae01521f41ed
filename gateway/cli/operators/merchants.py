"""`ledgate merchants`: the accounts that take payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from gateway import merchants, origins
from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.asked import Limit
from gateway.cli.operators.output import Column, Json, brief, facts, full, heading, show_json, show_list, table
from gateway.cli.operators.session import EPILOGUE, read, rows, write
from gateway.cli.screen import Screen
from gateway.origins import Origins

if TYPE_CHECKING:
    from gateway.cli.operators.output import Row
    from kit.db import Connection

app = App(name="merchants", help="Merchants: list, show, create.", help_epilogue=EPILOGUE)

_NAME_MOST = 200
_COUNTED = 10_000

KEY_COLUMNS = (
    Column("KEY", lambda row: row["id"]),
    Column("NAME", lambda row: row["name"] or "-", elastic=True),
    Column("SCOPES", lambda row: ",".join(row["scopes"])),
    Column("CREATED", lambda row: brief(row["created_at"])),
    Column("STATE", lambda row: "revoked" if row["revoked_at"] else "active"),
)


@app.command(name="list")
def list_(
    *,
    after: Annotated[str | None, Parameter(help="Go on after this id.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> int:
    """List merchants in the order of their ids."""
    found = read(lambda conn: rows(conn, "operator_merchants", {"after": after, "limit": limit + 1}))
    shown, more = found[:limit], len(found) > limit
    if json:
        show_json({"data": [_shown(row) for row in shown], "has_more": more})
        return 0
    columns = (
        Column("MERCHANT", lambda row: row["id"]),
        Column("NAME", lambda row: row["name"], elastic=True),
        Column("KEYS", lambda row: str(row["active_keys"]), right=True),
        Column("ENDPOINTS", _endpoints, right=True),
        Column("CREATED", lambda row: brief(row["created_at"])),
        Column("LAST PAYMENT", lambda row: brief(row["last_payment_at"]), optional=True),
    )
    show_list(columns, shown, nothing="There is no merchant yet: ledgate merchants create NAME", more=more)
    return 0


@app.command
def show(merchant: str, /, *, json: Json = False) -> int:
    """Show a merchant with its API keys and endpoints.

    Args:
        merchant: mer_…
    """
    found, keys, endpoints, work = read(lambda conn: _read(conn, merchant))
    if json:
        show_json({"merchant": _shown(found) | work, "keys": keys, "endpoints": endpoints})
        return 0
    screen = Screen()
    count = work["open_work"]
    pairs = (
        ("merchant", found["id"]),
        ("name", found["name"]),
        ("bucket", str(found["bucket"])),
        ("created", full(found["created_at"])),
        ("last payment", full(found["last_payment_at"]) or "none yet"),
        ("open work", f"{count} or more" if count == _COUNTED else str(count)),
    )
    facts(screen, pairs)
    heading(screen, "API keys")
    screen.tabulate(table(KEY_COLUMNS, keys, width=screen.width) if keys else Text("none"))
    heading(screen, "Endpoints")
    columns = (
        Column("ENDPOINT", lambda row: row["id"]),
        Column("STATE", lambda row: "enabled" if row["enabled"] else "disabled"),
        Column("URL", lambda row: row["url"], elastic=True),
    )
    screen.tabulate(table(columns, endpoints, width=screen.width) if endpoints else Text("none"))
    return 0


@app.command
def create(
    name: str,
    /,
    *,
    key: Annotated[bool, Parameter(negative=(), help="Make a first API key too; its secret is shown once.")] = False,
    json: Json = False,
) -> int:
    """Make a merchant and print its id.

    Args:
        name: As people know it; it stands in UPI links.
    """
    if not name.strip() or len(name) > _NAME_MOST or not name.isprintable():
        raise CliError(f"NAME: 1 to {_NAME_MOST} characters that can be read.", code=2)
    made = write(lambda conn, _: _create(conn, name.strip(), with_key=key))
    if json:
        show_json(made)
        return 0
    screen = Screen()
    screen.line(made["id"])
    if key:
        show_new_key(screen, made["key"])
    return 0


@app.command(name="origins")
def origins_(
    merchant: str,
    origin: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    /,
    *,
    none: Annotated[bool, Parameter(negative=(), help="Nowhere: the checkout is a page of its own only.")] = False,
    json: Json = False,
) -> int:
    """Show where a merchant's pages may show the checkout in a frame; with origins, replace them all.

    Args:
        merchant: mer_…
        origin: Such as https://shop.example, 20 at most.
    """
    if none and origin:
        raise CliError("Origins, or --none: one of them.", code=2)
    if none or origin:
        found = write(lambda conn, config: _save_origins(conn, merchant, list(origin), test_mode=config.test_mode))
    else:
        found = read(lambda conn: _read_origins(conn, merchant))
    if json:
        show_json({"merchant": merchant, "origins": found})
        return 0
    screen = Screen()
    for one in found:
        screen.line(one)
    if not found:
        screen.say("None: in test mode the checkout may be framed on loopback, otherwise nowhere.")
    return 0


def show_new_key(screen: Screen, made: Row) -> None:
    """Print a new API key, with its secret, for the only time."""
    facts(screen, (("key", made["id"]), ("scopes", ",".join(made["scopes"])), ("secret", made["secret"])))
    screen.say("The secret is shown this once and can not be read again.")


async def _create(conn: Connection, name: str, *, with_key: bool) -> Row:
    merchant_id = await merchants.add_merchant(conn, name)
    made: dict[str, Any] = {"id": merchant_id, "name": name}
    if with_key:
        scopes: list[merchants.Scope] = ["read", "write", "dashboard"]
        key_id, secret = await merchants.add_key(conn, merchant_id, scopes=scopes)
        made["key"] = {"id": key_id, "scopes": scopes, "secret": secret}
    return made


async def _read_origins(conn: Connection, merchant_id: str) -> list[str]:
    found = await asked.merchant(conn, merchant_id)
    return (await origins.get(conn, found["id"])).origins


async def _save_origins(conn: Connection, merchant_id: str, wanted: list[str], *, test_mode: bool) -> list[str]:
    found = await asked.merchant(conn, merchant_id)
    return (await origins.put(conn, found["id"], Origins(wanted), test_mode=test_mode)).origins


async def _read(conn: Connection, merchant_id: str) -> tuple[Row, list[Row], list[Row], Row]:
    found = await asked.merchant(conn, merchant_id)
    at = {"merchant_id": merchant_id, "bucket": found["bucket"], "limit": 100}
    keys = await rows(conn, "operator_keys", at)
    endpoints = await rows(conn, "operator_endpoints", at)
    (work,) = await rows(conn, "operator_open_work", at)
    return found, keys, endpoints, work


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "bucket"}


def _endpoints(row: Row) -> str:
    off = row["endpoints_disabled"]
    return f"{row['endpoints']} ({off} off)" if off else str(row["endpoints"])
