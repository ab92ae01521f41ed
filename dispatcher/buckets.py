"""Share the buckets out among the dispatchers that live: each has favourites, and may help anywhere."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNT = 64


def favourites(me: str, alive: Iterable[str]) -> list[int]:
    """The buckets that are `me`'s by rendezvous hashing: a dispatcher that comes or goes moves only its own share."""
    everyone = {*alive, me}
    return [bucket for bucket in range(COUNT) if max(everyone, key=lambda one: _weight(one, bucket)) == me]


def _weight(dispatcher: str, bucket: int) -> bytes:
    return hashlib.blake2b(f"{bucket}:{dispatcher}".encode(), digest_size=8).digest()
