"""`ledgate keys`: the API keys of merchants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from gateway import merchants
from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.asked import Limit
from gateway.cli.operators.merchants import KEY_COLUMNS, show_new_key
from gateway.cli.operators.output import Json, full, plain, show_json, show_list
from gateway.cli.operators.session import EPILOGUE, read, rows, write
from gateway.cli.screen import Screen
from gateway.merchants import Scope

if TYPE_CHECKING:
    from gateway.cli.operators.output import Row
    from kit.db import Connection

app = App(name="keys", help="API keys of merchants: list, create, revoke.", help_epilogue=EPILOGUE)

_NAME_MOST = 100
_SCOPES: tuple[Scope, ...] = ("read", "write", "dashboard")


@app.command(name="list")
def list_(merchant: str, /, *, limit: Limit = 100, json: Json = False) -> int:
    """List a merchant's API keys, revoked ones too. Secrets are kept nowhere and can not be shown.

    Args:
        merchant: mer_…
    """

    async def look(conn: Connection) -> list[Row]:
        await asked.known(conn, merchant)
        return await rows(conn, "operator_keys", {"merchant_id": merchant, "limit": limit + 1})

    found = read(look)
    shown, more = found[:limit], len(found) > limit
    if json:
        show_json({"data": shown, "has_more": more})
    else:
        show_list(KEY_COLUMNS, shown, nothing=f"No API key yet: ledgate keys create {merchant}", more=more)
    return 0


@app.command
def create(
    merchant: str,
    /,
    *,
    name: Annotated[str | None, Parameter(help="What the key is for, 1 to 100 characters.")] = None,
    scope: Annotated[
        list[Scope] | None, Parameter(negative=(), help="What the key may do; may be given several times. All without.")
    ] = None,
    json: Json = False,
) -> int:
    """Make an API key. Its secret is shown this once.

    Args:
        merchant: mer_…
    """
    if name is not None and (not name.strip() or len(name) > _NAME_MOST or not name.isprintable()):
        raise CliError(f"--name: 1 to {_NAME_MOST} characters that can be read.", code=2)
    scopes = [one for one in _SCOPES if scope is None or one in scope]
    made = write(lambda conn, _: _create(conn, merchant, name, scopes))
    if json:
        show_json(made)
    else:
        show_new_key(Screen(), made)
    return 0


@app.command
def revoke(key: str, /, *, json: Json = False) -> int:
    """End an API key for good. Processes that have just checked it believe it for at most 3 seconds more.

    Args:
        key: key_…
    """

    async def end(conn: Connection) -> Row:
        found = await rows(conn, "operator_key", {"id": key})
        if not found:
            raise CliError(f"There is no API key {plain(key)}.")
        if found[0]["revoked_at"] or not await merchants.revoke_key(conn, found[0]["merchant_id"], key):
            raise CliError(f"API key {key} was revoked before, at {full(found[0]['revoked_at'])}.")
        return found[0]

    ended = write(lambda conn, _: end(conn))
    if json:
        show_json({"id": key, "merchant_id": ended["merchant_id"], "revoked": True})
    else:
        Screen().tick(f"{key} is revoked; nobody is let in with it after 3 seconds")
    return 0


async def _create(conn: Connection, merchant_id: str, name: str | None, scopes: list[Scope]) -> Row:
    await asked.known(conn, merchant_id)
    key_id, secret = await merchants.add_key(conn, merchant_id, scopes=scopes, name=name.strip() if name else None)
    made: dict[str, Any] = {"id": key_id, "merchant_id": merchant_id, "name": name, "scopes": scopes, "secret": secret}
    return made
