"""UPI links as QR codes, drawn as one path of an SVG image: no picture format, no file, nothing inline to forbid."""

from __future__ import annotations

import functools

import msgspec
import segno


class Code(msgspec.Struct, frozen=True):
    """A QR code without its quiet zone: a path over a square of `size` modules."""

    size: int
    path: str


@functools.lru_cache(maxsize=256)  # a page that waits asks for the same one every few seconds
def draw(text: str) -> Code:
    """The QR code of a text, with a quarter of it readable though a finger covers the rest (level M)."""
    rows = [bytes(row) for row in segno.make(text, error="m", micro=False).matrix]
    path = []
    for y, row in enumerate(rows):
        x = 0
        while (x := row.find(1, x)) >= 0:
            end = row.find(0, x)
            length = (end if end >= 0 else len(row)) - x
            path.append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    return Code(len(rows), "".join(path))
