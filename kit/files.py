"""How many files, and with them sockets, a process may have open."""

from __future__ import annotations

import resource

_MOST = 65_536


def allow_many() -> None:
    """Every connection is one, and many systems begin with 1,024: as many as the machine lets us, 65,536 at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(_MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
