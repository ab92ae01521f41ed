"""The SDK as it is built, and two origins that serve pages."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout.origins import Checkout, Shop
from tests.support.npm import Installed, installed
from tests.support.tools import node_program

__all__ = ["installed"]
SDK = Path(__file__).parents[2] / "sdk-js"


@pytest.fixture(scope="session")
def sdk(installed: Installed) -> Path:
    """A copy of `sdk-js` with its packages and a fresh `dist/`; workers of pytest-xdist share it."""
    copy = installed(SDK)
    with (copy / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (copy / "built").exists():
            said = subprocess.run(
                [node_program(), "build.mjs"], cwd=copy, capture_output=True, text=True, timeout=120, check=False
            )
            assert said.returncode == 0, said.stdout + said.stderr
            (copy / "built").touch()
    return copy


@pytest.fixture(scope="session")
def checkout(sdk: Path) -> Iterator[Checkout]:
    """The checkout's origin: the built SDK, and a frame that does what a test says."""
    with Checkout(sdk / "dist") as served:
        yield served


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    """A merchant's origin, which is another site."""
    with Shop() as served:
        yield served
