"""Get hold of a database: ours or the one that DATABASE_URL names."""

from __future__ import annotations

import os
import time

import psycopg
from psycopg import sql

from gateway.cli.errors import CliError
from kit import oldest

_PAUSE = 0.2  # seconds between tries
_WILL_COME = ("starting up", "shutting down", "in recovery", "too many", "remaining connection slots")


def where(url: str) -> str:
    """Name host, port and database of a connection string; never its user's password.

    Raises:
        CliError: it is no connection string.
    """
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Not its message: libpq quotes the part it stumbled over, which may be of the password.
        raise CliError(
            "DATABASE_URL is not a PostgreSQL connection string, such as "
            "postgresql://user:password@host:5432/dbname (write @ and / in a password as %40 and %2F).",
            code=2,
        ) from None
    host = str(given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "localhost")
    if "@" in host:
        raise CliError("DATABASE_URL: an @ in the password must be written as %40.", code=2)
    name = given.get("dbname") or given.get("user") or ""
    return f"host {host}, port {given.get('port') or 5432}, database {name}"


def await_ready(url: str, seconds: float) -> None:
    """Wait until the database takes connections.

    Raises:
        CliError: it did not within `seconds`, is too old, or refuses us for a reason that waiting does not cure.
    """
    place = where(url)
    deadline = time.monotonic() + seconds
    while True:
        patience = max(2, min(5, round(deadline - time.monotonic())))  # libpq's least is 2 s
        try:
            with psycopg.connect(url, connect_timeout=patience) as conn:
                oldest.require(conn.info.server_version)
        except oldest.TooOldError as error:
            raise CliError(f"The database ({place}) cannot be used: {error}.") from None
        except psycopg.OperationalError as error:
            why = reason(url, error)
            if "FATAL" in why and not any(words in why for words in _WILL_COME):
                raise CliError(f"The database ({place}) refuses us: {why}") from None
            if time.monotonic() > deadline:
                raise CliError(
                    f"The database ({place}) did not answer within {seconds:.0f} s: {why}\n"
                    "Start it, or correct DATABASE_URL; without DATABASE_URL, `make run` starts its own."
                ) from None
        else:
            return
        time.sleep(_PAUSE)


def ensure(url: str, name: str) -> None:
    """Create the database `name` on the server of `url`, where it is missing."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def first_line(error: psycopg.Error) -> str:
    """Give the gist of an error of the database."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"


def reason(url: str, error: psycopg.Error) -> str:
    """Give libpq's reason in one line, without the password that a strange URL may put into it."""
    text = (str(error).strip().splitlines() or ["no reason given"])[0].rpartition(" failed: ")[2]
    text = " ".join(text.split())
    password = psycopg.conninfo.conninfo_to_dict(url).get("password")
    return text.replace(str(password), "***") if password else text
