"""Where to go: addresses of our own, and never one that a stranger has written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from litestar.routes import HTTPRoute

if TYPE_CHECKING:
    from litestar import Request

    from gateway.config import Config

HOME = "/dashboard"
SIGN_IN = "/login"
OPERATIONS = "/dashboard/operator"
_MOST = 1000
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?\Z")


def safe(wanted: str | None, home: str = HOME) -> str:
    """A path under `home` that somebody wants to go on to; home itself, if it is anything else.

    Browsers read a backslash as a slash, drop tabs and line ends, and take `//host` for another site.
    """
    if (
        not wanted
        or not wanted.startswith(home)
        or len(wanted) > _MOST
        or not wanted.isascii()
        or not wanted.isprintable()
        or "\\" in wanted
    ):
        return home
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or not (parts.path == home or parts.path.startswith(f"{home}/")):
        return home
    if "//" in parts.path or ".." in parts.path.split("/"):
        return home
    return wanted


def sign_in(wanted: str) -> str:
    """The sign-in page, which goes on to `wanted`."""
    goal = safe(wanted)
    return SIGN_IN if goal == HOME else f"{SIGN_IN}?next={quote(goal, safe='/')}"


def own(request: Request[Any, Any, Any]) -> str:
    """The request's path with its query."""
    query = request.scope["query_string"].decode("latin-1")
    return request.scope["path"] + (f"?{query}" if query else "")


def page(request: Request[Any, Any, Any]) -> str:
    """Where the page that is shown can be loaded anew: of what answers a form, the nearest page above it."""
    if request.method == "GET":
        return own(request)
    pages = {one.path_format for one in request.app.routes if isinstance(one, HTTPRoute) and "GET" in one.methods}
    shape, path = str(request.scope.get("path_template", "")), request.scope["path"].rstrip("/")
    while shape and shape not in pages:
        shape, path = shape.rpartition("/")[0], path.rpartition("/")[0]
    return path if shape else HOME


def shown(request: Request[Any, Any, Any]) -> str:
    """The path of the page on which htmx works; nothing if it says none."""
    try:
        parts = urlsplit(request.headers.get("hx-current-url", ""))
    except ValueError:
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")


def public(request: Request[Any, Any, Any], config: Config, path: str) -> str:
    """A path of ours as a link that can be sent to somebody."""
    base = config.dashboard_url.rstrip("/")
    if not base:
        base = f"{'http' if config.test_mode else 'https'}://{request.headers.get('host', '')}"
    return base + path


def api(request: Request[Any, Any, Any], config: Config) -> str:
    """The API as merchants reach it, without a path; unless the settings say it, on this host."""
    return config.api_url.rstrip("/") or _beside(request, config, config.port)


def checkout(request: Request[Any, Any, Any], config: Config) -> str:
    """The checkout as browsers reach it; unless the settings say it, on this host."""
    return config.checkout_url.rstrip("/") or _beside(request, config, config.checkout_port)


def shop(request: Request[Any, Any, Any], config: Config) -> str:
    """The demo shop, which test mode starts on this host."""
    return _beside(request, config, config.demo_shop_port)


def _beside(request: Request[Any, Any, Any], config: Config, port: int) -> str:
    found = _HOST.match(request.headers.get("host", ""))
    return f"{'http' if config.test_mode else 'https'}://{found[1] if found else 'localhost'}:{port}"
