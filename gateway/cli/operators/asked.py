"""What operators type: options that several commands share, and how their words are understood."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from gateway.cli.errors import CliError
from gateway.cli.operators.session import rows

if TYPE_CHECKING:
    from kit.db import Connection

Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1000), help="Rows at most, 1 to 1000.")]
MerchantOption = Annotated[str | None, Parameter(name="--merchant", help="Of this merchant only, mer_…")]
Since = Annotated[
    str | None, Parameter(help="Not older than this: 30m, 12h, 7d, or a UTC time such as 2026-01-31T10:00.")
]

_AGO = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def since(text: str | None) -> datetime | None:
    """The time that `30m`, `7d` or an ISO 8601 time means; one without a zone is UTC.

    Raises:
        CliError: it is neither.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time
    except (ValueError, OverflowError):
        raise CliError(
            f"--since {text}: neither an age (30m, 12h, 7d) nor a time (2026-01-31, 2026-01-31T10:00).", code=2
        ) from None


async def merchant(conn: Connection, merchant_id: str) -> dict[str, Any]:
    """The merchant of that id.

    Raises:
        CliError: there is none.
    """
    found = await rows(conn, "operator_merchants", {"merchant_id": merchant_id, "limit": 1})
    if not found:
        raise CliError(f"There is no merchant {merchant_id}; `ledgate merchants list` shows them.")
    return found[0]


async def known(conn: Connection, merchant_id: str | None) -> str | None:
    """The same id again, if there is such a merchant: an unknown one would look like one without rows.

    Raises:
        CliError: there is none.
    """
    if merchant_id is not None:
        await merchant(conn, merchant_id)
    return merchant_id
