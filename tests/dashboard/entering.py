"""A session as the sign-in makes it, without the password, whose hash takes its time: the sign-in has its own tests."""

from __future__ import annotations

import psycopg

from dashboard import sessions
from gateway import users
from gateway.config import Config


async def begin_session(config: Config, email: str) -> str:
    """The token of a full session of this user, at the first merchant that they work for."""
    async with await psycopg.AsyncConnection.connect(config.database_url, autocommit=True) as conn:
        user = await users.find(conn, email)
        assert user is not None
        own = await users.memberships(conn, user.id)
        return await sessions.begin(
            conn, config, stage="full", user_id=user.id, merchant_id=own[0].merchant_id if own else None,
            address="127.0.0.1", user_agent="a test",
        )  # fmt: skip
