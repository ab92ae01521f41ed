"""API keys as people judge them: who made them, what they may do, whether anything still uses them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from dashboard.reading import SQL
from gateway.merchants import Scope
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.merchants import Merchant
    from kit.db import Connection

_LISTED = 200


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """An API key. Times in UTC."""

    id: str
    name: str | None
    scopes: list[Scope]
    created_at: datetime
    created_by: str | None
    """As people know them; None for one of the command line, or from before this was kept."""
    last_used_at: datetime | None
    """To the minute; None for one that was not used since this is kept."""
    revoked_at: datetime | None


async def keys(conn: Connection, merchant: Merchant) -> list[KeyRow]:
    """Read a merchant's keys: all active ones, then the revoked ones, 200 together at most."""
    rows = await fetch(conn, SQL["list_key_uses"], {"merchant_id": merchant.merchant_id, "limit": _LISTED})
    return msgspec.convert(rows, list[KeyRow])
