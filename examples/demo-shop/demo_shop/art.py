"""The shop's pictures: tins drawn in SVG, so that no picture is loaded from anywhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo_shop.catalogue import Tea

_PAPER = "#fbf3e2"
_BRASS = "#d9b36a"


def tin(tea: Tea) -> str:
    """A tin of that tea; to be shown at any size."""
    colour, dark, ink = tea.tin
    border = "".join(
        f'<path d="M{x} 92l5-7 5 7-5 7z" fill="{_BRASS}" fill-opacity=".9"/>' for x in range(34, 166, 11)
    )  # a block printer's row of lozenges
    return (
        '<svg viewBox="0 0 200 236" aria-hidden="true" focusable="false">'
        '<ellipse cx="100" cy="223" rx="76" ry="9" fill="#000" fill-opacity=".16"/>'
        f'<path d="M30 62v148c0 9 31 16 70 16s70-7 70-16V62z" fill="{colour}"/>'
        f'<path d="M132 62v161c23-3 38-7 38-13V62z" fill="{dark}" fill-opacity=".75"/>'
        '<path d="M42 62v155c4 1 8 3 13 3V62z" fill="#fff" fill-opacity=".16"/>'
        f'<path d="M30 82h140v20H30z" fill="{dark}"/>{border}'
        '<path d="M30 200c0 8 31 14 70 14s70-6 70-14v6c0 9-31 15-70 15s-70-6-70-15z"'
        f' fill="{_BRASS}" fill-opacity=".85"/>'
        # The lid
        f'<path d="M26 34v30c0 9 33 16 74 16s74-7 74-16V34z" fill="{dark}"/>'
        f'<path d="M26 58c0 9 33 16 74 16s74-7 74-16v6c0 9-33 16-74 16s-74-7-74-16z" fill="{_BRASS}"/>'
        f'<ellipse cx="100" cy="34" rx="74" ry="16" fill="{colour}"/>'
        '<ellipse cx="100" cy="33" rx="60" ry="11" fill="#fff" fill-opacity=".13"/>'
        f'<ellipse cx="100" cy="28" rx="13" ry="5" fill="{_BRASS}"/><circle cx="100" cy="22" r="7" fill="{_BRASS}"/>'
        # The label
        f'<circle cx="100" cy="150" r="45" fill="{_PAPER}"/>'
        f'<circle cx="100" cy="150" r="40.5" fill="none" stroke="{ink}" stroke-width="1.2" stroke-dasharray="1.2 3.4"/>'
        f'<g fill="none" stroke="{ink}" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round">'
        f"{_PRINTS[tea.slug]}</g></svg>"
    )


def _turned(part: str, times: int, *, x: int = 100, y: int = 150) -> str:
    return "".join(f'<g transform="rotate({360 * turn / times:g} {x} {y})">{part}</g>' for turn in range(times))


def _sun(x: int, y: int, radius: int, rays: int) -> str:
    lines = []
    for ray in range(rays):
        angle = math.pi * (1 + ray / (rays - 1))
        inner, outer = radius + 5, radius + 10
        points = (f"{x + r * math.cos(angle):.1f} {y + r * math.sin(angle):.1f}" for r in (inner, outer))
        lines.append("M{}L{}".format(*points))
    return f'<path d="M{x - radius} {y}a{radius} {radius} 0 0 1 {2 * radius} 0"/><path d="{"".join(lines)}"/>'


_PRINTS = {
    # Two leaves and a bud
    "assam": (
        '<path d="M100 182v-34"/><path d="M100 172c-18 2-27-9-29-24 17-1 28 7 29 24z"/>'
        '<path d="M100 172c18 2 27-9 29-24-17-1-28 7-29 24z"/><path d="M100 148c-8-9-8-20 0-31 8 11 8 22 0 31z"/>'
        '<path d="M94 164l-13-10M106 164l13-10"/>'
    ),
    # Kanchenjunga over a garden
    "darjeeling": (
        '<path d="M64 162l21-31 9 12 12-19 30 38"/><path d="M79 141l6 4 4-4M100 133l6 6 6-5"/>'
        '<path d="M64 170c12-6 24-6 36 0s24 6 36 0M70 179c10-5 20-5 30 0s20 5 30 0"/>'
    ),
    # A glass of chai, steaming
    "masala": (
        '<path d="M82 140l5 41h26l5-41z"/><path d="M84 152h32"/>'
        '<path d="M85 160h30M86 168h28M87 176h26" stroke-width="1.2"/>'
        '<path d="M92 133c-5-6 5-9 0-16M108 133c-5-6 5-9 0-16"/>'
    ),
    # A crocus and its saffron
    "kahwa": (
        '<path d="M100 184v-22"/>'
        '<path d="M100 162c-20-4-24-22-18-38 8 5 13 11 18 22 5-11 10-17 18-22 6 16 2 34-18 38z"/>'
        '<path d="M100 146c-5-10-5-20 0-29 5 9 5 19 0 29z"/><path d="M100 182c-8-2-13-6-17-13M100 182c8-2 13-6 17-13"/>'
    ),
    # Frost
    "nilgiri": _turned('<path d="M100 150v-32M100 126l-7-7M100 126l7-7M100 137l-6-5M100 137l6-5"/>', 6),
    # The sun over terraces
    "kangra": _sun(100, 148, 13, 7) + '<path d="M66 152h68M69 161c10-5 20-5 31 0s21 5 31 0"/>'
    '<path d="M74 170c9-4 17-4 26 0s17 4 26 0M82 179c6-3 12-3 18 0s12 3 18 0"/>',
}

HILLS = (
    '<svg class="hills" viewBox="0 0 1200 300" preserveAspectRatio="xMaxYMax slice" aria-hidden="true">'
    '<circle cx="905" cy="112" r="56" class="sun"/>'
    '<path class="far" d="M0 190l130-78 88 52 128-98 118 92 96-50 148 84 126-72 120 66 116-60 130 60v114H0z"/>'
    '<path class="middle" d="M0 236c110-58 214-62 330-18s204 34 300-6 196-40 290-4 184 34 280-8v100H0z"/>'
    '<path class="near" d="M0 268c150-40 290-34 420-8s250 22 370-10 270-26 410 16v34H0z"/>'
    '<g class="rows">'
    '<path d="M0 247c110-50 214-54 330-14s204 32 300-4 196-38 290-4 184 32 280-8"/>'
    '<path d="M0 258c110-44 214-46 330-12s204 30 300-2 196-34 290-4 184 30 280-6"/>'
    '<path d="M0 280c150-36 290-30 420-6s250 20 370-8 270-24 410 14"/>'
    '<path d="M0 291c150-32 290-26 420-4s250 18 370-6 270-22 410 12"/>'
    "</g></svg>"
)
