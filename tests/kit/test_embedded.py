"""A PostgreSQL of our own: it starts anywhere, keeps what was committed, and never outlives its parent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from kit import pgdata, pghome
from kit.children import Account, alive, descendants, spawn
from kit.embedded import AlreadyRunningError, EmbeddedError, Server, remove, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its server to another user")
SMALL = {"shared_buffers": "16MB", "max_connections": "20"}
OWNER = """
import pathlib, sys, time
from kit.embedded import Server
server = Server.start(pathlib.Path(sys.argv[1]), settings={"shared_buffers": "16MB"})
print(server.pid, server.port, flush=True)
time.sleep(60)
"""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private, which would have root move the data."""
    path = Path(tempfile.mkdtemp(prefix="ledgate-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data directory that the tests share one after the other: to make one takes longer than most tests."""
    with open_folder() as path:
        yield path / "pg"


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., Server]]:
    """Start servers that are gone after the test."""
    servers: list[Server] = []

    def _start(data_dir: Path = data, **settings: str) -> Server:
        servers.append(Server.start(data_dir, settings={**SMALL, **settings}))
        return servers[-1]

    yield _start
    for server in servers:
        server.stop("immediate")


@pytest.fixture
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where root puts what cannot stay, instead of in /var/lib."""
    monkeypatch.setattr(pghome, "ELSEWHERE", folder / "elsewhere")
    return folder / "elsewhere"


@pytest.fixture
def private(folder: Path) -> Path:
    """A folder that only its owner may enter."""
    path = folder / "private"
    path.mkdir(mode=0o700)
    return path


def ask(server: Server, query: str) -> Any:
    with psycopg.connect(server.url, autocommit=True) as conn:
        cursor = conn.execute(query)
        return cursor.fetchone() if cursor.description else None


def until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def owner(data_dir: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Another process, that starts a server and prints its pid and port."""
    executable = options.pop("executable", sys.executable)
    env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen(
        [executable, "-c", OWNER, str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        **options,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate(timeout=20)


def test_a_new_server_takes_work_from_this_machine_alone_and_loses_nothing(folder):
    server = Server.start(folder / "pg")

    facts = ask(
        server,
        "SELECT current_user, current_setting('fsync'), current_setting('synchronous_commit'), "
        "current_setting('full_page_writes'), current_setting('listen_addresses'), "
        "current_setting('server_encoding'), current_setting('timezone')",
    )

    assert facts == ("ledgate", "on", "on", "on", "127.0.0.1", "UTF8", "UTC")
    assert ask(server, "SHOW server_version") == (server.version,)
    assert server.url == f"postgresql://ledgate@127.0.0.1:{server.port}/postgres"
    assert running(folder / "pg") == server.pid
    server.stop()


def test_settings_go_over_the_defaults(start):
    server = start(work_mem="7MB", max_connections="33")

    assert ask(server, "SHOW work_mem") == ("7MB",)
    assert ask(server, "SHOW max_connections") == ("33",)


def test_text_sorts_alike_on_every_machine(start):
    server = start()

    provider, locale = ask(server, "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'postgres'")

    assert (provider, locale) == ("b", "C.UTF-8")


def test_data_and_port_stay_from_run_to_run(start):
    first = start()
    ask(first, "CREATE TABLE stays AS SELECT 42 AS answer")
    first.stop()
    assert not first.running

    second = start()

    assert ask(second, "SELECT answer FROM stays") == (42,)
    assert second.port == first.port


def test_stopping_twice_is_no_error_and_leaves_no_process(start):
    server = start()
    everybody = [server.pid, *descendants(server.pid)]

    server.stop()
    server.stop()

    assert len(everybody) > 3
    until(lambda: not any(alive(pid) for pid in everybody))
    assert running(server.data_dir) is None


def test_what_was_committed_survives_a_kill_of_the_whole_server(start):
    server = start()
    ask(server, "CREATE TABLE survives AS SELECT 42 AS answer")
    everybody = [server.pid, *descendants(server.pid)]

    server.kill()
    dead = [pid for pid in everybody if not alive(pid)]
    server.restart()

    assert dead == everybody
    assert ask(server, "SELECT answer FROM survives") == (42,)


def test_a_restart_keeps_the_port(start):
    server = start()
    before = server.pid, server.port

    server.restart()

    assert server.port == before[1]
    assert server.pid != before[0]
    assert ask(server, "SELECT 1") == (1,)


def test_it_does_not_outlive_a_parent_that_was_killed_and_can_be_started_again_at_once(data, start):
    parent = owner(data)
    pid = int(parent.stdout.readline().split()[0])
    everybody = [pid, *descendants(pid)]

    end(parent)
    server = start()

    assert ask(server, "SELECT 1") == (1,)
    until(lambda: not any(alive(one) for one in everybody))


def test_it_outlives_the_thread_that_started_it(start):
    servers: list[Server] = []
    thread = threading.Thread(target=lambda: servers.append(start()))

    thread.start()
    thread.join()

    # A server whose "parent" had ended with the thread would be shutting down by now.
    assert ask(servers[0], "SELECT 1") == (1,)
    assert ask(servers[0], "SELECT 2") == (2,)
    assert servers[0].running


def test_a_second_start_on_the_same_data_is_refused_and_says_who_runs(start):
    server = start()

    who = f"already running on {server.data_dir}, as process {server.pid}"
    with pytest.raises(AlreadyRunningError, match=who):
        start()

    assert ask(server, "SELECT 1") == (1,)


def test_the_pid_file_of_a_crash_is_no_obstacle(start):
    crashed = start()
    crashed.kill()
    assert (crashed.data_dir / "postmaster.pid").exists()

    server = start()

    assert ask(server, "SELECT 1") == (1,)


def test_the_pid_of_a_crashed_server_may_belong_to_somebody_else_by_now(start):
    crashed = start()
    account = crashed._account
    crashed.kill()
    pid_file = crashed.data_dir / "postmaster.pid"
    somebody = spawn(["sleep", "60"], account=account)  # the same user: PostgreSQL itself would believe this file
    pid_file.write_text(pid_file.read_text().replace(str(crashed.pid), str(somebody.pid), 1))

    try:
        server = start()
        assert ask(server, "SELECT 1") == (1,)
        assert alive(somebody.pid)
    finally:
        end(somebody)


def test_data_of_another_version_is_refused_with_both_versions_and_left_alone(folder, start):
    (folder / "pg" / "base").mkdir(parents=True)
    (folder / "pg" / "PG_VERSION").write_text("11\n")

    both = r"made by PostgreSQL 11, and this is PostgreSQL \d+ .*make clean-data"
    with pytest.raises(EmbeddedError, match=both):
        start(folder / "pg")

    assert (folder / "pg" / "base").is_dir()


def test_a_directory_with_other_files_is_refused_and_left_alone(folder, start):
    (folder / "pg").mkdir()
    (folder / "pg" / "thesis.txt").write_text("years of work")

    with pytest.raises(EmbeddedError, match="holds files, but no PostgreSQL data"):
        start(folder / "pg")
    with pytest.raises(EmbeddedError, match="holds files, but no PostgreSQL data"):
        remove(folder / "pg")

    assert (folder / "pg" / "thesis.txt").read_text() == "years of work"


def test_a_cut_off_initdb_leaves_no_half_database(folder, start):
    parent = owner(folder / "pg")
    until(lambda: any(folder.glob("pg.initdb-*/base")))
    end(parent)
    assert not (folder / "pg").exists()

    server = start(folder / "pg")

    assert ask(server, "SELECT 1") == (1,)
    assert not list(folder.glob("pg.initdb-*"))


def test_a_server_that_cannot_start_says_why(start):
    with pytest.raises(EmbeddedError, match=r"(?s)stopped while starting.*max_connections"):
        start(max_connections="0")


def test_a_server_that_is_not_ready_in_time_is_taken_down(data, start, monkeypatch):
    start().stop()
    started = []
    monkeypatch.setattr(pgdata, "status", lambda _: (0, "starting"))
    monkeypatch.setattr(Server, "log_tail", lambda self, _=15: started.append(self) or ["the last line"])

    with pytest.raises(EmbeddedError, match=r"not ready within 0 s(?s:.*)the last line"):
        Server.start(data, settings=SMALL, wait=0.2)

    assert not started[-1].running


def test_a_taken_port_is_passed_over(folder, start, monkeypatch):
    first = start()
    wanted = iter([first.port, first.port + 1])  # as if another process had been quicker
    monkeypatch.setattr("kit.embedded._free_ports", lambda _: wanted)

    second = start(folder / "second")

    assert second.port == first.port + 1


def test_removing_is_refused_while_it_runs_and_leaves_nothing(folder, start):
    server = start(folder / "pg")
    with pytest.raises(AlreadyRunningError):
        remove(server.data_dir)
    server.stop()

    removed = remove(server.data_dir)

    assert removed == [server.data_dir]
    assert not server.data_dir.exists()


@as_root
def test_root_gives_its_server_to_an_unprivileged_user(start):
    server = start()

    assert server.data_dir.stat().st_uid == Path(f"/proc/{server.pid}").stat().st_uid != 0


@as_root
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


@as_root
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


@as_root
def test_root_does_not_begin_anew_when_existing_data_is_out_of_reach(folder, elsewhere, start):
    (folder / "home" / "pg").mkdir(parents=True)
    (folder / "home" / "pg" / "PG_VERSION").write_text("18\n")
    os.chown(folder / "home" / "pg", *pghome._unprivileged(None))
    (folder / "home").chmod(0o700)

    with pytest.raises(EmbeddedError, match=r"belongs to user \d+, who cannot enter"):
        start(folder / "home" / "pg")


@as_root
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


@as_root
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


def test_a_signal_reaches_the_whole_group_of_a_child():
    child = spawn(["sh", "-c", "sleep 60 & echo up; wait"])
    child.stdout.readline()
    below = descendants(child.pid)

    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)

    assert below
    until(lambda: not any(alive(pid) for pid in below))
