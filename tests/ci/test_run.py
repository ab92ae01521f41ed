"""`.ci/run` tells what each part took, brings an engine up and down, and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.waiting import until

# A part does what the variable of its target says. An engine answers whom `ENGINE` tells where, once it is up.
FAKES = {
    "make": 'echo "$*" >>"$SAW"; echo "engine: ${ENGINE:-none}"; part=DO_${1//-/_}; eval "${!part:-}"',
    "docker": '[ "$1" != info ] || [ -e "${ENGINE:-/none}" ]',
    "setup.sh": 'echo "setup $1" >>"$SAW"; eval "${DO_engine:-}"; echo "export ENGINE=$UP"; test $1 = env || >"$UP"',
    "id": "echo 0",
    "apt-get": 'echo "apt-get $*" >>"$SAW"; [ "$1" = update ] || eval "${DO_apt:-}"',
    "some-browser": "",
}
WITHOUT = ["setup", "check", "audit", "test", "test-oldest", "bench", "bench-fairness"]


class Frame:
    """`.ci/run` over parts that do as they are told."""

    def __init__(self, folder: Path) -> None:
        self.saw = folder / "saw"
        self._run = folder / "repo" / ".ci" / "run"
        self._run.parent.mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "run", self._run)
        programs = folder / "shared" / "containers"
        programs.mkdir(parents=True)
        for name, does in FAKES.items():
            (programs / name).write_text(f"#!/bin/bash\n{does}\n")
            (programs / name).chmod(0o755)
        self.engine = folder / "engine"
        self._env = {
            "UP": str(self.engine),
            "CI_BROWSERS": "some-browser none",
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SAW": str(self.saw),
        }

    def start(self, **env: str) -> subprocess.Popen[str]:
        """Begin a run."""
        return subprocess.Popen([self._run], stdout=-1, stderr=-2, text=True, env={**self._env, **env})

    def run(self, **env: str) -> tuple[int, str]:
        """The exit code of a run, and what it said."""
        with self.start(**env) as running:
            said, _ = running.communicate(timeout=60)
        return running.returncode, said

    def calls(self) -> list[str]:
        """The targets and what was asked of the engine's script, in order; one that is beside another, after it."""
        found = [line.split(" ARGS")[0] for line in self.saw.read_text().splitlines()]
        for part, aside in (("check", "audit"), ("test-oldest", "image")):
            if {part, aside} <= set(found):
                found.remove(aside)
                found.insert(found.index(part) + 1, aside)
        return found


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    return Frame(tmp_path)


def test_without_an_engine_one_line_is_loud(frame: Frame) -> None:
    """And everything that needs none runs, each part with its time."""
    code, said = frame.run(CI_SHARED="/nowhere")

    assert code == 0
    assert frame.calls() == WITHOUT
    assert said.count("!!!") == said.count("!!! NO CONTAINER ENGINE") == 1
    assert said.index("!!! NO") < said.index("=== tests")
    table = said[said.index("nothing left") :]
    for name in ("environment", "tests", "tests, oldest PostgreSQL", "fairness, short form", "end", "whole run"):
        assert f"\n{name} " in table
    assert "passed" in table


def test_an_engine_of_ours_is_brought_up_and_down(frame: Frame) -> None:
    """Beside the first parts; the parts after them have it."""
    code, said = frame.run()

    assert code == 0
    calls = frame.calls()
    assert [call for call in calls if call.startswith("setup ")] == ["setup env", "setup up", "setup down"]
    assert calls[-1] == "setup down"
    assert [call for call in calls if not call.startswith("setup ")] == [
        *WITHOUT[:5],
        "image",
        "test-containers",
        *WITHOUT[5:],
    ]
    assert "!!!" not in said
    assert f"engine: {frame.engine}" in said[said.index("=== tests") :]


def test_an_engine_of_others_stays(frame: Frame) -> None:
    """Whether it is the machine's or somebody's who brought it up before."""
    frame.engine.touch()

    machines, _ = frame.run(ENGINE=str(frame.engine))
    first = frame.calls()
    frame.saw.unlink()
    anothers, _ = frame.run()

    assert (machines, anothers) == (0, 0)
    assert not [call for call in first if call.startswith("setup ")]
    assert [call for call in frame.calls() if call.startswith("setup ")] == ["setup env", "setup up"]
    assert "test-containers" in first
    assert "test-containers" in frame.calls()


def test_an_engine_that_does_not_come_up_is_told(frame: Frame) -> None:
    """As none at all, with what its script said, and what came up of it goes down."""
    code, said = frame.run(DO_engine='[ "$1" != up ] || { echo "apt is broken" >&2; exit 1; }')

    assert code == 0
    assert "apt is broken" in said
    assert said.count("!!! NO CONTAINER ENGINE") == 1
    assert "image" not in frame.calls()
    assert frame.calls()[-1] == "setup down"


