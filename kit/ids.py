"""Make ids that sort by time: TypeIDs, a prefix and a UUIDv7 in base32.

Source: TypeID 0.3 (Crockford's base32, lower case, 26 characters); RFC 9562, UUID version 7 with method 3
(12 bits of sub-millisecond time, so that the ids of one process keep the order they were made in).
"""

from __future__ import annotations

import re
import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]  # ten bits at a time
_SUFFIX = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
_TIMESTAMP_SHIFT = 80
_lock = threading.Lock()
_last_tick = 0

SPARE_BITS = 10
"""Low bits that `new(spare=True)` leaves zero: two characters, 1,024 ids that can be derived from one."""


def new(prefix: str, *, spare: bool = False) -> str:
    """Make an id such as `pay_01jd9m…`; later calls of this process sort after earlier ones.

    Args:
        prefix: lower-case letters, without the underscore.
        spare: end in `00`, so that SQL may derive up to 1,024 unique ids by writing the last two characters.
    """
    random = secrets.randbits(62)
    if spare:
        random &= ~((1 << SPARE_BITS) - 1)
    tick = _next_tick()
    return f"{prefix}_{_base32((tick >> 12 << 80) | (7 << 76) | ((tick & 0xFFF) << 64) | (2 << 62) | random)}"


def made(prefix: str, microseconds: int, chance: int, *, spare: bool = False) -> str:
    """An id as it would have been made at that unix time, of the chance that is given: 62 bits. For made-up history."""
    milliseconds, rest = divmod(microseconds, 1000)
    random = chance & ((1 << 62) - 1)
    if spare:
        random &= ~((1 << SPARE_BITS) - 1)
    value = milliseconds << _TIMESTAMP_SHIFT | 7 << 76 | (rest * 4096 // 1000) << 64 | 2 << 62 | random
    return f"{prefix}_{_base32(value)}"


def lower_bound(prefix: str, unix_seconds: float) -> str:
    """The smallest id of `prefix` that can be made at that time: partitions are cut there."""
    return f"{prefix}_{_base32(int(unix_seconds * 1000) << _TIMESTAMP_SHIFT)}"


def made_at(made: str) -> float:
    """The unix time, in whole milliseconds, that a well-formed id holds."""
    milliseconds = 0
    for character in made[-26:-16]:
        milliseconds = milliseconds << 5 | _ALPHABET.index(character)
    return milliseconds / 1000


def pattern(prefix: str) -> re.Pattern[str]:
    """What a well-formed id of `prefix` matches in full."""
    return re.compile(rf"{prefix}_{_SUFFIX}\Z")


def _next_tick() -> int:
    """Unix time in 1/4096 ms, never the same twice in this process, even when the clock steps back."""
    global _last_tick  # noqa: PLW0603 - the one counter that orders this process's ids
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    tick = (milliseconds << 12) | ((nanoseconds << 12) // 1_000_000)
    with _lock:
        _last_tick = max(_last_tick + 1, tick)
        return _last_tick


def _base32(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 0x3FF] for shift in range(120, -1, -10)])
