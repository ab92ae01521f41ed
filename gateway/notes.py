"""Notes: a merchant's own key-value pairs, kept as the bytes that every reader shows again."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from gateway.errors import BadRequestError

V = TypeVar("V")

MAX_KEYS = 15
MAX_LENGTH = 256

NO_NUL = {"pattern": "^[^\\u0000]*$"}
"""How JSON Schema says what `refuse_nul` refuses."""

Notes = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH, extra_json_schema=NO_NUL)],
        Annotated[str, Meta(max_length=MAX_LENGTH, extra_json_schema=NO_NUL)],
    ],
    Meta(max_length=MAX_KEYS, description=f"At most {MAX_KEYS} pairs of at most {MAX_LENGTH} characters"),
]

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_ARRAY_INDEX = 2**32 - 2  # ECMA-262: the keys that an object lists first, in numeric order


def in_javascript_order(notes: dict[str, V]) -> dict[str, V]:
    """Put integer-like keys first, ascending, as JavaScript does: `JSON.stringify(JSON.parse(x))` must give `x`."""
    indexes = [key for key in notes if _ARRAY_INDEX.fullmatch(key) and int(key) <= _MAX_ARRAY_INDEX]
    if not indexes:
        return notes
    indexes.sort(key=int)
    rest = [key for key in notes if key not in set(indexes)]
    return {key: notes[key] for key in (*indexes, *rest)}


def encode(notes: dict[str, str] | None) -> str:
    """The notes as JSON text; msgspec writes strings as `JSON.stringify` does (a test compares all of Unicode)."""
    return msgspec.json.encode(in_javascript_order(notes)).decode() if notes else "{}"


def refuse_nul(value: str | None, field: str) -> None:
    """PostgreSQL's text holds every character but NUL.

    Raises:
        BadRequestError: naming the field.
    """
    if value is not None and "\0" in value:
        raise BadRequestError(f"{field} must not contain NUL characters", field=field, reason="nul_character")


def refuse_nul_in_notes(notes: dict[str, str] | None) -> None:
    """The same for every key and value of notes."""
    for key, value in (notes or {}).items():
        refuse_nul(key + value, "notes")
