"""`ledgate webhooks verify` says which mistake it is, offline, and more with the ledger."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.demo import MERCHANT_ID
from tests.cli.running import Ledgate
from tests.support.captured import Captured, Webhook, captured

__all__ = ["captured"]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ledgate:
    """No database anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    return Ledgate(monkeypatch, capsys, "")


@pytest.fixture
def online(captured: Captured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ledgate:
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    return Ledgate(monkeypatch, capsys, captured.config.database_url)


def _files(folder: Path, webhook: Webhook, body: bytes | None = None) -> list[str]:
    (folder / "body").write_bytes(webhook.body if body is None else body)
    (folder / "headers").write_text("".join(f"{name}: {value}\n" for name, value in webhook.headers.items()))
    return ["--body", str(folder / "body"), "--headers", str(folder / "headers"), "--at", str(webhook.sent_at)]


def test_it_works_without_a_database(offline: Ledgate, captured: Captured, tmp_path: Path) -> None:
    """The secret from an option, a file or a variable; exit code 0 when all is right, 1 when not."""
    one = captured.plain
    right = _files(tmp_path, one)
    (tmp_path / "secret").write_text(captured.old)
    for command, settings in (
        ([*right, "--secret", captured.old], {}),
        ([*right, "--secret-file", str(tmp_path / "secret")], {}),
        (right, {"WEBHOOK_SECRET": captured.old}),
    ):
        said = offline("webhooks", "verify", *command, **settings)
        assert (said.code, said.err) == (0, "")
        assert "✓ body, headers and secret fit together" in said.out
        assert captured.old not in said.out
        assert max(map(len, said.out.splitlines())) <= 80

    wrong = _files(tmp_path, one, json.dumps(json.loads(one.body)).encode())
    said = offline("webhooks", "verify", *wrong, "--secret", captured.old)
    assert said.code == 1
    assert "✗ the body was parsed and written anew" in said.out
    assert "spaces after commas or colons" in said.out
    found = offline("webhooks", "verify", *wrong, "--secret", captured.old, "--json")
    assert (found.code, found.json["reason"], found.json["valid"]) == (1, "body_reserialised", False)


def test_a_secret_file_with_a_newline_is_the_mistake_itself(
    offline: Ledgate, captured: Captured, tmp_path: Path
) -> None:
    command = _files(tmp_path, captured.plain)
    (tmp_path / "secret").write_text(captured.old + "\n")
    said = offline("webhooks", "verify", *command, "--secret-file", str(tmp_path / "secret"), "--json")
    assert said.json["reason"] == "secret_decorated"


def test_headers_come_in_every_form(
    offline: Ledgate, captured: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options, JSON as Node prints it, a request written down whole; the body on standard input."""
    one = captured.plain
    command = [*_files(tmp_path, one)[:2], "--secret", captured.old, "--at", str(one.sent_at)]
    options = [part for name, value in one.headers.items() for part in ("-H", f"{name}: {value}")]
    assert offline("webhooks", "verify", *command, *options).code == 0

    file = tmp_path / "other"
    node: dict[str, Any] = {**one.headers, "set-cookie": ["a", "b"]}
    whole = "POST /hook HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in one.headers.items()) + "\r\n"
    for text in (json.dumps(node), whole):
        file.write_text(text)
        assert offline("webhooks", "verify", *command, "--headers", str(file)).code == 0

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(one.body)))
    assert offline("webhooks", "verify", "--body", "-", *command[2:], *options).code == 0


def test_the_ledger_knows_more(online: Ledgate, captured: Captured, tmp_path: Path) -> None:
    """Whose a secret is, since when it is old, where a body differs; and what signs now needs no secret."""
    ask = ["webhooks", "verify", "--merchant", MERCHANT_ID]
    command = _files(tmp_path, captured.rotated)
    assert online(*ask, *command, TEST_MODE="true").code == 0
    said = online(*ask, *command, "--secret", captured.old, TEST_MODE="true")
    assert (said.code, "the secret was replaced" in said.out, "signs until" in said.out) == (1, True, True)
    said = online(*ask, *command, "--secret", captured.other, "--json", TEST_MODE="true")
    assert said.json["checks"]["secret"] == "other_endpoint"

    command = _files(tmp_path, captured.rotated, captured.rotated.body.replace(b"129900", b"129901"))
    said = online(*ask, *command, "--endpoint", captured.endpoint_id, TEST_MODE="true")
    assert f"not the ledger's, from byte {captured.rotated.body.index(b'129900') + 5} on" in said.out


def test_what_is_asked_wrongly_is_one_line(
    offline: Ledgate, online: Ledgate, captured: Captured, tmp_path: Path
) -> None:
    right = _files(tmp_path, captured.plain)
    with_secret = [*right, "--secret", "x"]
    (tmp_path / "big").write_bytes(b"x" * 1_048_577)
    (tmp_path / "no").write_text('{"a": 1}')
    for command, part in (
        (right, "No secret"),
        ([*with_secret, "--secret-file", right[1]], "not both"),
        ([*with_secret, "--endpoint", "whep_x"], "--merchant"),
        ([*with_secret, "-H", "nonsense"], "No header"),
        ([*with_secret, "--at", "soon"], "--at"),
        (["--body", str(tmp_path / "none"), "--secret", "x"], "cannot be read"),
        (["--body", str(tmp_path), "--secret", "x"], "cannot be read"),
        (["--body", str(tmp_path / "big"), "--secret", "x"], "1 MiB"),
        (["--body", right[1], "--headers", str(tmp_path / "no"), "--secret", "x"], "JSON"),
        (["--secret", "x"], "--body"),
    ):
        said = offline("webhooks", "verify", *command)
        assert (said.code, said.out) == (2, ""), command
        assert part in said.err
        assert said.err.count("\n") == 1

    said = online("webhooks", "verify", *right, "--merchant", "mer_none", TEST_MODE="true")
    assert (said.code, "There is no merchant" in said.err) == (1, True)
    said = online("webhooks", "verify", *right, "--merchant", MERCHANT_ID, "--endpoint", "whep_x", TEST_MODE="true")
    assert (said.code, "no such endpoint" in said.err) == (1, True)
    said = online("webhooks", "verify", *right, "--merchant", MERCHANT_ID)
    assert (said.code, "LEDGATE_SECRET_KEYS" in said.err) == (2, True)
