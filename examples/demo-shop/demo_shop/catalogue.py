"""What the shop sells. Prices stand here and nowhere else: a page that comes back may say anything."""

from __future__ import annotations

from dataclasses import dataclass

CURRENCY = "INR"
DELIVERY = 6_000
"""Paise, below `DELIVERY_FREE_FROM`."""
DELIVERY_FREE_FROM = 100_000


@dataclass(frozen=True, slots=True)
class Tea:
    """One tin."""

    slug: str
    name: str
    origin: str
    note: str
    price: int
    """Paise, taxes included."""
    weight: str
    tin: tuple[str, str, str]
    """Colours: the tin, its darker side, the print on its label."""


TEAS = {
    tea.slug: tea
    for tea in (
        Tea("assam", "Assam Second Flush", "Dibrugarh", "Malt, dark honey, and a spoon that stands in milk.",
            42_000, "100 g", ("#9c3d22", "#7c2d18", "#9c3d22")),
        Tea("darjeeling", "Darjeeling First Flush", "Kurseong", "Spring at 1,900 metres: muscatel and peach skin.",
            89_000, "50 g", ("#3f6b52", "#2e5340", "#3f6b52")),
        Tea("masala", "Masala Chai", "Our own blend", "Cardamom first, then ginger, clove and black pepper.",
            36_000, "150 g", ("#c98a1b", "#a66f10", "#a5610c")),
        Tea("kahwa", "Kashmiri Kahwa", "Pampore", "Green tea with saffron, cinnamon and slivered almonds.",
            74_000, "75 g", ("#5b3a6e", "#472b58", "#6d3f86")),
        Tea("nilgiri", "Nilgiri Frost", "Coonoor", "Picked after a night of frost: bright, floral, clean.",
            51_000, "75 g", ("#2f6690", "#235173", "#2f6690")),
        Tea("kangra", "Kangra Green", "Palampur", "Light and grassy, from the first garden below the snow.",
            38_000, "100 g", ("#7a8b2f", "#627123", "#66761f")),
    )
}  # fmt: skip


def rupees(paise: int) -> str:
    """An amount as India writes it: `₹1,29,900.50`, without paise where there are none."""
    whole, rest = divmod(paise, 100)
    digits = str(whole)
    head, tail = digits[:-3], digits[-3:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)]
    return "₹" + ",".join([*reversed(pairs), tail]) + (f".{rest:02}" if rest else "")
