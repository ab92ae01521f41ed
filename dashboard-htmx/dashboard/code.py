"""Code in colours without a script: the very characters, cut into tokens of a few kinds."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String
from pygments.token import Literal as Value

Kind = Literal["", "comment", "string", "number", "keyword", "name"]
Language = Literal["bash", "python", "javascript", "html", "sql"]

# The first that a token's type is in.
_KINDS: tuple[tuple[object, Kind], ...] = (
    (Comment, "comment"),
    (String.Interpol, ""),
    (String, "string"),
    (Number, "number"),
    (Value, "string"),
    (Keyword, "keyword"),
    (Operator.Word, "keyword"),
    (Name.Tag, "keyword"),
    (Name.Function, "name"),
    (Name.Class, "name"),
    (Name.Attribute, "name"),
    (Name.Builtin, "name"),
    (Name.Variable, "name"),
)


class Token(NamedTuple):
    """A part of the text; all of them joined are the text."""

    kind: Kind
    text: str


@functools.lru_cache(maxsize=256)
def tokens(text: str, language: Language) -> tuple[Token, ...]:
    """Cut a text into tokens; neighbours of one kind are one token."""
    found: list[Token] = []
    for kind, part in get_lexer_by_name(language, stripnl=False, ensurenl=False).get_tokens(text):
        told = _kind(kind)
        if found and found[-1].kind == told:
            found[-1] = Token(told, found[-1].text + part)
        else:
            found.append(Token(told, part))
    return tuple(found)


def _kind(token: object) -> Kind:
    return next((kind for wanted, kind in _KINDS if token in wanted), "")  # type: ignore[operator]
