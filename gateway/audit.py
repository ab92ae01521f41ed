"""The audit log: who did what, to which object, when, from where. Appended in the transaction that did it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.merchants import SQL
from kit import ids, sql
from kit.db import fetch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from psycopg.rows import TupleRow

    from kit.db import Connection

OPERATORS: Mapping[str, str | int] = {"merchant_id": "operators", "bucket": 0}
"""Where it is noted what concerns no merchant."""
_FILTERS = ("after", "user_id", "action")


class Actor(msgspec.Struct, frozen=True):
    """Who does something."""

    user_id: str | None
    name: str
    """As people know them: an e-mail address, `API key key_…`, `command line`."""
    address: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done. Times in UTC."""

    id: str
    at: datetime
    user_id: str | None
    actor: str
    action: str
    object: str
    detail: dict[str, Any]
    address: str


async def note(
    conn: Connection, scope: Mapping[str, str | int], actor: Actor, action: str, object_id: str, **detail: object
) -> None:
    """Say that it was done.

    Args:
        conn: a connection, within the transaction that did it.
        scope: of the merchant whom it concerns (`Merchant.scope`), or `OPERATORS`.
        actor: who.
        action: a noun and what became of it, `refund.created`.
        object_id: of what it was done to.
        **detail: what an auditor asks next; never a secret.
    """
    values = {
        "id": ids.new("aud"),
        "user_id": actor.user_id,
        "actor": actor.name,
        "action": action,
        "object": object_id,
        "detail": msgspec.json.encode(detail).decode(),
        "address": actor.address,
    }
    await conn.execute(SQL["note_audit"], dict(scope) | values)


async def entries(
    conn: Connection, scope: Mapping[str, str | int], *, limit: int, **where: str | None
) -> tuple[list[Entry], str | None]:
    """A page of the log, the newest first, and where to go on.

    Args:
        conn: a connection.
        scope: whose.
        limit: entries at most.
        **where: `after`, the id of an entry; `user_id`; `action`, or the noun before its dot.
    """
    given: dict[str, object] = {name: where[name] for name in _FILTERS if where.get(name)}
    if "action" in given and "." not in str(given["action"]):
        given["action"] = f"{given['action']}.%"
    query = sql.compose("gateway", "list_audit", frozenset(given))
    rows = await fetch(conn, query, dict(scope) | given | {"limit": limit + 1})
    shown = [msgspec.convert(row | {"detail": msgspec.json.decode(row["detail"])}, Entry) for row in rows[:limit]]
    return shown, shown[-1].id if len(rows) > limit else None


def end(conn: psycopg.Connection[TupleRow], days: int) -> int:
    """Delete what is older, of all merchants; how much it was.

    Args:
        conn: of whoever owns the table: nobody else may; in autocommit.
        days: 0 deletes nothing.
    """
    gone = 0
    while days:
        ended = conn.execute(SQL["end_audit"], {"days": days}).rowcount
        gone += ended
        if not ended:
            break
    return gone
