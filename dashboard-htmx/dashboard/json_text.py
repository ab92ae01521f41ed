"""JSON as coloured text: the very characters that were sent, cut into tokens. Laid out, only white space changes."""

from __future__ import annotations

import itertools
import re
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["key", "string", "number", "word", "mark", "space", "text"]

MOST = 200_000
"""Characters; what is longer is shown without colours."""
_TOKEN = re.compile(
    r"""(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<word>true|false|null)"""
    r"""|(?P<mark>[{}\[\],:])|(?P<space>[ \t\r\n]+)""",
    re.DOTALL,
)
_STEP = "  "
_DEEP = 40
"""Levels that are stepped in; a receiver's answer of a thousand would be a page of white space."""


class Token(NamedTuple):
    """A part of the text; all of them joined are the text."""

    kind: Kind
    text: str


def tokens(text: str, *, laid_out: bool = True) -> list[Token]:
    """Cut a text into tokens. What is no JSON is one token of the kind `text`.

    Args:
        text: whatever was sent or received.
        laid_out: each member on its own line; every other character stays as it is, numbers and escapes too.
    """
    if len(text) > MOST or not _is_json(text):
        return [Token("text", text)]
    found = [Token(match.lastgroup, match[0]) for match in _TOKEN.finditer(text)]  # type: ignore[arg-type]
    spoken = [n for n, one in enumerate(found) if one.kind != "space"]
    for n, after in itertools.pairwise(spoken):
        if found[n].kind == "string" and found[after].text == ":":
            found[n] = Token("key", found[n].text)
    return _laid_out([found[n] for n in spoken]) if laid_out else found


def _laid_out(found: list[Token]) -> list[Token]:
    made: list[Token] = []
    depth = 0
    for n, one in enumerate(found):
        before = found[n - 1].text if n and found[n - 1].kind == "mark" else ""
        if one.kind == "mark" and one.text in "}]":
            depth -= 1
            if before not in {"{", "["}:
                made.append(Token("space", _line(depth)))
        elif before in {"{", "[", ","}:
            made.append(Token("space", _line(depth)))
        elif before == ":":
            made.append(Token("space", " "))
        made.append(one)
        if one.kind == "mark" and one.text in "{[":
            depth += 1
    return made


def _line(depth: int) -> str:
    return "\n" + _STEP * min(depth, _DEEP)


def _is_json(text: str) -> bool:
    if text.strip()[:1] not in {"{", "["}:
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True
