"""Settings are read once; what is unknown or wrong is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load, load_service
from gateway.secrets import make_sealer
from kit.config import ConfigError


def test_defaults_and_given_values() -> None:
    config = load(
        {"PORT": "8123", "TEST_MODE": "true", "TEST_PAYMENT_SUCCESS": "false", "LEDGATE_DRAIN": "3.5", "HOME": "/x"}
    )
    assert (config.port, config.test_mode, config.test_payment_success, config.drain) == (8123, True, False, 3.5)
    assert load({"PORT": ""}).port == 8000


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"LEDGATE_PORTT": "1"}, "LEDGATE_PORTT"),
        ({"PORT": "0"}, "PORT"),
        ({"PORT": "x"}, "PORT"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"LEDGATE_CREDENTIAL_TTL": "6"}, "LEDGATE_CREDENTIAL_TTL"),
    ],
)
def test_wrong_settings_are_refused_by_name(environ: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(environ)


def test_a_service_needs_its_database_and_outside_test_mode_its_keys() -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        load_service({})
    with pytest.raises(ConfigError, match="LEDGATE_SECRET_KEYS"):
        make_sealer(load({}))
    with pytest.raises(ConfigError, match="LEDGATE_SECRET_KEYS"):
        make_sealer(load({"LEDGATE_SECRET_KEYS": "a:b"}))


def test_a_setting_is_read_from_the_file_that_its_variable_names(tmp_path: Path) -> None:
    secret = tmp_path / "keys"
    secret.write_text(" one:AAAA\n")
    assert load({"LEDGATE_SECRET_KEYS_FILE": str(secret)}).secret_keys == "one:AAAA"
    (tmp_path / "port").write_text("8123\n")
    assert load({"PORT_FILE": str(tmp_path / "port")}).port == 8123


@pytest.mark.parametrize(
    ("content", "also", "says"),
    [
        (None, {}, "DATABASE_URL_FILE: cannot read .*: No such file"),
        (b"", {}, "DATABASE_URL_FILE: .* is empty"),
        (b"\xff\xfe", {}, "not UTF-8"),
        (b"x" * 65_537, {}, "longer than 65536 bytes"),
        (b"postgresql:///x", {"DATABASE_URL": "postgresql:///y"}, "DATABASE_URL and DATABASE_URL_FILE: one of them"),
        (b"x", {"LEDGATE_PORTT_FILE": "y"}, "unknown setting LEDGATE_PORTT_FILE"),
    ],
)
def test_a_file_that_says_nothing_is_refused_by_its_variable(
    tmp_path: Path, content: bytes | None, also: dict[str, str], says: str
) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        load({"DATABASE_URL_FILE": str(path), **also})