def _asked_of_debian(frame: Frame) -> list[str]:
    """In order, with when the engine came up."""
    known = "apt-get ", "install -y --no-install-recommends "
    calls = [call for call in frame.calls() if call.startswith(("apt-get", "setup u"))]
    return [call.removeprefix(known[0]).removeprefix(known[1]) for call in calls]


def test_a_browser_is_installed_where_there_is_none(frame: Frame) -> None:
    """Beside the first parts, before an engine; there, the tests may not do without."""
    code, said = frame.run(
        CI_BROWSERS="another", DO_apt='cd "${0%/*}" && cp id another', DO_test='echo "browser: $CI_BROWSER"'
    )

    assert code == 0
    assert _asked_of_debian(frame) == ["update", "--download-only another", "another", "setup up"]
    assert "browser: required" in said
    assert "!!!" not in said


def test_where_there_is_no_faster_browser_it_is_chromium(frame: Frame) -> None:
    code, said = frame.run(
        CI_BROWSERS="faster another",
        DO_apt='[[ $* != *faster ]] && cd "${0%/*}" && cp id another',
        DO_test='echo "browser: $CI_BROWSER"',
    )

    assert code == 0
    assert _asked_of_debian(frame) == [
        "update", "--download-only faster", "--download-only chromium", "chromium", "setup up",
    ]  # fmt: skip
    assert "browser: required" in said
    assert "!!!" not in said


def test_a_browser_that_is_there_will_do(frame: Frame) -> None:
    """A faster one is asked for once, and is not missed."""
    code, said = frame.run(CI_BROWSERS="faster some-browser", DO_apt="exit 100", DO_test='echo "browser: $CI_BROWSER"')

    assert code == 0
    assert _asked_of_debian(frame) == ["update", "--download-only faster", "setup up"]
    assert "browser: required" in said
    assert "!!!" not in said


def test_a_browser_that_cannot_be_installed_is_told(frame: Frame) -> None:
    code, said = frame.run(CI_BROWSERS="another", DO_apt="echo no such package; exit 100")

    assert code == 0
    assert "no such package" in said
    assert said.count("!!!") == said.count("!!! NO BROWSER") == 1


def test_a_part_that_fails_ends_the_run(frame: Frame) -> None:
    """With its output and its exit code; the engine goes down all the same."""
    code, said = frame.run(DO_audit="echo a hole; exit 3")

    assert code == 3
    assert "a hole" in said
    assert "test" not in frame.calls()
    assert frame.calls()[-1] == "setup down"
    assert "FAILED (3)" in said.splitlines()[-1]
    assert "\naudit " in said[said.index("nothing left") :]


def test_a_part_beside_another_ends_with_it(frame: Frame, tmp_path: Path) -> None:
    """The one that fails is told, and the other one takes down what it started."""
    waits = f"trap 'touch {tmp_path}/told; exit 1' INT; touch {tmp_path}/up; while :; do sleep 0.05; done"
    code, said = frame.run(DO_audit=waits, DO_check=f"until [ -e {tmp_path}/up ]; do sleep 0.05; done; exit 4")

    assert code == 4
    assert (tmp_path / "told").exists()
    assert "nothing left" in said
    assert "test" not in frame.calls()


def test_what_is_left_behind_fails_the_run(frame: Frame, tmp_path: Path) -> None:
    """A process that outlives its part is told and killed, in a session of its own too."""
    code, said = frame.run(CI_SHARED="/nowhere", DO_check=f"setsid sleep 300 >/dev/null 2>&1 & echo $! >{tmp_path}/pid")

    assert code == 1
    assert "left behind: process" in said
    assert "sleep 300" in said
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}/exe").exists(), what="the end of what was left")


def test_an_interrupted_run_cleans_up(frame: Frame, tmp_path: Path) -> None:
    """The part is interrupted as by Ctrl-C, so that it can take down what it started; then the engine goes."""
    part = tmp_path / "part.py"  # bash can lose a signal that comes as one of its children ends
    part.write_text(
        "import pathlib, signal, sys, time\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "signal.signal(signal.SIGINT, lambda *_: ((folder / 'told').touch(), sys.exit(1)))\n"
        "(folder / 'ready').touch()\n"
        "while True:\n    time.sleep(0.05)\n"
    )
    with frame.start(DO_test=f"exec {sys.executable} {part} {tmp_path}") as running:
        until((tmp_path / "ready").exists)
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=60)

    assert running.returncode == 143
    assert "\ntests: interrupted\n" in said
    assert (tmp_path / "told").exists()
    assert frame.calls()[-1] == "setup down"
    assert "FAILED (143)" in said.splitlines()[-1]


def test_a_part_that_hangs_is_ended(frame: Frame) -> None:
    """Within the time that the whole run has."""
    code, said = frame.run(CI_SHARED="/nowhere", CI_LIMIT="1", DO_setup="exec sleep 300")

    assert code == 124
    assert "FAILED (124)" in said.splitlines()[-1]
