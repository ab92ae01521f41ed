"""PostgreSQL refuses to run as root, so root gives it to another user, and changes nothing that exists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from kit import pghome
from kit.children import Account, alive
from kit.embedded import EmbeddedError, remove, running
from tests.kit.servers import ROOT, ask, end, owner, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its server to another user")


def test_root_gives_its_server_to_an_unprivileged_user(start):
    server = start()

    assert server.data_dir.stat().st_uid == Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_root_places_what_that_user_cannot_reach_elsewhere_and_says_so(private, elsewhere, start):
    first = start(private / "pg")
    ask(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.stop()
    second = start(private / "pg")

    assert second.data_dir.is_relative_to(elsewhere)
    assert str(second.data_dir) in (private / "pg" / pghome.NOTE).read_text()
    assert ask(second, "SELECT answer FROM kept") == (42,)
    assert running(private / "pg") == second.pid
    assert private.stat().st_mode & 0o777 == 0o700

    second.stop()
    remove(private / "pg")
    assert not list(private.iterdir())
    assert not list(elsewhere.iterdir())


def test_root_copies_programs_that_the_user_cannot_reach(private, elsewhere, start, monkeypatch):
    install = pghome._programs().parents[1]
    for path in (install, install.with_name(f"{install.name}.libs")):
        if path.exists():
            (private / path.name).symlink_to(path)
    monkeypatch.setattr(pghome, "_programs", lambda: private / install.name / "pginstall" / "bin")

    server = start()
    psql = subprocess.run([server.programs / "psql", "--version"], capture_output=True, check=True, text=True)

    assert ask(server, "SELECT 1") == (1,)
    assert server.programs.is_relative_to(elsewhere)
    assert server.version in psql.stdout


def test_root_does_not_begin_anew_when_existing_data_is_out_of_reach(folder, elsewhere, start):
    (folder / "home" / "pg").mkdir(parents=True)
    (folder / "home" / "pg" / "PG_VERSION").write_text("18\n")
    os.chown(folder / "home" / "pg", *pghome._unprivileged(None))
    (folder / "home").chmod(0o700)

    with pytest.raises(EmbeddedError, match=r"belongs to user \d+, who cannot enter"):
        start(folder / "home" / "pg")


def test_an_ordinary_user_needs_no_help(folder):
    account = pghome._unprivileged(None)
    executable = _python_for(account)
    mine = folder / "mine"
    mine.mkdir()
    os.chown(mine, *account)
    wheel = pghome._programs().parents[2]

    process = owner(
        mine / "pg",
        executable=executable,
        env={"PYTHONPATH": f"{ROOT}:{wheel}", "HOME": str(mine), "PYTHONDONTWRITEBYTECODE": "1"},
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
    )
    said = process.stdout.readline()
    try:
        pid, port = map(int, said.split())
        with psycopg.connect(f"postgresql://ledgate@127.0.0.1:{port}/postgres") as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
        assert Path(f"/proc/{pid}").stat().st_uid == account.uid
    finally:
        end(process)
    until(lambda: not alive(pid))


def test_a_full_disk_is_named(folder, start):
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no right to mount a small disk here")

    try:
        with pytest.raises(EmbeddedError, match=r"(?s)No space left on device.*The disk is full"):
            start(disk / "pg")
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


def _python_for(account: Account) -> str:
    """A Python that this user can run; ours may be in root's home."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            tried = subprocess.run(
                [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
                user=account.uid,
                group=account.gid,
                extra_groups=[],
                cwd="/",
                check=False,
                capture_output=True,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 that an ordinary user could run")
