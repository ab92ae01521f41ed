"""The cookies: whose browser it is, who has signed in with it before, a message for the next page, the theme."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.datastructures import Cookie

if TYPE_CHECKING:
    from litestar import Request

    from gateway.config import Config
    from kit.seal import Sealer

THEMES = ("light", "dark")
_FLASH, _THEME = "ledgate_flash", "ledgate_theme"
_FLASH_LIFE = 60  # seconds
_YEAR = 365 * 24 * 3600
_TOKEN_MOST = 100  # characters
_MESSAGE_MOST = 2000
_PURPOSE, _KNOWN = b"dashboard message\n", b"dashboard browser\n"


class Flash(msgspec.Struct, frozen=True, array_like=True):
    """Something that the next page says once."""

    kind: str
    """`good`, `bad` or `info`."""
    text: str


def secure(config: Config) -> bool:
    """Whether browsers reach us by https: always, but for a test mode that does not say so."""
    return config.dashboard_url.startswith("https:") if config.dashboard_url else not config.test_mode


def name(config: Config) -> str:
    """The session's cookie. `__Host-` is the browser's word that no other host, and no plain http, has set it."""
    return "__Host-ledgate_session" if secure(config) else "ledgate_session"


def new_token() -> str:
    """43 characters of 32 random bytes."""
    return secrets.token_urlsafe(32)


def read_token(request: Request[Any, Any, Any], config: Config) -> str:
    """What the browser sends as its session; nothing if it cannot be one of ours."""
    token = request.cookies.get(name(config), "")
    return token if 0 < len(token) <= _TOKEN_MOST and token.isascii() else ""


def session(config: Config, token: str) -> Cookie:
    """Gives the browser a token, until it is closed or the session ends."""
    return Cookie(
        name(config),
        value=token,
        path="/",
        httponly=True,
        secure=secure(config),
        samesite="lax",
        max_age=int(config.dashboard_longest * 3600),
    )


def no_session(config: Config) -> Cookie:
    """Takes it away."""
    return Cookie(name(config), value="", path="/", httponly=True, secure=secure(config), samesite="lax", max_age=0)


def known(config: Config, sealer: Sealer, email: str) -> Cookie:
    """Says, later on, that this user has signed in with this browser: guesses elsewhere then count elsewhere."""
    chance = secrets.token_urlsafe(12)
    signed = sealer.fingerprint(_KNOWN + f"{chance}\n{email}".encode())
    return Cookie(
        _known(config), value=f"{chance}.{signed}", path="/", httponly=True, secure=secure(config), samesite="lax",
        max_age=_YEAR,
    )  # fmt: skip


def read_known(request: Request[Any, Any, Any], config: Config, sealer: Sealer, email: str) -> str:
    """Which of the user's browsers it is; nothing if they have never signed in with it."""
    chance, _, signed = request.cookies.get(_known(config), "").partition(".")
    data = _KNOWN + f"{chance}\n{email}".encode(errors="replace")
    return chance if chance and sealer.has_fingerprint(data, signed) else ""


def _known(config: Config) -> str:
    return "__Host-ledgate_known" if secure(config) else "ledgate_known"


def flash(config: Config, sealer: Sealer, messages: list[Flash]) -> Cookie:
    """Messages for the next page; signed, so that no other site of this domain can put words into our mouth."""
    text = msgspec.json.encode(messages)
    signed = base64.urlsafe_b64encode(text).decode().rstrip("=") + "." + sealer.fingerprint(_PURPOSE + text)
    return Cookie(
        _FLASH, value=signed, path="/", httponly=True, secure=secure(config), samesite="lax", max_age=_FLASH_LIFE
    )


def no_flash(config: Config) -> Cookie:
    """They were said."""
    return Cookie(_FLASH, value="", path="/", httponly=True, secure=secure(config), samesite="lax", max_age=0)


def read_flash(request: Request[Any, Any, Any], sealer: Sealer) -> list[Flash]:
    """The messages that came along, if they are ours."""
    encoded, _, signature = request.cookies.get(_FLASH, "").partition(".")
    if not encoded or len(encoded) > _MESSAGE_MOST:
        return []
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        return []
    return msgspec.json.decode(text, type=list[Flash]) if sealer.has_fingerprint(_PURPOSE + text, signature) else []


def theme(config: Config, chosen: str) -> Cookie:
    """Remembers the theme; without one the system's counts."""
    return Cookie(
        _THEME,
        value=chosen,
        path="/",
        httponly=True,
        secure=secure(config),
        samesite="lax",
        max_age=_YEAR if chosen else 0,
    )


def read_theme(request: Request[Any, Any, Any]) -> str:
    """`light`, `dark`, or nothing."""
    chosen = request.cookies.get(_THEME, "")
    return chosen if chosen in THEMES else ""
