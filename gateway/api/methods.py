"""Which methods a path takes: said in `Allow`, to OPTIONS and to every method that it does not take (RFC 9110)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from litestar.enums import HttpMethod, ScopeType
from litestar.routes import HTTPRoute

from gateway.api.bounds import refuse_in_json
from gateway.errors import MethodNotAllowedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestar.routes import BaseRoute
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.api.bounds import Refuse


def allowing(app: ASGIApp, routes: Iterable[BaseRoute], refuse: Refuse = refuse_in_json) -> ASGIApp:
    """ASGI middleware: 204 for OPTIONS and 405 for other methods, both with `Allow`; HEAD is GET without its body.

    Unknown paths go on to their 404.
    """
    paths: dict[str, set[str]] = {}
    for route in routes:
        if isinstance(route, HTTPRoute):
            pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(route.path_format))
            methods = {str(method) for method in route.methods} | {"OPTIONS"}
            paths.setdefault(pattern, set()).update(methods | {"HEAD"} if "GET" in methods else methods)
    known = [(re.compile(pattern + r"/?\Z"), methods) for pattern, methods in paths.items()]
    fixed = {pattern: methods for pattern, methods in paths.items() if "[" not in pattern}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        path, method = scope["path"], str(scope["method"])
        methods = fixed.get(path) or next((methods for pattern, methods in known if pattern.match(path)), None)
        if methods is None or (method in methods and method not in {"OPTIONS", "HEAD"}):
            await app(scope, receive, send)
            return
        if method == "HEAD" and "HEAD" in methods:
            scope["method"] = HttpMethod.GET
            await app(scope, receive, _bodiless(send))
            return
        allow = (b"allow", ", ".join(sorted(methods)).encode())
        if method == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": [allow]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await refuse(scope, send, MethodNotAllowedError(f"this path does not take {method}"), allow)

    return serve


def _bodiless(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return send_head
