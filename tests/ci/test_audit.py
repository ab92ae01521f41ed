"""`make audit` fails for a known hole that nobody allowed, and says loudly when it could ask nobody."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from tests.support.ports import steady_port
from tests.support.processes import ROOT

LOCKED = f"sniffio==1.3.1 --hash=sha256:{'0' * 64}\nidna==3.10 --hash=sha256:{'1' * 64}\n"
HOLE = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2026-99999"],
    "summary": "Bytes fall out.",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
            "versions": ["3.10"],
        }
    ],
}


class _Osv(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        body = msgspec.json.encode({"vulns": [HOLE]} if asked["package"]["name"] == "idna" else {})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture(scope="module")
def osv() -> Iterator[str]:
    """A service like OSV that knows one hole."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Osv) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(
    url: str, folder: Path, *allowed: tuple[str, dt.date], locked: str = LOCKED, **env: str
) -> subprocess.CompletedProcess[str]:
    entries = [f'{{ id = "{name}", until = {until}, reason = "not called" }}' for name, until in allowed]
    (folder / "allowed.toml").write_text(f"allowed = [{', '.join(entries)}]\n")
    (folder / "locked.txt").write_text(locked)
    command = [sys.executable, ".ci/audit.py", f"--osv-url={url}", "--allowed", folder / "allowed.toml"]
    return subprocess.run(
        [*command, folder / "locked.txt"], cwd=ROOT, capture_output=True, text=True, env={**env}, check=False
    )


def day(offset: int) -> dt.date:
    return dt.datetime.now(dt.UTC).date() + dt.timedelta(days=offset)


def test_a_known_hole_fails(osv: str, tmp_path: Path) -> None:
    """It is told with its names and the version that mends it."""
    ended = audit(osv, tmp_path)

    assert ended.returncode == 1
    assert "2 packages audited (osv): 1 known holes, 0 allowed" in ended.stdout
    assert ended.stderr.strip() == "idna 3.10: CVE-2026-99999, GHSA-aaaa-bbbb-cccc; fixed in 99.1"


def test_a_hole_is_allowed_until_its_day(osv: str, tmp_path: Path) -> None:
    """By any of its names, the day itself included, and not a day longer."""
    ended = audit(osv, tmp_path, ("CVE-2026-99999", day(0)))
    too_late = audit(osv, tmp_path, ("CVE-2026-99999", day(-1)))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert too_late.returncode == 1
    assert f"CVE-2026-99999 was allowed until {day(-1)}" in too_late.stderr
    assert "idna 3.10" in too_late.stderr


def test_what_need_not_be_allowed_any_more_is_told(osv: str, tmp_path: Path) -> None:
    """A list that only grows would hide the next hole of that name."""
    ended = audit(osv, tmp_path, ("CVE-2026-99999", day(9)), locked=LOCKED.splitlines()[0])

    assert ended.returncode == 1
    assert "CVE-2026-99999 is allowed and was not found" in ended.stderr


def test_silence_is_loud(tmp_path: Path) -> None:
    """Where nobody answers, nothing was audited: one line says so, and it is a failure where an audit is required."""
    nobody = f"http://127.0.0.1:{steady_port()}/v1/query"

    ended = audit(nobody, tmp_path)
    required = audit(nobody, tmp_path, AUDIT="required")

    assert (ended.returncode, required.returncode) == (0, 1)
    assert ended.stderr == required.stderr
    assert ended.stderr.startswith("!!! NO VULNERABILITY SERVICE: nothing was audited (osv: ")
    assert len(ended.stderr.splitlines()) == 1


def test_our_own_list_is_readable() -> None:
    """`make audit` reads it in CI alone where a service answers: it must not be broken then."""
    lists = (ROOT / "requirements" / "allowed.toml").read_text()

    assert msgspec.toml.decode(lists).keys() == {"allowed"}
