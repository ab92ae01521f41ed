"""A PostgreSQL of our own: it starts anywhere, keeps what was committed, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from kit import pgdata
from kit.children import alive, descendants, spawn
from kit.embedded import AlreadyRunningError, EmbeddedError, Server, remove, running
from tests.kit.servers import SMALL, ask, end, owner, until


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


def test_a_signal_reaches_the_whole_group_of_a_child():
    child = spawn(["sh", "-c", "sleep 60 & echo up; wait"])
    child.stdout.readline()
    below = descendants(child.pid)

    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)

    assert below
    until(lambda: not any(alive(pid) for pid in below))
