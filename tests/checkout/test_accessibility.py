"""axe-core finds nothing to say about the dialog, in any state, light or dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Page

from tests.checkout.driving import said, shown, visit
from tests.checkout.origins import Checkout, Shop

pytestmark = pytest.mark.asyncio(loop_scope="session")
RUN = """async () => (await axe.run("#payment-gateway-modal", { iframes: false })).violations
  .map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)])"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    page: Page, shop: Shop, checkout: Checkout, sdk: Path, scheme: Literal["light", "dark"]
) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await page.clock.install()
    await visit(page, shop, checkout)
    await page.evaluate((sdk / "node_modules/axe-core/axe.min.js").read_text())
    found: dict[str, Any] = {}
    await page.evaluate("pay({ orderId: 'silent', name: 'Corner Shop' })")
    found["busy"] = await page.evaluate(RUN)
    await page.clock.run_for(15_500)
    found["silent"] = await page.evaluate(RUN)
    await said(page.frames[1], "checkout_ready")
    await shown(page)
    found["shown"] = await page.evaluate(RUN)
    assert found == {"busy": [], "silent": [], "shown": []}
