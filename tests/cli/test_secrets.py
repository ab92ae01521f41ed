"""`ledgate secrets`: made once, handed to each service, an operator's own kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.config import load
from gateway.secrets import make_sealer
from tests.cli.running import Ledgate


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ledgate:
    return Ledgate(monkeypatch, capsys, "")


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_they_are_made_once(secrets: Ledgate, tmp_path: Path) -> None:
    assert secrets("secrets", str(tmp_path)).code == 0
    first = files(tmp_path)
    again = secrets("secrets", str(tmp_path))
    assert files(tmp_path) == first
    assert "all there" in again.out
    values = [value for path, value in first.items() if path.startswith("own/")]
    assert len(set(values)) == len(values) == 6
    assert not any(value in again.out for value in values)


def test_each_service_sees_what_it_needs(secrets: Ledgate, tmp_path: Path) -> None:
    secrets("secrets", str(tmp_path))
    owner = (tmp_path / "own/ledgate_password").read_text()
    assert {path for path, value in files(tmp_path).items() if owner in value} == {
        "own/ledgate_password",
        "postgres/password",
        "migrate/pgpass",
        "dispatcher/pgpass",
    }
    make_sealer(load({"LEDGATE_SECRET_KEYS_FILE": str(tmp_path / "api/secret_keys")}))


def test_nobody_else_may_read_them(secrets: Ledgate, tmp_path: Path) -> None:
    secrets("secrets", str(tmp_path))
    for path in tmp_path.rglob("*"):
        mode, mounted = stat.S_IMODE(path.stat().st_mode), path.relative_to(tmp_path).parts[0] in {"postgres", "admin"}
        # Those two are read by another user, who sees that folder alone.
        assert mode == ({True: 0o755, False: 0o444} if mounted else {True: 0o700, False: 0o400})[path.is_dir()], path


def test_what_an_operator_put_there_stays_and_is_escaped(secrets: Ledgate, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "api_password").write_text('back\\slash:colon"quote\n')
    secrets("secrets", str(tmp_path))
    assert (own / "api_password").read_text() == 'back\\slash:colon"quote\n'
    assert (tmp_path / "pooler/userlist.txt").read_text().splitlines()[0] == '"api" "back\\slash:colon""quote"'
    # libpq's rule: colons and backslashes are escaped.
    line = (tmp_path / "api/pgpass").read_text()
    assert line == '*:*:*:api:back\\\\slash\\:colon"quote\n'


def test_a_folder_that_cannot_be_written_is_one_line(secrets: Ledgate, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = secrets("secrets", str(tmp_path / "file"))
    assert said.code == 1
    assert "Not a directory" in said.err
