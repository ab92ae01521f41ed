"""Sessions: a random cookie, of which the database knows the hash; renewed whenever it comes to mean more."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dashboard import cookies
from gateway.merchants import Merchant, Scope
from gateway.users import Role, hash_token, may
from kit import ids, sql
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.config import Config
    from kit.db import Connection

SQL = sql.load("dashboard")
Stage = Literal["setup", "second", "full"]
BRIEF = 15 * 60
"""Seconds that a session lasts which has still to prove something."""
_AGENT_MOST = 300
_SCOPES: dict[Role, frozenset[Scope]] = {
    "viewer": frozenset({"read"}),
    "developer": frozenset({"read", "write", "dashboard"}),
    "owner": frozenset({"read", "write", "dashboard"}),
}


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who is there. Times in UTC."""

    id: str
    stage: Stage
    user_id: str | None
    email: str | None
    user_name: str | None
    operator: bool
    second_factor: bool
    merchant_id: str | None
    bucket: int | None
    merchant_name: str | None
    role: Role | None
    """What the user may do for the merchant; an operator may look at any. None: nothing (any more)."""
    next_path: str | None
    began_at: datetime
    seen_at: datetime
    expires_at: datetime
    idle: float
    """Seconds since something came with it."""
    merchants: int
    """For how many the user works."""

    @property
    def signed_in(self) -> bool:
        """Whether everything was proven that had to be."""
        return self.stage == "full"

    def may(self, needed: Role) -> bool:
        """Whether the user has this role, or one that includes it, for the merchant whose pages are shown."""
        return self.signed_in and may(self.role, needed)

    @property
    def merchant(self) -> Merchant:
        """The merchant, as the functions of `gateway` want it.

        Raises:
            LookupError: the user may see none. No page that needs a role gets here.
        """
        if self.merchant_id is None or self.bucket is None or self.role is None:
            raise LookupError("the session has no merchant")
        return Merchant(self.merchant_id, self.bucket, self.merchant_name or "", "", _SCOPES[self.role])


async def find(conn: Connection, config: Config, token: str) -> Session | None:
    """The session of a cookie, if it still is one."""
    rows = await fetch(conn, SQL["find_session"], {"token_hash": hash_token(token)})
    if not rows:
        return None
    session = msgspec.convert(rows[0], Session)
    return session if session.idle <= config.dashboard_idle * 3600 else None


async def begin(
    conn: Connection,
    config: Config,
    *,
    stage: Stage,
    user_id: str | None,
    merchant_id: str | None,
    address: str,
    user_agent: str,
    next_path: str | None = None,
) -> str:
    """A new session, whatever the browser had before; its token."""
    token = cookies.new_token()
    values = {
        "id": ids.new("ses"),
        "token_hash": hash_token(token),
        "stage": stage,
        "user_id": user_id,
        "merchant_id": merchant_id,
        "next_path": next_path,
        "address": address,
        "user_agent": "".join(c for c in user_agent[:_AGENT_MOST] if c.isprintable()),
        "seconds": config.dashboard_longest * 3600 if stage == "full" else BRIEF,
    }
    await conn.execute(SQL["add_session"], values)
    return token


async def renew(conn: Connection, session: Session) -> str:
    """The same session under a new token: after a change of what it may do. The old one opens nothing."""
    token = cookies.new_token()
    await conn.execute(SQL["renew_session"], {"id": session.id, "token_hash": hash_token(token)})
    return token


async def end(conn: Connection, session: Session) -> None:
    """Signed out."""
    await conn.execute(SQL["end_session"], {"id": session.id})


async def listed(conn: Connection, config: Config, user_id: str) -> list[dict[str, Any]]:
    """Where a user is signed in: id, address, user_agent, began_at, seen_at."""
    return await fetch(conn, SQL["list_sessions"], {"user_id": user_id, "idle": config.dashboard_idle * 3600})
