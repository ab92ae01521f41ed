"""The oldest PostgreSQL that works, and the refusal of older ones."""

from __future__ import annotations

import psycopg

OLDEST = 15
"""Views that ask as their reader (`security_invoker`) came with it; the barrier between merchants needs them."""


class TooOldError(psycopg.OperationalError):
    """The server is older than `OLDEST`. For a process it is as good as away: the server may be upgraded."""


def require(version: int) -> None:
    """Refuse an old server.

    Args:
        version: as the connection has it (`conn.info.server_version`), such as 150013, or 90624 for 9.6.24.

    Raises:
        TooOldError: which version it is and which is needed.
    """
    if version < OLDEST * 10_000:
        major, minor = divmod(version, 10_000)
        shown = f"{major}.{minor}" if major >= 10 else f"{major}.{minor // 100}.{minor % 100}"  # noqa: PLR2004 - its rule
        raise TooOldError(f"PostgreSQL {shown} is too old: Ledgate needs {OLDEST} or newer")
