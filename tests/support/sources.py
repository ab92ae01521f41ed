"""Where a test run gets its PostgreSQL: from DATABASE_URL, a container engine, or the embedded wheel.

The server is one for the run. Its settings are those of `kit.embedded`, durable ones, on memory where there is enough:
no test of this server takes its power away; those that do start servers of their own, on disk.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from kit import embedded
from kit.embedded import EmbeddedError, Server
from tests.support.guard import guarded
from tests.support.server import RUN

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

IMAGE = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:18")
PROGRAMS = Path(os.environ["TEST_POSTGRES_PROGRAMS"]) if "TEST_POSTGRES_PROGRAMS" in os.environ else None
"""A directory of `initdb` and `postgres` for every server that tests start, such as /usr/lib/postgresql/15/bin."""

FORCE = "LEDGATE_TEST_SERVER"

SETTINGS = {
    **embedded.SETTINGS,
    # A copy of the template goes through the log: compressing that takes ten times as long as writing it.
    "wal_compression": "off",
    "max_wal_size": "512MB",
    # DROP DATABASE waits for whoever is in the middle of a login, and tests stop processes there: a minute, by default.
    "authentication_timeout": "5s",
}

_PREFIX = os.environ.get("CI_RUN", "ledgate-test")  # by which CI knows what is its own
_ROOM = 4 << 30  # bytes of memory that must be free to put a database there
_ENGINE_SECONDS = 10.0
_PULL_SECONDS = 300.0
_MEMORY = Path("/dev/shm")


class SourceError(Exception):
    """No server for this run; the message says why."""


class Source(NamedTuple):
    """The URL of a superuser's database, and how it came about."""

    url: str
    told: str
    lasts: bool = False
    """Whether the server outlives the run."""


@contextlib.contextmanager
def find_server() -> Iterator[Source]:
    """A running server: `DATABASE_URL` if set, else a container where an engine answers, else the embedded wheel.

    Raises:
        SourceError: what was asked for by name cannot be had.
    """
    forced, url = os.environ.get(FORCE), os.environ.get("DATABASE_URL")
    if forced not in (None, "", "embedded", "container"):
        raise SourceError(f"{FORCE}={forced}: it is embedded or container.")
    if forced and url:
        raise SourceError(f"Both DATABASE_URL and {FORCE}={forced} are set: unset one.")
    with contextlib.ExitStack() as stack:
        why = ""
        if url:
            yield _look(url, "DATABASE_URL", lasts=True)
            return
        if forced != "embedded":
            try:
                found = stack.enter_context(container())
            except SourceError as error:
                if forced:
                    raise SourceError(f"{FORCE}=container, but {error}") from None
                why = f" ({error})"
            else:
                yield _look(found, f"a container of {IMAGE}")
                return
        server = stack.enter_context(memory_server())
        place = f", {PROGRAMS}" if PROGRAMS else ""
        yield _look(server.url, f"an embedded server{place}{why}")


@contextlib.contextmanager
def memory_server() -> Iterator[Server]:
    """An embedded server of the run's settings, in memory where there is room; gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{RUN}-", dir=_MEMORY if _has_room() else None))
    folder.chmod(0o755)  # as root, the server runs as another user
    # The server ends with us; until it has, `rm` finds new files.
    tries = f'for n in $(seq 50); do rm -rf "{folder}" && exit; sleep 0.2; done'
    with guarded("/bin/sh", "-c", tries):
        try:
            server = Server.start(folder / "pg", settings=SETTINGS, programs=PROGRAMS)
        except EmbeddedError as error:
            raise SourceError(str(error)) from error
        with server:
            yield server


@contextlib.contextmanager
def container() -> Iterator[str]:
    """The URL of a server in a container that is gone after the block, or after our death.

    Raises:
        SourceError: no engine answers, or it cannot get the image.
    """
    memory = need_image(IMAGE)
    # Ours is the guard below: the image of Ryuk, which would do the same, cannot be had everywhere.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from docker.errors import DockerException
    from testcontainers.community.postgres import PostgresContainer

    name = f"{_PREFIX}-{RUN}-{uuid.uuid4().hex[:8]}"
    made = PostgresContainer(
        IMAGE,
        driver=None,
        username="ledgate",
        password=secrets.token_hex(16),  # Docker publishes to the network, too
        dbname="postgres",
        name=name,
        shm_size="256m",  # parallel queries share it; 64 MB are Docker's
    )
    made.with_command(["postgres", *(word for pair in SETTINGS.items() for word in ("-c", "=".join(pair)))])
    if memory >= _ROOM:
        made.with_tmpfs_mount("/memory").with_env("PGDATA", "/memory/data")
    with guarded("docker", "rm", "--force", "--volumes", name):
        try:
            host = made.get_container_host_ip()
            if host in {"localhost", "127.0.0.1"}:
                # By name, libpq would ask ::1 first, where Docker publishes nothing, or another container's port.
                host = "127.0.0.1"
                # Nobody else can come, so a login is one message, as it is on the embedded server: in the middle of one
                # that takes several, a client that is stopped holds up DROP DATABASE.
                made.ports = {str(made.port): (host, None)}
                made.with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
            made.start()
            url = _direct(made) or made.get_connection_url(host=host)
        except (DockerException, RuntimeError, OSError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SourceError(f"a container of {IMAGE} does not start: {said}") from error
        yield url


def _direct(container: PostgresContainer) -> str | None:
    """The URL at the container's own address, where this machine has a route to it: nothing copies what is sent."""
    started = container.get_wrapped_container()
    started.reload()
    for network in started.attrs["NetworkSettings"]["Networks"].values():
        if address := network["IPAddress"]:
            url = f"postgresql://{container.username}:{container.password}@{address}:{container.port}/postgres"
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
                return url
    return None


def need_image(image: str) -> int:
    """Have a container engine with an image, pulling that if it must; the bytes of memory that the engine has.

    Raises:
        SourceError: no engine answers, or it cannot get the image.
    """
    memory = _docker("info", "--format", "{{.MemTotal}}", within=_ENGINE_SECONDS)
    if memory is None:
        raise SourceError("no container engine answers")
    if _docker("image", "inspect", image, within=_ENGINE_SECONDS) is None:
        sys.stderr.write(f"The container engine has no image {image} yet: pulling it ...\n")
        if _docker("pull", "--quiet", image, within=_PULL_SECONDS) is None:
            raise SourceError(f"the container engine that answers has no image {image} and cannot pull it")
    return int(memory) if memory.isdecimal() else 0


def _look(url: str, source: str, *, lasts: bool = False) -> Source:
    try:
        with psycopg.connect(url, connect_timeout=10) as conn:
            row = conn.execute("SELECT current_setting('server_version'), rolsuper FROM pg_roles WHERE rolname = user")
            version, superuser = row.fetchone() or ("?", False)
    except psycopg.Error as error:
        said = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise SourceError(f"{source} cannot be used: {said}") from None
    if not superuser:
        raise SourceError(f"{source} must log in as a superuser: tests make databases and roles, and end sessions.")
    return Source(url, f"PostgreSQL {version} from {source}", lasts)


def _docker(*words: str, within: float) -> str | None:
    """What docker said; None if it is not there, fails, or takes too long."""
    try:
        process = subprocess.Popen(
            ["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
    except OSError:
        return None
    with process:
        try:
            said, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its plugins hold the pipe, too
            return None
    return said.strip() if process.returncode == 0 else None


def _has_room() -> bool:
    return _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM
