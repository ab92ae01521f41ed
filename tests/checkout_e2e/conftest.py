"""One stage for a worker, and a shopper who has seen nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext

from tests.checkout_e2e.buyer import Buyer
from tests.checkout_e2e.stage import Stage, staged


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Shared: a test that stops a part of it starts it again."""
    with staged(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def buyer(stage: Stage, context: BrowserContext) -> Buyer:
    """On the shop's page. Nothing moves: else the dialog may still be growing under a pointer."""
    made = Buyer(stage, await context.new_page())
    await made.page.emulate_media(reduced_motion="reduce")
    await made.visit()
    return made
