"""What stands on a payment's page."""

from __future__ import annotations

import html
import re

from tests.dashboard.conftest import Browser


def steps(browser: Browser) -> list[str]:
    """Source and title of each step, from above."""
    found = re.findall(
        r'<span class="source">(.*?)</span>.*?<span class="title">(.*?)</span>', browser.page.text, re.DOTALL
    )
    return [html.unescape(f"{source}: {title}") for source, title in found]


def money(browser: Browser) -> list[str]:
    """Amount, captured, refunded, left."""
    return re.findall(r"<dd>([^<]*)</dd>", browser.page.text.partition('data-test-id="money"')[2].partition("</dl>")[0])


def states(browser: Browser) -> list[str]:
    """Of the refunds, the newest first."""
    return re.findall(r'data-test-id="refund-status">(\w+)<', browser.page.text)


def hidden(browser: Browser) -> dict[str, str]:
    """The hidden fields of the form that asks whether it is meant."""
    form = browser.page.text.partition('id="act"')[2].partition("</form>")[0]
    return {
        name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    }
