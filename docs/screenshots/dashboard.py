# /// script
# dependencies = ["pillow", "playwright"]
# ///
"""Take pictures of a running dashboard's pages and put them on sheets: each page wide and narrow, light and dark.

make run; ledgate demo --past 4000
pipx run docs/screenshots/dashboard.py http://localhost:3000 [--keep folder] [page …]

It acts as the demo's users: it makes a key and revokes it, begins a recovery and ends it, gives the viewer a second
factor and takes it away. What it cannot take away is what the audit log says of it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hmac
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sheets import CAPTION, GAP, GROUND, HERE, INK, paletted

OWNER, VIEWER, OPERATOR = "demo@ledgate.test", "viewer@ledgate.test", "operator@ledgate.test"
PASSWORD = "ledgate-demo"  # noqa: S105 - public
SHEETS = {"wide": ((1440, 960, 640),), "narrow": ((768, 1000, 384), (360, 1000, 200))}
"""Of each sheet: width and height of the window, and the width in which it stands on the sheet, in pixels."""
THEME = """(theme) => {
  document.documentElement.dataset.theme = theme;
  const top = scrollY;
  document.body.hidden = true; // Chromium leaves some inherited colours as they were
  document.body.offsetHeight;
  document.body.hidden = false;
  scrollTo(0, top);
  document.dispatchEvent(new CustomEvent("theme"));
}"""
LONGEST = 1.25  # times the window: what is below is cut off

Shoot = Callable[[Page], None]


class Seen(NamedTuple):
    """A page, and how one gets to what is to be seen."""

    path: str
    go: Callable[[Page, Shoot], None] = lambda page, shoot: shoot(page)
    who: str = OWNER


def into(selector: str, *then: str) -> Callable[[Page, Shoot], None]:
    """Follow the first of these links, then the others, each on the page before."""

    def go(page: Page, shoot: Shoot) -> None:
        for one in (selector, *then):
            page.locator(one).first.click()
            page.wait_for_load_state("networkidle")
        shoot(page)

    return go


def searched(text: str) -> Callable[[Page, Shoot], None]:
    """Type into the search, and press Enter."""

    def go(page: Page, shoot: Shoot) -> None:
        page.fill("#q", text)
        page.press("#q", "Enter")
        page.wait_for_url("**q=*")
        shoot(page)

    return go


def newcomer(page: Page, shoot: Shoot) -> None:
    """The demo shop's overview, where nobody has bought yet."""
    page.get_by_role("button", name="Show Chai Patti").click()
    page.wait_for_load_state("networkidle")
    page.goto(page.url.partition("/dashboard")[0] + "/dashboard")
    shoot(page)
    page.goto(page.url.partition("/dashboard")[0] + "/dashboard/account")
    page.get_by_role("button", name="Show Ledgate Demo").click()
    page.wait_for_load_state("networkidle")


def verified(page: Page, shoot: Shoot) -> None:
    """A delivery whose receiver has another secret: which step fails."""
    into("[data-test-id=webhook-event]")(page, lambda _: None)
    page.fill("#check-secret", "whsec_c29tZXRoaW5nIGVsc2UgdGhhbiB0aGUgc2VjcmV0")
    page.locator("[data-test-id=verify-button]").click()
    page.wait_for_selector("[data-test-id=verify-result]")
    page.evaluate("document.getElementById('verify').scrollIntoView()")
    shoot(page)


def made(page: Page, shoot: Shoot) -> None:
    """A key that is shown this once; it is revoked after that."""
    page.locator("[data-test-id=key-name-input]").fill("Shop server, Mumbai")
    page.locator("[data-test-id=create-key-button]").click()
    page.wait_for_selector("[data-test-id=new-key]")
    shoot(page)
    page.set_viewport_size({"width": 1440, "height": 960})
    new = page.locator("[data-test-id=api-key]").filter(has_text="Shop server, Mumbai").first
    new.locator("summary").click()
    new.locator(".popover button").click()
    page.wait_for_selector("[data-toast]")


