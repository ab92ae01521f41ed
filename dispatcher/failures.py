"""Say in a few words why there was no answer: for the merchant, with nothing of the network that we stand in."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from dispatcher.connections import ConnectTimeoutError, TooMuchError
from kit.egress import RefusedError
from kit.lookup import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES = (aiohttp.ClientError, HttpProcessingError, ConnectTimeoutError, OSError, ValueError)
"""Everything that sending may raise; ValueError for what aiohttp cannot read."""


def tell(error: BaseException, *, connect: float, total: float) -> str:
    """One line. The time-outs, in seconds, are named where they were exceeded."""
    if isinstance(error, ConnectTimeoutError):
        return f"no connection within {connect:g} s"
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no full answer within {total:g} s"
    for kind, told in _TOLD.items():
        if isinstance(error, kind):
            return told(error)
    return f"{type(error).__name__}: {_first(str(error))}"


def _not_connected(error: aiohttp.ClientConnectorError) -> str:
    reason = error.os_error
    if isinstance(reason, RefusedError):
        return f"refused: {reason}"
    if isinstance(reason, UnknownNameError):
        return f"no connection: {reason}"
    # Without a number it is the sum of several addresses' reasons.
    return f"no connection: {_system(reason) or 'none of the addresses answers'}"


def _tls(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.replace('_', ' ').lower()}"
    return f"TLS: {_first(str(error)) or 'the handshake broke off'}"


def _body(error: aiohttp.ClientPayloadError) -> str:
    cause = error.__cause__
    said = getattr(cause, "message", None) or str(cause or "") or str(error)
    return f"its body broke off: {_first(said)}"


def _system(error: OSError) -> str | None:
    return os.strerror(error.errno).lower() if error.errno else None


def _first(message: str) -> str:
    """The first paragraph, on one line: those that follow quote what came."""
    return " ".join(message.split("\n\n", maxsplit=1)[0].partition(" when reading")[0].split()).rstrip(":")


_TOLD: dict[type[BaseException], Callable[[Any], str]] = {  # the narrower kind before the wider one
    RefusedError: lambda error: f"refused: {error}",
    TooMuchError: lambda error: f"the answer has {error}",
    aiohttp.ClientConnectorCertificateError: lambda error: _tls(error.certificate_error),
    aiohttp.ClientConnectorSSLError: lambda error: _tls(error.os_error),
    aiohttp.ClientConnectorError: _not_connected,
    aiohttp.ServerDisconnectedError: lambda _: "the connection was closed before an answer",
    aiohttp.ClientOSError: lambda error: f"the connection broke: {_system(error) or 'closed'}",
    aiohttp.ClientPayloadError: _body,
    aiohttp.ClientResponseError: lambda error: f"no HTTP that can be read: {_first(error.message)}",
}
