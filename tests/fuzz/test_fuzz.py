"""schemathesis over the running API, all checks: no 5xx, no response outside of its description."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from gateway import demo
from gateway.config import load
from schema.invariants import broken
from tests.support.processes import ROOT, Stack, stack

LONG = os.environ.get("FUZZ") == "long"
"""`make test-fuzz`: at least 20,000 cases; several minutes."""
SEEDS = (1, 2, 3, 4) if LONG else (20_261_122,)
EXAMPLES = 120 if LONG else 3
AT_LEAST = 20_000 if LONG else 500


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Stack]:
    """API, dispatcher and receiver; the dispatcher makes payments succeed meanwhile, so that there is more to fuzz."""
    with stack(database_url, tmp_path, TEST_PROCESSING_DELAY="0") as made:
        asyncio.run(demo.seed(database_url, load(made.env)))
        made.start_receiver()
        made.start_api()
        made.start_dispatcher()
        yield made


def test_whatever_is_sent_the_answer_is_described(shop: Stack, database_url: str) -> None:
    cases = 0
    for seed in SEEDS:
        said = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli",
                "--config-file", "tests/fuzz/schemathesis.toml",
                "--no-color", "run", f"{shop.url}/openapi.json",
                "-H", f"X-Api-Key: {demo.KEY_ID}", "-H", f"X-Api-Secret: {demo.SECRET}",
                "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful",
                "--max-examples", str(EXAMPLES), "--seed", str(seed),
                "--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off",
            ],
            cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        assert said.returncode == 0, said.stdout[-12_000:] + said.stderr[-2000:]
        found = re.search(r"([0-9,]+) generated", said.stdout)
        assert found, said.stdout[-2000:]
        cases += int(found[1].replace(",", ""))
    sys.stdout.write(f"{cases} cases with {len(SEEDS)} seeds: no 5xx, nothing that is not described\n")
    assert cases >= AT_LEAST
    assert not shop.api.said("request.failed")
    with psycopg.connect(database_url, row_factory=dict_row) as conn:
        assert broken(conn) == {}