def recovering(page: Page, shoot: Shoot) -> None:
    """A recovery that goes on; it is ended after that."""
    page.locator("[data-test-id=start-recovery-button]").click()
    page.wait_for_selector("[data-test-id=recovery-progress]")
    page.wait_for_timeout(12_000)
    shoot(page)
    page.set_viewport_size({"width": 1440, "height": 960})
    page.locator(".confirm summary").click()
    page.locator(".popover button").click()
    page.wait_for_selector("[data-toast]")


def counted(status: str, rate: int) -> str:
    """What there is of the last month to send again, counted and not yet sent."""
    since = datetime.now(UTC) - timedelta(days=30)
    return f"/dashboard/webhooks/recoveries/new?since={since:%Y-%m-%dT%H:%M}&status={status}&rate={rate}"


SUCCEEDED = "/dashboard/payments?status=success"
ROW = "[data-test-id=payment-row] a.into"
LOG = "/dashboard/webhooks?status="
PAGES = {
    "overview": Seen("/dashboard?period=7d"),
    "first-steps": Seen("/dashboard/account", newcomer),
    "payments": Seen("/dashboard/payments"),
    "payments-found": Seen("/dashboard/payments", searched("order_test_123")),
    "payments-filtered": Seen("/dashboard/payments?status=failed&method=card"),
    "payments-none": Seen("/dashboard/payments", searched("pay_nobody")),
    "payment": Seen("/dashboard/events?type=refund.processed", into("[data-test-id=event-row] a.above")),
    "payment-failed": Seen("/dashboard/payments?status=failed", into(ROW)),
    "payment-as-of": Seen(SUCCEEDED, into(ROW, "[data-test-id=step] a.when")),
    "payment-refund": Seen(SUCCEEDED, into(ROW, "[data-test-id=refund-button]")),
    "webhooks": Seen("/dashboard/webhooks"),
    "endpoint": Seen("/dashboard/webhooks", into("[data-test-id=endpoint] a.name")),
    "endpoint-off": Seen("/dashboard/webhooks", into("[data-test-id=endpoint-trouble]:has(.badge.bad) h2 a")),
    "endpoint-new": Seen("/dashboard/webhooks/endpoints/new"),
    "delivery": Seen(f"{LOG}failed", into("[data-test-id=webhook-event]")),
    "delivery-verify": Seen(f"{LOG}failed", verified),
    "recovery-counted": Seen(counted("failed", 100)),
    "recovery": Seen(counted("success", 20), recovering),
    "recoveries": Seen("/dashboard/webhooks/recoveries"),
    "events": Seen("/dashboard/events"),
    "event": Seen("/dashboard/events?type=payment.success", into("[data-test-id=event-row] a.into")),
    "keys": Seen("/dashboard/keys"),
    "key-made": Seen("/dashboard/keys", made),
    "docs": Seen("/dashboard/docs"),
    "team": Seen("/dashboard/team"),
    "audit": Seen("/dashboard/audit"),
    "account": Seen("/dashboard/account"),
    "error": Seen("/dashboard/payments/pay_nobody"),
    "operator": Seen("/dashboard/operator", who=OPERATOR),
    "operator-merchants": Seen("/dashboard/operator/merchants", who=OPERATOR),
    "operator-database": Seen("/dashboard/operator/database", who=OPERATOR),
    "sign-in": Seen("/login", who=""),
    "sign-in-key": Seen("/login/key", who=""),
}
"""By name."""
FACTOR = ("second-factor", "recovery-codes", "sign-in-code")
"""They come one after the other, see `second_factor`."""


