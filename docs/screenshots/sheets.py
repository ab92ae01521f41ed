# /// script
# dependencies = ["pillow"]
# ///
"""Put pictures of the checkout's states on sheets, small enough for a repository.

CHECKOUT_SHOTS=/tmp/shots pytest tests/checkout_page/test_looks.py -k axe
pipx run docs/screenshots/sheets.py /tmp/shots
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
ACROSS = {"360": (7, 330), "1280": (5, 560)}  # pictures in a row, and the pixels of each
GAP, CAPTION, GROUND, INK = 16, 30, "#c9ced6", "#1a1f29"
EXACT, COLOURS = 128, 256


def sheet(files: list[Path], across: int, width: int) -> Image.Image:
    """The pictures in rows, each under its name."""
    pictures = []
    for file in files:
        whole = Image.open(file).convert("RGB")
        pictures.append(
            (file, whole.resize((width, round(whole.height * width / whole.width)), Image.Resampling.LANCZOS))
        )
    rows = [pictures[at : at + across] for at in range(0, len(pictures), across)]
    heights = [CAPTION + max(picture.height for _, picture in row) + GAP for row in rows]
    made = Image.new("RGB", (GAP + across * (width + GAP), sum(heights) + GAP), GROUND)
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(15)
    top = GAP // 2
    for row, height in zip(rows, heights, strict=True):
        for n, (file, picture) in enumerate(row):
            left = GAP + n * (width + GAP)
            name = re.sub(r"^.*?-\d\d-", "", file.stem).replace("-", " ")
            draw.text((left, top + 6), name, fill=INK, font=font)
            made.paste(picture, (left, top + CAPTION))
        top += height
    return made


def paletted(picture: Image.Image) -> Image.Image:
    """The most frequent colours as they are, and others that cover what is left."""
    counted = sorted(picture.getcolors(1 << 24) or [], reverse=True)[:EXACT]
    exact = [channel for _, colour in counted for channel in colour]
    rest = picture.quantize(COLOURS - len(counted), Image.Quantize.MAXCOVERAGE).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette(exact + (rest or []))
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def main(folder: Path) -> None:
    """A sheet for each place, size and scheme."""
    sheets = defaultdict(list)
    for file in sorted(folder.glob("*-*-*-[0-9][0-9]-*.png")):
        where, size, scheme, _ = file.stem.split("-", 3)
        sheets[where, size, scheme].append(file)
    for (where, size, scheme), files in sheets.items():
        made = paletted(sheet(files, *ACROSS[size]))
        made.save(HERE / f"checkout-{where}-{size}-{scheme}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
