"""The demo merchant in a template of its own: a copy costs a third of making it again for each test."""

from __future__ import annotations

import asyncio

from gateway import demo
from gateway.config import Config, load
from tests.support.server import at, copied, is_kind

KIND = "demo"
"""Of a database's name."""


def settings(database_url: str) -> Config:
    """Settings of test mode on a database."""
    return load(
        {
            "DATABASE_URL": database_url,
            "TEST_MODE": "true",
            "TEST_PROCESSING_DELAY": "20",
            "WEBHOOK_RETRY_INTERVALS_TEST": "true",
        }
    )


def make_seeded(url: str, template: str) -> str:
    """A copy of the template with the demo merchant, for tests to copy; returns its name."""
    name = copied(url, template, "seeded")
    asyncio.run(demo.seed(at(url, name), settings(at(url, name))))
    return name


def has_demo(database_url: str) -> bool:
    """Whether the database was copied from that template."""
    return is_kind(database_url, KIND)