class Studio:
    """A browser before a dashboard, and the folder of its pictures."""

    def __init__(self, browser: Browser, base: str, folder: Path) -> None:
        self.browser, self.base, self.folder = browser, base, folder
        self._signed_in: dict[str, BrowserContext] = {}

    @contextlib.contextmanager
    def page(self, who: str) -> Iterator[Page]:
        """A page of that user's, signed in."""
        if who not in self._signed_in:
            self._signed_in[who] = self.browser.new_context(timezone_id="Asia/Kolkata", reduced_motion="reduce")
            if who:
                page = self._signed_in[who].new_page()
                self.sign_in(page, who)
                page.close()
        page = self._signed_in[who].new_page()
        page.set_viewport_size({"width": 1440, "height": 960})
        yield page
        page.close()

    def sign_in(self, page: Page, who: str) -> None:
        """With the password; who has a second factor is asked for it then."""
        page.goto(f"{self.base}/login")
        page.fill("#email", who)
        page.fill("#password", PASSWORD)
        page.locator("[data-test-id=sign-in-button]").click()
        page.wait_for_load_state("networkidle")

    def shoot(self, page: Page, name: str) -> None:
        """A picture for each size and theme, of the page as it stands."""
        for scheme in ("light", "dark"):
            page.evaluate(THEME, scheme)
            for width, height, _ in (size for sizes in SHEETS.values() for size in sizes):
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(250)
                high = (
                    page.evaluate("document.documentElement.scrollHeight") if not page.evaluate("scrollY") else height
                )
                page.set_viewport_size({"width": width, "height": min(high, round(height * LONGEST))})
                page.wait_for_timeout(250)
                page.screenshot(path=self.folder / f"{name}-{width}-{scheme}.png")

    def take(self, name: str) -> None:
        """Go there, and look."""
        seen = PAGES[name]
        with self.page(seen.who) as page:
            page.goto(self.base + seen.path)
            page.wait_for_timeout(500)
            seen.go(page, lambda page: self.shoot(page, name))

    def second_factor(self) -> None:
        """Set up by the viewer, asked for at the next sign-in, and removed."""
        with self.page(VIEWER) as page:
            page.goto(f"{self.base}/dashboard/account")
            page.fill("#password-second", PASSWORD)
            page.get_by_role("button", name="Set it up").click()
            secret = page.locator("[data-test-id=totp-secret]").inner_text().replace(" ", "")
            self.shoot(page, "second-factor")
            page.fill("#code", code(secret))
            page.get_by_role("button", name="Turn it on").click()
            codes = page.locator("[data-test-id=recovery-codes] li").all_inner_texts()
            self.shoot(page, "recovery-codes")
            self._signed_in.pop(VIEWER).clear_cookies()
            self.sign_in(page, VIEWER)
            self.shoot(page, "sign-in-code")
            page.fill("#code", codes[0])
            page.keyboard.press("Enter")
            page.wait_for_url("**/dashboard**")
            page.goto(f"{self.base}/dashboard/account")
            page.locator("summary", has_text="Turn it off").click()
            page.fill("#password-off", PASSWORD)
            page.fill("#code", codes[1])
            page.get_by_role("button", name="Turn it off").click()
            page.wait_for_selector("[data-toast]")


def code(secret: str) -> str:
    """What an authenticator app shows now (RFC 6238)."""
    mac = hmac.digest(base64.b32decode(secret), int(time.time() // 30).to_bytes(8), "sha1")
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at : at + 4]) & 0x7FFFFFFF) % 1_000_000:06}"


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


def main() -> None:
    """Two sheets for each page."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("address")
    asked.add_argument("pages", nargs="*", metavar="page")
    asked.add_argument("--keep", type=Path, help="a folder for the pictures in their own size")
    given = asked.parse_intermixed_args()
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        studio = Studio(browser, given.address.rstrip("/"), folder)
        wanted = given.pages or [*PAGES, *FACTOR]
        for name in wanted:
            if name in PAGES:
                studio.take(name)
        if set(FACTOR) & set(wanted):
            studio.second_factor()
        browser.close()
        for name in wanted:
            for which_sheet, sizes in SHEETS.items():
                paletted(sheet(name, sizes, folder)).save(HERE / f"dashboard-{name}-{which_sheet}.png", optimize=True)


if __name__ == "__main__":
    main()
