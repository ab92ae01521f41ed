"""What tests of the examples share."""

from __future__ import annotations

import pytest

from tests.examples.merchant_calls import SECRET, running


@pytest.fixture
async def shop():
    """The test merchant, for one test."""
    async with running(SECRET) as client:
        yield client
