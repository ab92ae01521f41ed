"""Find out, before anything is started, whether the ports we need are free, and who has them if not."""

from __future__ import annotations

import errno
import os
import socket
import time

from gateway.cli.errors import CliError

_POLL = 0.05  # seconds


def require_free(host: str, port: int, *, purpose: str, variable: str, patience: float = 0) -> None:
    """Refuse to go on when `port` cannot be listened on, and is not free within `patience` seconds either.

    Raises:
        CliError: it is taken or not allowed; says by whom, what for, and how to choose another.
    """
    deadline = time.monotonic() + patience
    while (error := _try(host, port)) == errno.EADDRINUSE and time.monotonic() < deadline:
        time.sleep(_POLL)
    if error is None:
        return
    hint = f"Choose another: {variable}={_next_free(host, port)} make run"
    if error == errno.EADDRINUSE:
        raise CliError(
            f"Port {port}, which Ledgate needs for {purpose}, is taken{_by_whom(port)}.\n"
            f"Stop what listens there, or choose another port: {variable}={_next_free(host, port)} make run"
        )
    if error == errno.EACCES:
        raise CliError(f"This user may not listen on port {port}, needed for {purpose}. {hint}")
    raise CliError(f"Cannot listen on {host}:{port}, needed for {purpose}: {os.strerror(error)}")


def _try(host: str, port: int) -> int | None:
    """Give the error number of listening there, or None when it works."""
    # `localhost` may mean ::1 first: a stranger there would get the calls that are meant for us.
    for family, address in ((socket.AF_INET, host), (socket.AF_INET6, "::1")):
        if family == socket.AF_INET6 and not socket.has_ipv6:
            continue
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError as error:
                if family == socket.AF_INET or error.errno == errno.EADDRINUSE:
                    return error.errno or errno.EINVAL
    return None


def _next_free(host: str, port: int) -> int:
    tries = range(port + 1, min(port + 200, 65_536)) if port >= 1024 else range(8000, 8200)  # noqa: PLR2004
    return next((number for number in tries if _try(host, number) is None), port + 1)


def _by_whom(port: int) -> str:
    try:
        import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with the embedded PostgreSQL only
    except ImportError:
        return ""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f" by process {connection.pid} ({command[:60] or 'unknown'})"
    except psutil.Error:
        pass  # of another user: the port's number has to do
    return ""
