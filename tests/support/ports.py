"""Ports that stay ours: from when we choose one until we listen, and while a process of ours is down."""

from __future__ import annotations

import random
import socket
from collections import deque

_RANGE = range(10_000, 20_000)
_KEPT = 200  # of the last chosen; a test needs few

_claims: deque[socket.socket] = deque()


def steady_port() -> int:
    """A free port that no other test is given, below those that the kernel gives to outgoing connections.

    A client that keeps asking a killed server at a port of the kernel's own would sooner or later be given that very
    port for its side, and be connected to itself.
    """
    for port in random.sample(_RANGE, 200):
        if (claim := _claim(port)) is None:
            continue
        if not _free(port):
            claim.close()
            continue
        _claims.append(claim)
        if len(_claims) > _KEPT:
            _claims.popleft().close()
        return port
    raise AssertionError("no free port")


def _claim(port: int) -> socket.socket | None:
    """The name of `port` among all processes of this network; it goes with ours, however that ends."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0ledgate-test-port-{port}")
    except OSError:
        claim.close()
        return None
    return claim


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
