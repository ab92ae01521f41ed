"""Make the logins that processes use: members of one role each, which works with a pooler in between too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from psycopg import sql

from gateway.cli.errors import CliError
from kit.db import PLANS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from gateway.config import Config

Kind = Literal["api", "dispatcher", "dashboard"]

# The dashboard enters the second one for operators' pages, which see all merchants.
_ROLES: dict[Kind, tuple[str, ...]] = {
    "api": ("ledgate_api",),
    "dispatcher": ("ledgate_dispatcher",),
    "dashboard": ("ledgate_dashboard", "ledgate_operator"),
}
_DISPATCHER_STATEMENT = 30.0  # seconds, as the dispatcher asks for when it connects
_LEAST = 16  # characters of a password


class Login(NamedTuple):
    """A login to be made."""

    kind: Kind
    """The processes that it is for."""
    name: str
    password: str


def read(wanted: Iterable[str]) -> list[Login]:
    """Read `api=FILE`, `dispatcher=FILE`, `dashboard=FILE`, or with a name `api:NAME=FILE`; each file holds a password.

    Raises:
        CliError: another kind, a file that cannot be read, a password that is too short.
    """
    return [_read(one) for one in wanted]


def _read(wanted: str) -> Login:
    who, _, path = wanted.partition("=")
    given, _, name = who.partition(":")
    for kind in get_args(Kind):
        if given == kind and path:
            break
    else:
        raise CliError(
            f"--login {wanted}: not api=FILE, dispatcher=FILE, dashboard=FILE, or with a name: api:NAME=FILE", code=2
        )
    try:
        password = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"--login {who}: cannot read {path}: {error}", code=2) from None
    if len(password) < _LEAST:
        raise CliError(f"--login {who}: the password in {path} has fewer than {_LEAST} characters", code=2)
    return Login(kind, name or kind, password)


def ensure(conn: psycopg.Connection[Any], login: Login, config: Config) -> None:
    """Make the login, or give it its password anew; it may do what its role may, and nothing else.

    What our connections bring along as start-up options is set on the login as well, because a pooler drops them.

    Raises:
        psycopg.errors.InsufficientPrivilege: the user may not make roles.
    """
    name = sql.Identifier(login.name)
    # Only its SCRAM verifier travels, so that no log of the server can show the password.
    verifier = conn.pgconn.encrypt_password(login.password.encode(), login.name.encode(), b"scram-sha-256").decode()
    with conn.transaction():
        if conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login.name]).fetchone() is None:
            conn.execute(sql.SQL("CREATE ROLE {} NOINHERIT").format(name))
        conn.execute(sql.SQL("ALTER ROLE {} LOGIN NOINHERIT PASSWORD {}").format(name, sql.Literal(verifier)))
        for role in _ROLES[login.kind]:
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
        for setting, value in _settings(login.kind, config).items():
            query = sql.SQL("ALTER ROLE {} SET {} = {}")
            conn.execute(query.format(name, sql.Identifier(setting), sql.Literal(value)))


def _settings(kind: Kind, config: Config) -> dict[str, str]:
    plans = dict(option.split("=", 1) for option in PLANS.split() if option != "-c")
    seconds = _DISPATCHER_STATEMENT if kind == "dispatcher" else config.statement_timeout
    return {
        "role": _ROLES[kind][0],
        "statement_timeout": f"{int(seconds * 1000)}ms",
        "timezone": "UTC",
        "jit": "off",
        **plans,
    }
