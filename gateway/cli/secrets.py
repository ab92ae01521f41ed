"""`ledgate secrets`: the passwords and keys of a compose installation, made once and handed to each service."""

from __future__ import annotations

import base64
import os
import secrets
from typing import TYPE_CHECKING

from gateway.cli.errors import CliError
from gateway.cli.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

OWN = "own"
"""The folder with what was made, or put there by an operator: one value a file. All others are copies for services."""

_OWNER, _DATABASE = "ledgate", "ledgate"
_PRIVATE, _MOUNTED = 0o400, 0o444  # the second for services of other users, which see their own folder alone


def run(folder: Path) -> int:
    """Make what is missing in `folder/own`, then write every service's folder from it. The exit code.

    ```
    own/                 ledgate_password api_password dispatcher_password dashboard_password admin_password secret_keys
    postgres/            password
    migrate/             pgpass secret_keys api_password dispatcher_password dashboard_password
    api/                 pgpass secret_keys
    dispatcher/          pgpass secret_keys
    dashboard/           pgpass secret_keys
    pooler/              userlist.txt
    admin/               password
    ```

    Raises:
        CliError: the folder cannot be written.
    """
    try:
        made, own = _own(folder)
        for path, (content, mode) in _handed_out(own).items():
            _write(folder / path, content, mode)
    except OSError as error:
        raise CliError(f"{error.filename or folder}: {error.strerror}") from None
    Screen().say(f"secrets: {', '.join(made)} made in {folder / OWN}" if made else "secrets: all there")
    return 0


def _own(folder: Path) -> tuple[list[str], dict[str, str]]:
    made = []
    for name in (*(f"{who}_password" for who in ("ledgate", "api", "dispatcher", "dashboard", "admin")), "secret_keys"):
        path = folder / OWN / name
        if not path.exists():
            key = f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"
            _write(path, key if name == "secret_keys" else secrets.token_urlsafe(32), _PRIVATE)
            made.append(name)
    return made, {path.name: path.read_text(encoding="utf-8").strip() for path in (folder / OWN).iterdir()}


def _handed_out(own: dict[str, str]) -> dict[str, tuple[str, int]]:
    def passes(*logins: str) -> tuple[str, int]:
        return "".join(f"*:*:*:{login}:{_escaped(own[f'{login}_password'])}\n" for login in logins), _PRIVATE

    users = "".join(
        f"{_quoted(login)} {_quoted(own[f'{login}_password'])}\n" for login in ("api", "dispatcher", "dashboard")
    )
    private = {name: (value, _PRIVATE) for name, value in own.items()}
    return {
        "postgres/password": (own["ledgate_password"], _MOUNTED),
        "migrate/pgpass": passes(_OWNER),
        "migrate/api_password": private["api_password"],
        "migrate/dispatcher_password": private["dispatcher_password"],
        "migrate/dashboard_password": private["dashboard_password"],
        "migrate/secret_keys": private["secret_keys"],
        "api/pgpass": passes("api"),
        "api/secret_keys": private["secret_keys"],
        "dispatcher/pgpass": passes("dispatcher", _OWNER),
        "dispatcher/secret_keys": private["secret_keys"],
        "dashboard/pgpass": passes("dashboard"),
        "dashboard/secret_keys": private["secret_keys"],
        "pooler/userlist.txt": (users, _PRIVATE),
        "admin/password": (own["admin_password"], _MOUNTED),
    }


def _escaped(password: str) -> str:
    """As libpq reads its password file."""
    return password.replace("\\", "\\\\").replace(":", "\\:")


def _quoted(text: str) -> str:
    """As PgBouncer reads its list of users."""
    return '"' + text.replace('"', '""') + '"'


def _write(path: Path, content: str, mode: int) -> None:
    """Write it as a whole or not at all: a service may be reading the one before."""
    folder = 0o755 if mode == _MOUNTED else 0o700
    path.parent.mkdir(mode=folder, parents=True, exist_ok=True)
    path.parent.chmod(folder)  # whatever the umask says
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    new.rename(path)
