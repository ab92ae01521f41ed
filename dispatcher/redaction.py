"""Keep credentials out of the attempts' log: what a receiver answers is shown to everybody who may read deliveries."""

from __future__ import annotations

import re

REDACTED = "[redacted]"
"""Stands for the value of a header that is or may be a credential; its name stays."""

_CREDENTIAL = re.compile(
    r"(?:set-)?cookie2?|(?:proxy-|www-)?auth(?:orization|enticate|entication-info)"
    r"|.*(?:token|secret|passw|credential|api-?key|access-?key|private-?key|session|csrf|xsrf|jwt|nonce).*",
    re.IGNORECASE,
)


def shown(name: str, value: str) -> str:
    """The value of a response header as it is kept."""
    return REDACTED if _CREDENTIAL.fullmatch(name.strip()) else value
