"""Where a merchant's pages may show the checkout in a frame: origins, and nothing like them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.errors import BadRequestError
from gateway.merchants import SQL
from kit.db import fetch

if TYPE_CHECKING:
    from kit.db import Connection

MOST = 20
ORIGIN_PATTERN = "^[Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?/?$"
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")
_PORTS = {"http": 80, "https": 443}
LOOPBACK = ("http://localhost:*", "http://127.0.0.1:*", "https://localhost:*", "https://127.0.0.1:*")
"""What a merchant without origins has in test mode, as a Content-Security-Policy says it."""


Origin = Annotated[str, Meta(min_length=1, max_length=267, extra_json_schema={"pattern": ORIGIN_PATTERN})]


class Origins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the checkout may be shown in a frame; by itself, as a page, it may be opened from anywhere."""

    origins: Annotated[list[Origin], Meta(max_length=MOST)]
    """Scheme, host and port, such as `https://shop.example`; `http` in test mode only, or on loopback. None: nowhere,
    in test mode on loopback."""


async def get(conn: Connection, merchant_id: str) -> Origins:
    """Read them."""
    (row,) = await fetch(conn, SQL["get_checkout_origins"], {"merchant_id": merchant_id})
    return Origins(row["checkout_origins"])


async def put(conn: Connection, merchant_id: str, wanted: Origins, *, test_mode: bool) -> Origins:
    """Replace them all; how they are kept: in lower case, without a usual port, each once.

    Raises:
        BadRequestError: one that is no origin, or not secure; too many.
    """
    if len(wanted.origins) > MOST:
        raise BadRequestError(f"at most {MOST} origins", field="origins", reason="too_many_origins")
    checked = [check(one, field=f"origins[{n}]", test_mode=test_mode) for n, one in enumerate(wanted.origins)]
    values = {"merchant_id": merchant_id, "origins": list(dict.fromkeys(checked))}
    (row,) = await fetch(conn, SQL["set_checkout_origins"], values)
    return Origins(row["checkout_origins"])


def check(text: str, *, field: str = "origin", test_mode: bool) -> str:
    """An origin as browsers write it.

    Raises:
        BadRequestError: it is none (`origin_invalid`), or is `http` where that is not taken (`origin_not_secure`).
    """
    try:
        parts = urlsplit(text.lower())
        host, port = parts.hostname or "", parts.port
        named = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        host, named = "", ""
    if not _HOST.match(host) or named != text.lower().rstrip("/") or "@" in named or parts.scheme not in _PORTS:
        raise BadRequestError(
            f"{field} must be scheme, host and port of a page, such as https://shop.example",
            field=field,
            reason="origin_invalid",
        )
    if parts.scheme == "http" and not test_mode and not _is_loopback(host):
        raise BadRequestError(f"{field} must be https", field=field, reason="origin_not_secure")
    usual = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if usual else f":{port}")


def framing(origins: list[str], *, test_mode: bool) -> list[str]:
    """The sources of `frame-ancestors`; none where no frame may show the checkout."""
    return list(origins) or (list(LOOPBACK) if test_mode else [])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
