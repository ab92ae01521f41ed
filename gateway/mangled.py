"""What frameworks and hands do to a body or a secret on its way to the check, undone or done again.

Pure and bounded: a body gives a dozen variants at most, a secret as many keys.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from kit import signing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.mistakes import Reason

_BOMS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_UTF8_BOM = b"\xef\xbb\xbf"
_WHITE = b" \t\r\n\0"
_HEX_PAIRS = re.compile(r"(?:[0-9a-fA-F]{2})*")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


class Variant(NamedTuple):
    """Bytes that the body may have been, and what must have happened to them."""

    body: bytes
    mistakes: tuple[Reason, ...]


def originals(body: bytes) -> Iterator[Variant]:
    """What the body may have been before: each step undoes one thing more, in the order in which layers lie."""
    now = body
    mistakes: tuple[Reason, ...] = ()
    steps: tuple[tuple[Reason, Callable[[bytes], bytes]], ...] = (
        ("body_charset", _from_utf16),
        ("body_bom", lambda text: text.removeprefix(_UTF8_BOM)),
        ("body_encoded_twice", _decoded_once),
        ("body_whitespace", lambda text: text.strip(_WHITE)),
        ("body_charset", _from_latin1),
        ("body_reserialised", lambda text: html.unescape(text.decode()).encode() if b"&" in text else text),
        ("body_reserialised", canonical),
        ("body_reserialised", lambda text: canonical(text, lists_are_objects=True)),
    )
    for mistake, undone in steps:
        try:
            before = undone(now)
        except (ValueError, RecursionError):  # not such a text at all
            continue
        if before != now:
            now = before
            mistakes = (*mistakes, mistake) if mistake not in mistakes else mistakes
            yield Variant(now, mistakes)


def canonical(body: bytes, *, lists_are_objects: bool = False) -> bytes:
    """The JSON as `JSON.stringify` writes it, keys in the order in which they stand.

    Args:
        body: JSON.
        lists_are_objects: PHP writes an empty object as an empty list; make them objects again.

    Raises:
        ValueError: no JSON.
        RecursionError: too deep.
    """
    value = json.loads(body)
    if lists_are_objects:
        value = _with_objects(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def compared(body: bytes, event: bytes) -> tuple[Reason, ...]:
    """What happened to an event's bytes, so that this body came of it; empty when nothing did."""
    if body == event:
        return ()
    undone = next((variant.mistakes for variant in originals(body) if variant.body == event), None)
    return undone or (_difference(body, event),)


def _difference(body: bytes, event: bytes) -> Reason:
    mine, theirs = _parsed(body), _parsed(event)
    told: Reason = "body_changed"
    if not body.strip(_WHITE):
        told = "body_empty"
    elif _alike(mine, theirs):
        told = "body_reserialised"
    elif body in _lossy(event):
        told = "body_charset"
    elif event.startswith(body):
        told = "body_truncated"
    elif isinstance(mine, dict) and isinstance(theirs, dict) and "id" in mine and mine["id"] != theirs.get("id"):
        told = "body_of_another_event"
    return told


def _alike(mine: Any, theirs: Any) -> bool:
    """The same JSON but for the order of keys, and PHP's empty lists."""
    try:
        return bool(mine == theirs) or bool(_with_objects(mine) == _with_objects(theirs))
    except RecursionError:  # too deep for an event
        return False


def first_difference(body: bytes, event: bytes) -> int:
    """The first byte, from 0, at which two different bodies differ."""
    return next((n for n, (a, b) in enumerate(zip(body, event, strict=False)) if a != b), min(len(body), len(event)))


def marks(body: bytes) -> list[str]:
    """What shows that JSON was written anew; empty for what `JSON.stringify` could have written."""
    try:
        text = body.decode("utf-8-sig").strip()
        value = json.loads(text)
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return []
    found = {
        "CRLF line ends": "\r\n" in text,
        "indented over several lines": "\n" in text,
        "spaces after commas or colons": "\n" not in text
        and len(text) > len(plain)
        and ('": ' in text or '", ' in text),
        "letters beyond ASCII as \\u escapes": text.count("\\u") > plain.count("\\u"),
        "slashes as \\/": "\\/" in text,
        "keys in alphabetical order": _is_sorted(value),
        "empty lists where objects were": "[]" in plain,
    }
    return [told for told, there in found.items() if there]


def key_mistakes(secret: str) -> Iterator[tuple[Reason, bytes]]:
    """Keys that people make of a secret, wrongly."""
    rest = secret.removeprefix("whsec_")
    yield "key_is_text", secret.encode()
    yield "key_is_text", rest.encode()
    yield "key_decoded_with_prefix", _loosely(secret.replace("-", "+").replace("_", "/"))  # Node reads both alphabets
    yield "key_decoded_with_prefix", _loosely(secret)  # Python and PHP skip what is not of theirs
    yield "key_is_hex", _hex_pairs(rest)  # Node stops at the first letter that is no hex, and says nothing
    yield "key_is_hex", _hex_pairs(secret)
    yield "key_is_hex", signing.key_of(secret).hex().encode()


def undecorated(secret: str) -> str:
    """The secret without what stood around it where it was written down."""
    return secret.strip().strip("'\"`").strip().removeprefix("\ufeff")


def _from_utf16(body: bytes) -> bytes:
    name = next((name for bom, name in _BOMS.items() if body.startswith(bom)), None)
    return body.decode(name).encode() if name else body


def _from_latin1(body: bytes) -> bytes:
    """UTF-8 that was read as Latin-1 and written as UTF-8; or Latin-1 itself."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252").encode()
    for name in ("latin-1", "cp1252"):
        try:
            before = text.encode(name)
            before.decode()
        except UnicodeError:
            continue
        return before
    return body


def _decoded_once(body: bytes) -> bytes:
    """A JSON string that holds JSON, or Python's `b'…'`."""
    text = body.strip(_WHITE)
    if text.startswith(b'"') and isinstance(inner := json.loads(text), str):
        return inner.encode()
    if text[:2] in {b"b'", b'b"'} and text[-1:] == text[1:2]:
        return text[2:-1].decode("unicode_escape").encode("latin-1")
    return body


def _lossy(event: bytes) -> Iterator[bytes]:
    """What a character set leaves that lacks the letters."""
    text = event.decode()
    for name in ("ascii", "latin-1", "cp1252"):
        yield text.encode(name, "replace")
        yield text.encode(name, "ignore")
        yield text.encode(name, "xmlcharrefreplace")
        yield event.decode(name, "replace").encode()
        yield event.decode(name, "ignore").encode()
    yield text.encode("latin-1", "replace").decode("latin-1").encode()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return body


def _with_objects(value: Any) -> Any:
    match value:
        case []:
            return {}
        case dict():
            return {key: _with_objects(inner) for key, inner in value.items()}
        case list():
            return [_with_objects(inner) for inner in value]
        case _:
            return value


def _is_sorted(value: Any) -> bool:
    """Whether an object has more than two keys, all in order; ours begin `id`, `event`, `timestamp`."""
    return isinstance(value, dict) and len(value) > 2 and list(value) == sorted(value)  # noqa: PLR2004 - two may be so


def _loosely(text: str) -> bytes:
    letters = _NOT_BASE64.sub("", text)
    whole = len(letters) - (len(letters) % 4 == 1)
    try:
        return base64.b64decode(letters[:whole] + "=" * (-whole % 4))
    except binascii.Error:
        return b""


def _hex_pairs(text: str) -> bytes:
    found = _HEX_PAIRS.match(text)
    return bytes.fromhex(found[0]) if found else b""
