"""Logs tell what happened, never what was in the variables, and never stop the work."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

SAYS = """
import sys, structlog
from kit import logs
logs.setup(level="info", style=sys.argv[1], service="test")
log = structlog.get_logger()
def fail(secret):
    raise ValueError("broken")
log.info("work.done", status=200)
log.debug("not.shown")
try:
    fail("whsec_do_not_show")
except ValueError:
    log.exception("work.crashed")
"""


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_variables(style: str) -> None:
    said = subprocess.run([sys.executable, "-c", SAYS, style], capture_output=True, text=True, timeout=30, check=True)
    assert "whsec" not in said.stderr.replace('fail("whsec_do_not_show")', "")
    assert "ValueError" in said.stderr
    assert "work.done" in said.stderr
    assert "not.shown" not in said.stderr
    if style == "json":
        lines = [msgspec.json.decode(line) for line in said.stderr.splitlines()]
        assert [line["event"] for line in lines] == ["work.done", "work.crashed"]
        assert {line["service"] for line in lines} == {"test"}


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_log_that_nobody_reads_stops_nothing(style: str) -> None:
    """The reader of a pipe went away: lines are lost, the process goes on to its end."""
    reader, writer = os.pipe()
    os.close(reader)
    script = SAYS + "\nlog.info('after')\nsys.exit(7)\n"
    child = subprocess.Popen([sys.executable, "-c", script, style], stderr=writer)
    os.close(writer)
    assert child.wait(30) == 7
