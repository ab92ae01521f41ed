"""Servers that are too old are named and refused."""

from __future__ import annotations

import pytest

from kit.oldest import TooOldError, require


@pytest.mark.parametrize("version", [150000, 150013, 180006, 200001])
def test_15_and_newer_are_taken(version: int) -> None:
    require(version)


@pytest.mark.parametrize(("version", "shown"), [(140022, "14.22"), (100001, "10.1"), (90624, "9.6.24")])
def test_older_ones_are_named(version: int, shown: str) -> None:
    with pytest.raises(TooOldError, match=rf"^PostgreSQL {shown} is too old: Ledgate needs 15 or newer$"):
        require(version)
