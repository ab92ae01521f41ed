"""The schema as text, the same for every run: what pg_dump says, without partitions of days and its own noise."""

from __future__ import annotations

import re
import subprocess

from kit import pghome

_NOISE = re.compile(r"^(--.*|\\(un)?restrict .*|SET .*|SELECT pg_catalog\.set_config.*)$", re.MULTILINE)


def dump(url: str) -> str:
    """All of the schema but yoyo's own tables and the daily partitions."""
    said = subprocess.run(
        [
            pghome._programs() / "pg_dump",
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "--exclude-table=*_2[0-9]*",
            "--exclude-table=*yoyo*",
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return re.sub(r"\n{3,}", "\n\n", _NOISE.sub("", said.stdout)).strip() + "\n"
