"""A way to the database on which the server says that it is PostgreSQL 14; all else is as it is."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

import psycopg

_SAID = re.compile(rb"(?<=server_version\x00)\d\d")


@contextlib.contextmanager
def aged(url: str) -> Iterator[str]:
    """The URL of a proxy before the database of `url`, while the block runs."""
    given = psycopg.conninfo.conninfo_to_dict(url)
    there = (str(given["host"]), int(given["port"] or 5432))
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_serve, args=(door, there), daemon=True).start()
        yield psycopg.conninfo.make_conninfo(
            **{
                **given,
                "host": "127.0.0.1",
                "port": door.getsockname()[1],
                "sslmode": "disable",
                "gssencmode": "disable",
            }
        )
        door.shutdown(socket.SHUT_RDWR)


def _serve(door: socket.socket, there: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = door.accept()
            server = socket.create_connection(there)
            threading.Thread(target=_pass, args=(client, server), daemon=True).start()
            threading.Thread(target=_pass, args=(server, client), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError), source, target:
        # The greeting fits into one segment, so that the version is never cut in two.
        while piece := source.recv(65536):
            target.sendall(_SAID.sub(b"14", piece))
        target.shutdown(socket.SHUT_WR)
