"""Ports that stay ours while a process of ours is down."""

from __future__ import annotations

import random
import socket

_RANGE = range(10_000, 20_000)


def steady_port() -> int:
    """A free port below those that the kernel gives to outgoing connections.

    A client that keeps asking a killed server at a port of the kernel's own would sooner or later be given that very
    port for its side, and be connected to itself.
    """
    for port in random.sample(_RANGE, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
