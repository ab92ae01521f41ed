"""The public workflow and `.ci/run` do the same: neither knows a part that the other leaves out."""

from __future__ import annotations

import re

import msgspec

from tests.support.processes import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def test_both_call_the_same_targets() -> None:
    """With the same arguments, and the Makefile has each of them."""
    here = re.findall(r'^ *(?:part|beside) "[^"]+" (make .+)$', (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    jobs = msgspec.yaml.decode(WORKFLOW.read_bytes())["jobs"]
    there = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert set(here) == set(there)
    assert len(here) == len(set(here)) >= 9
    assert {call.split()[1] for call in here} <= set(targets)


def test_actions_are_pinned() -> None:
    """To a commit, and nothing may write but who was told to."""
    text = WORKFLOW.read_text()
    used = re.findall(r"uses: (\S+)(.*)", text)

    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) and "# v" in told for action, told in used)
    assert msgspec.yaml.decode(text)["permissions"] == {"contents": "read"}
