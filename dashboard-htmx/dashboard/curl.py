"""A webhook as a command line that sends it again, byte for byte."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def command(url: str, headers: Mapping[str, str], body: str) -> str:
    """`curl` with the headers and the very bytes of an attempt, for any POSIX shell.

    Args:
        url: the endpoint's.
        headers: as they were sent; values that we do not keep stand as we show them.
        body: of ASCII or not; a shell passes on UTF-8 as it is.
    """
    parts = [f"curl -sS -i -g -X POST {shlex.quote(url)}"]  # -g: brackets in a URL are brackets
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    parts.append(f"--data-binary {shlex.quote(body)}")
    return " \\\n  ".join(parts)
