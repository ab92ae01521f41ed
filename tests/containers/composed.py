"""A compose project of our own name and ports, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.faults.shop import report
from tests.support.ports import steady_port
from tests.support.processes import ROOT
from tests.support.waiting import until

RUN = os.environ.get("CI_RUN", "ledgate-test")
"""Begins every project's name, so that CI finds what is left of it."""

PROFILES = ("pooler", "admin", "tools")


class Rows(list[dict[str, Any]]):
    """What a query gave."""

    def fetchone(self) -> dict[str, Any] | None:
        """The first row, as psycopg would."""
        return self[0] if self else None


class Composed:
    """The services of compose.yaml under a name of ours."""

    def __init__(self, **settings: str) -> None:
        self.name = f"{RUN}-{uuid.uuid4().hex[:6]}"
        ports = [steady_port() for _ in range(5)]
        self.url, self.receiver_url, self.checkout_url, self.shop_url, self.dashboard_url = (
            f"http://127.0.0.1:{port}" for port in ports
        )
        self.env = {
            **os.environ,
            "PORT": str(ports[0]),
            "LEDGATE_TEST_MERCHANT_PORT": str(ports[1]),
            "LEDGATE_CHECKOUT_PORT": str(ports[2]),
            "LEDGATE_DEMO_SHOP_PORT": str(ports[3]),
            "LEDGATE_DASHBOARD_PORT": str(ports[4]),
            "COMPOSE_FILE": "compose.yaml:tests/containers/hurry.yaml",
            "COMPOSE_ANSI": "never",
            "LEDGATE_WEBHOOK_SUBNET": f"10.218.{random.randrange(256)}.0/24",
            "LEDGATE_FRONT_SUBNET": f"10.219.{random.randrange(256)}.0/24",
            **settings,
        }

    def __call__(self, *words: str, within: float = 60, code: int = 0) -> str:
        """Run `docker compose` with these words; what it printed."""
        done = docker("compose", "-p", self.name, *words, within=within, env=self.env, code=code)
        return done.stdout

    def down(self) -> None:
        """Take everything down, volumes and all."""
        self(*(word for profile in PROFILES for word in ("--profile", profile)), "down", "-v", within=90)

    def containers(self, *services: str) -> list[str]:
        """The ids of the running containers of services."""
        return self("ps", "-q", *services).split()

    def states(self) -> list[dict[str, Any]]:
        """All containers with their state, health and exit code."""
        return [json.loads(line) for line in self("ps", "-a", "--format", "json").splitlines()]

    def logs(self, service: str) -> str:
        """What a service's containers have logged, through restarts."""
        return self("logs", "--no-log-prefix", service)

    def execute(self, query: str, _: tuple[()] = ()) -> Rows:
        """The rows of a query, as psycopg would, asked by the owner of the tables. Values come as JSON has them."""
        asked = f"SELECT coalesce(json_agg(found), '[]') FROM ({query}) found"
        return Rows(json.loads(self("exec", "-T", "postgres", "psql", "-U", "ledgate", "-qAtXc", asked)))

    def count(self, query: str) -> int:
        """The number in the only row of a `SELECT count(*) AS n`."""
        return int(self.execute(query)[0]["n"])

    def received(self, **query: Any) -> dict[str, Any]:
        """What came to the test merchant."""
        answer = httpx.get(f"{self.receiver_url}/received", params=query, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def await_quiet(self, *, within: float = 60.0) -> None:
        """Wait until no work is left."""
        until(self.idle, within=within, what="an empty outbox")

    def idle(self) -> bool:
        """Whether no work is open, as the API says it."""
        with contextlib.suppress(httpx.HTTPError):
            told = httpx.get(f"{self.url}/api/v1/test/jobs/status", timeout=5)
            return told.status_code == 200 and told.json()["pending"] == told.json()["processing"] == 0
        return False


def docker(
    *words: str, within: float = 60, env: dict[str, str] | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `docker`; another exit code than expected fails with what it said."""
    done = subprocess.run(
        ["docker", *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=within, check=False
    )
    assert done.returncode == code, (
        f"docker {' '.join(words)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    return done


def inspect(container: str, template: str) -> str:
    """One thing about a container or an image."""
    return docker("inspect", "--format", template, container).stdout.strip()


@contextlib.contextmanager
def composed(*, failed: Callable[[], bool], **settings: str) -> Iterator[Composed]:
    """A project that is gone after the block; its last words are told if something failed meanwhile."""
    project = Composed(**settings)
    before = failed()
    try:
        yield project
    except BaseException:
        _last_words(project)
        raise
    else:
        if failed() != before:
            _last_words(project)
    finally:
        project.down()


def _last_words(project: Composed) -> None:
    report(project("ps", "-a"))
    report(project("logs", "--tail", "25"))
