"""What browsers are told with every answer: pages, redirects, files, streams, and what never became a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.enums import ScopeType

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # To ourselves the whole address, which htmx and the sign-in need; to others nothing.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": ", ".join(
        f"{feature}=()"
        for feature in ("camera", "microphone", "geolocation", "payment", "usb", "browsing-topics", "display-capture")
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "HX-Request, HX-Target, Cookie",
}
ONLY_HTTPS = "max-age=31536000"
"""Of `Strict-Transport-Security`, where browsers come by https: a year, of this host alone."""


def telling(app: ASGIApp, *, secure: bool) -> ASGIApp:
    """ASGI middleware: adds what an answer does not say itself.

    Args:
        app: what answers.
        secure: whether browsers come by https.
    """
    told = HEADERS | ({"Strict-Transport-Security": ONLY_HTTPS} if secure else {})
    ours = [(name.lower().encode(), value.encode()) for name, value in told.items()]

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return

        async def send_with_ours(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in ours if one[0] not in said)]
            await send(message)

        await app(scope, receive, send_with_ours)

    return serve
