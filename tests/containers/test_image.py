"""The image holds what is locked and nothing else, for a user without any rights."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.containers.composed import docker, inspect
from tests.faults.shop import report
from tests.support.processes import ROOT

IMAGE = os.environ.get("LEDGATE_IMAGE", "ledgate")
LARGEST = 300_000_000  # bytes, with a base image of 128 MB; a compiler alone would be more than what is left

CONFINED = ("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def run(*words: str, entrypoint: str = "ledgate", code: int = 0) -> str:
    """What a command in a new container says, without a network, a capability or anything to write to."""
    return docker(*CONFINED, f"--entrypoint={entrypoint}", IMAGE, *words, code=code).stdout


@pytest.fixture(scope="module")
def files() -> dict[str, int]:
    """Every file outside of /proc and its size in bytes."""
    listed = run("/", "-xdev", "-type", "f", "-printf", "%s %p\\n", entrypoint="find", code=1)
    return {path: int(size) for size, path in (line.split(" ", 1) for line in listed.splitlines())}


def test_it_runs_as_nobody_in_particular() -> None:
    """With no write access to anything that is ours, not even where the secrets go by default."""
    config: dict[str, Any] = json.loads(inspect(IMAGE, "{{json .Config}}"))
    ours = run("/opt/ledgate", "-writable", "-not", "-type", "l", entrypoint="find")

    assert config["User"] == "10001:10001"
    assert "10001 10001" in run("-c", "echo $(id -u) $(id -g)", entrypoint="sh")
    assert ours == ""
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "Ledgate"
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert run("--version") == f"ledgate {labels['org.opencontainers.image.version']}\n"


def test_every_command_is_there() -> None:
    """On a read-only root file system; those that need a database say so in one line. (tests of compose start them)"""
    listed = run("--help")

    for command in (
        "api",
        "checkout",
        "dashboard",
        "dispatcher",
        "migrate",
        "test-merchant",
        "demo-shop",
        "check",
        "demo",
        "secrets",
        "users",
    ):
        assert re.search(rf"^\W*{command} ", listed, re.MULTILINE), command
    for command, code in {"api": 1, "checkout": 1, "dashboard": 1, "dispatcher": 1, "migrate": 2}.items():
        told = docker(*CONFINED, IMAGE, command, code=code).stderr
        assert "DATABASE_URL" in told
        assert len(told.strip().splitlines()) == 1


def test_what_is_installed_is_what_is_locked() -> None:
    """Version by version, nothing more and nothing less, and all of it fits together."""
    script = (
        "import importlib.metadata as m, json, platform;"
        "print(json.dumps([platform.python_version(), {d.name: d.version for d in m.distributions()}]))"
    )
    python, installed = json.loads(run("-c", script, entrypoint="python"))
    there = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    locked = [Requirement(line) for line in re.findall(r"^([\w.-]+==[^\\\n]+)", _locked(), re.MULTILINE)]

    version = installed.pop("ledgate")
    assert version == inspect(IMAGE, '{{index .Config.Labels "org.opencontainers.image.version"}}')
    assert {f"{canonicalize_name(name)}=={version}" for name, version in installed.items()} == {
        f"{need.name}{need.specifier}" for need in locked if need.marker is None or need.marker.evaluate(there)
    }


def test_nothing_is_in_it_that_no_process_needs(files: dict[str, int]) -> None:
    """No installer of ours, no compiler, no tests, no repository, no configuration of whoever built it."""
    ours = [path for path in files if path.startswith("/opt/ledgate/")]
    names = {path.rsplit("/", 1)[-1] for path in files}

    assert len(ours) > 1000
    assert not names & {"gcc", "cc", "c++", "clang", "ld", "make", "git", "curl", ".env", ".netrc", "id_rsa", "pgpass"}
    assert not [
        path for path in ours if re.search(r"/(\.git|site-packages/(pip|setuptools|pytest|bench|tests))/|\.pyi$", path)
    ]
    assert not [path for path in files if path.startswith(("/src", "/tools", "/wheels", "/root/.cache", "/secrets/"))]


def test_its_history_tells_no_secret() -> None:
    """Neither a build argument nor a command with a credential or the address of a private index."""
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE).stdout

    assert "COPY /opt/ledgate" in history
    assert not re.search(r"(?i)password|secret_key|token|index-url|https?://[^ ]*@", history)


def test_it_is_small(files: dict[str, int]) -> None:
    """And says what takes the room."""
    size = int(inspect(IMAGE, "{{.Size}}"))
    folders: dict[str, int] = {}
    for path, bytes_ in files.items():
        if found := re.match(r"/opt/ledgate/lib/python[\d.]+/site-packages/([^/]+)", path):
            folders[found[1]] = folders.get(found[1], 0) + bytes_
    report(f"{IMAGE}: {size / 1e6:.0f} MB, {sum(folders.values()) / 1e6:.0f} MB of it in site-packages:")
    for name, room in sorted(folders.items(), key=lambda pair: -pair[1])[:12]:
        report(f"{room / 1e6:6.1f} MB {name}")

    assert size < LARGEST


def _locked() -> str:
    return (ROOT / "requirements" / "runtime.txt").read_text()
