"""The merchant's colour, made readable: what stands on it, and what is written in it on paper, light and dark."""

from __future__ import annotations

import re
from typing import Final

Colour = tuple[int, int, int]
"""Red, green and blue of sRGB, each of 0 to 255."""

READABLE: Final = 4.5
"""The least contrast of a text to its ground: WCAG 2.2, 1.4.3."""
LIGHT: Final[Colour] = (255, 255, 255)
DARK: Final[Colour] = (29, 34, 43)
"""`--field` of page.css in both schemes: of all grounds, the hardest to read on."""

_WHITE: Final[Colour] = (255, 255, 255)
_BLACK: Final[Colour] = (0, 0, 0)
_INK: Final[Colour] = (16, 20, 28)
_STEPS = 20
_LINEAR = 0.04045  # where sRGB's curve begins (IEC 61966-2-1)
_HEX = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})\Z")


def parse(text: str) -> Colour | None:
    """A hex colour, `#0a7` or `#00aa77`; None for anything else."""
    found = _HEX.match(text)
    if not found:
        return None
    width = len(found[1]) // 3
    red, green, blue = (int((found[1][at : at + width] * 2)[:2], 16) for at in range(0, 3 * width, width))
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    """WCAG's contrast ratio, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def readable(colour: Colour, ground: Colour) -> Colour:
    """The nearest tone of a colour that can be read on a ground."""
    towards = max(_BLACK, _WHITE, key=lambda end: contrast(end, ground))
    for step in range(_STEPS):
        tone = _mix(colour, towards, step / _STEPS)
        if contrast(tone, ground) >= READABLE:
            return tone
    return towards


def style(text: str) -> str:
    """The style sheet's variables in a merchant's colour; nothing where it is none, and page.css has its own."""
    colour = parse(text)
    if colour is None:
        return ""
    on = _WHITE if contrast(_WHITE, colour) >= contrast(_INK, colour) else _INK
    # Neither reads on a middle tone: then the colour yields, not the text.
    button = colour if contrast(on, colour) >= READABLE else readable(colour, on)
    values = {
        "accent": button,
        "accent-over": _mix(button, _BLACK if on == _WHITE else _WHITE, 0.12),
        "on-accent": on,
        "accent-light": readable(button, LIGHT),
        "accent-dark": readable(button, DARK),
    }
    return ":root{" + ";".join(f"--{name}:rgb({r} {g} {b})" for name, (r, g, b) in values.items()) + "}"


def _luminance(colour: Colour) -> float:
    red, green, blue = (c / 12.92 if c <= _LINEAR else ((c + 0.055) / 1.055) ** 2.4 for c in (n / 255 for n in colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue
