# /// script
# dependencies = ["pillow", "playwright"]
# ///
"""Take pictures of a running dashboard's pages and put them on sheets: each page wide and narrow, light and dark.

make run; ledgate demo
pipx run docs/screenshots/dashboard.py http://localhost:3000 [page …]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from shutil import which

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, StorageState, sync_playwright
from sheets import CAPTION, GAP, GROUND, HERE, INK, paletted

OWNER = "demo@ledgate.test"
PASSWORD = "ledgate-demo"  # noqa: S105 - public
PAGES = {
    "overview": "/dashboard?period=7d",
    "sign-in": "/login",
    "team": "/dashboard/team",
    "audit": "/dashboard/audit",
    "account": "/dashboard/account",
}
"""Name and path; who is signed in is the demo's owner."""
BEFORE = {"sign-in"}
"""Pages before the sign-in."""
SHEETS = {"wide": ((1440, 960, 640),), "narrow": ((768, 1000, 384), (360, 1000, 200))}
"""Of each sheet: width and height of the window, and the width in which it stands on the sheet, in pixels."""
LONGEST = 1.25  # times the window: what is below is cut off


def take(browser: Browser, base: str, name: str, folder: Path, signed_in: StorageState) -> None:
    """A picture for each size and theme."""
    for width, height, _ in (size for sizes in SHEETS.values() for size in sizes):
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                reduced_motion="reduce",
                timezone_id="Asia/Kolkata",
                storage_state=None if name in BEFORE else signed_in,
            )
            page = context.new_page()
            page.goto(base + PAGES[name])
            page.wait_for_timeout(500)
            high = min(page.evaluate("document.documentElement.scrollHeight"), round(height * LONGEST))
            page.set_viewport_size({"width": width, "height": high})
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")
            context.close()


def sign_in(browser: Browser, base: str) -> StorageState:
    """As the demo's owner: the cookies."""
    context = browser.new_context(timezone_id="Asia/Kolkata")
    page = context.new_page()
    page.goto(f"{base}/login")
    page.fill("#email", OWNER)
    page.fill("#password", PASSWORD)
    page.locator("[data-test-id=sign-in-button]").click()
    page.wait_for_url("**/dashboard**")
    return context.storage_state()


def sheet(name: str, sizes: tuple[tuple[int, int, int], ...], folder: Path) -> Image.Image:
    """The pictures beside each other, each under its size and theme."""
    pictures = []
    for width, _, shown in sizes:
        for scheme in ("light", "dark"):
            whole = Image.open(folder / f"{name}-{width}-{scheme}.png").convert("RGB")
            small = whole.resize((shown, round(whole.height * shown / whole.width)), Image.Resampling.LANCZOS)
            pictures.append((f"{width} px, {scheme}", small))
    wide = GAP + sum(picture.width + GAP for _, picture in pictures)
    made = Image.new("RGB", (wide, CAPTION + max(picture.height for _, picture in pictures) + GAP), GROUND)
    draw, font, left = ImageDraw.Draw(made), ImageFont.load_default(15), GAP
    for caption, picture in pictures:
        draw.text((left, 6), caption, fill=INK, font=font)
        made.paste(picture, (left, CAPTION))
        left += picture.width + GAP
    return made


def main(base: str, names: list[str]) -> None:
    """Two sheets for each page."""
    base = base.rstrip("/")
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        folder = Path(kept)
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        signed_in = sign_in(browser, base)
        for name in names or PAGES:
            take(browser, base, name, folder, signed_in)
            for which_sheet, sizes in SHEETS.items():
                paletted(sheet(name, sizes, folder)).save(HERE / f"dashboard-{name}-{which_sheet}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
