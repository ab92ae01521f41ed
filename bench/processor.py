"""Processor time of processes: what noise on the machine changes least."""

from __future__ import annotations

import os
from pathlib import Path

from kit.children import descendants

_TICKS = os.sysconf("SC_CLK_TCK")


def used(pid: int) -> float:
    """Seconds of processor time that a process and everything below it have used; 0 without /proc.

    With those below it that have ended: a parent takes over their time.
    """
    return sum(_used(one) for one in (pid, *descendants(pid)))


def _used(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS  # user, system, and both of ended children
