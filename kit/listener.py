"""Close a listening socket without losing who is already in its queue. Linux; elsewhere it is simply closed."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
import time
from pathlib import Path

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_UNACKED = 24  # where struct tcp_info says, of a listening socket, how many connections nobody has accepted yet
_LISTEN = "0A"  # include/net/tcp_states.h

# Classic BPF over the TCP header: refuse a segment that has the SYN flag, take any other in full.
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),
)


def drain(listener: socket.socket, *, within: float, settle: float) -> None:
    """Let nobody new in, and wait until all who stand in the queue have been accepted.

    Whoever tries to connect meanwhile is not answered, and tries again after a second: by then the socket is closed,
    and refuses. To close it at once would reset every connection in its queue, with the requests that they have sent.

    Args:
        listener: a listening TCP socket that others accept from.
        within: seconds after which the rest of the queue is given up.
        settle: seconds after that, for handshakes that were half done and for requests that are on their way.
    """
    if not _refuse_syn(listener):
        return
    deadline = time.monotonic() + within
    while _queued(listener) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(settle)
    while _queued(listener) and time.monotonic() < deadline:
        time.sleep(0.005)


def connected(pid: int, port: int) -> bool:
    """Whether a process has a connection that was made to `port`; supposed to where the system does not tell."""
    try:
        own = set()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                own.add(str(entry.readlink()))
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state != _LISTEN and int(local.rpartition(":")[2], 16) == port and f"socket:[{inode}]" in own:
                    return True
    except OSError:
        return True
    return False


def _refuse_syn(listener: socket.socket) -> bool:
    if sys.platform != "linux":
        return False
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _NO_SYN))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_NO_SYN), ctypes.addressof(code))
        )
    except OSError:
        return False  # a kernel that is none, such as gVisor's
    return True


def _queued(listener: socket.socket) -> int:
    told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED + 4)
    return int(struct.unpack_from("I", told, _UNACKED)[0])
