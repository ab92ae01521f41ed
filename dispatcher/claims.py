"""Where to look for work: along the due times, along the lines of endpoints with a backlog, at the heads of lines."""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from dispatcher import buckets
from dispatcher.fairness import FIRST_WINDOW
from outbox import work as outbox_work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dispatcher.fairness import Fairness
    from kit.db import Connection
    from outbox.work import Kind, Work

_SWEEP = 2.0  # seconds between looks at every bucket from the beginning of time
_HELP = 0.25  # seconds between looks at others' buckets when one's own have nothing
_LATE = timedelta(seconds=2)  # a commit may come this much later than the due time that it wrote
_CROWDED = 1.0  # seconds for which a bucket counts as crowded after the last sign of it


class Claims(Protocol):
    """A way to find and lease due work of one kind."""

    favourites: list[int]
    """The buckets to look at first."""
    unfinished: bool
    """The last claim looked at some buckets only, and the next one will at the others."""

    async def claim(self, conn: Connection, *, limit: int) -> list[Work]:
        """Lease up to `limit` works."""
        ...

    def overflowed(self, works: Sequence[Work]) -> None:
        """These were claimed and had no room."""
        ...

    @property
    def crowded(self) -> bool:
        """Due work may be waiting for work in flight to end."""
        ...

    def frees(self, ended: Sequence[Work]) -> bool:
        """Whether due work may have waited for these to end."""
        ...


class Walk:
    """Along the due times of each bucket, the oldest first."""

    def __init__(self, kind: Kind, *, dispatcher: str, lease: float) -> None:
        """Set up: leases of `lease` seconds, in the name of `dispatcher`."""
        self.favourites = list(range(buckets.COUNT))
        self.unfinished = False
        self._kind: Kind = kind
        self._dispatcher = dispatcher
        self._lease = lease
        self._floors: dict[int, datetime] = {}
        self._swept = self._helped = 0.0

    async def claim(self, conn: Connection, *, limit: int) -> list[Work]:
        """Lease up to `limit` works."""
        return await self._walk(conn, self._look_at(), limit=limit)

    def overflowed(self, works: Sequence[Work]) -> None:
        """Nothing is remembered of it."""

    @property
    def crowded(self) -> bool:
        """A walk takes whatever is due."""
        return False

    def frees(self, ended: Sequence[Work]) -> bool:  # noqa: ARG002 - the interface
        """Nothing waits for another's end."""
        return False

    async def _walk(self, conn: Connection, floors: dict[int, datetime], *, limit: int) -> list[Work]:
        works = await outbox_work.claim(
            conn, self._kind, floors, limit=limit, lease=self._lease, dispatcher=self._dispatcher
        )
        for work in works:
            floor = self._floors.get(work.bucket)
            if floor is None or work.due_at - _LATE > floor:
                self._floors[work.bucket] = work.due_at - _LATE
        return works

    def _look_at(self) -> dict[int, datetime]:
        """Buckets and floors of the next claim: favourites, the others too when idle, all from zero now and then."""
        now = time.monotonic()
        if now - self._swept >= _SWEEP:
            self._swept = self._helped = now
            order = random.sample(range(buckets.COUNT), buckets.COUNT)  # a full batch must not always favour bucket 0
            return dict.fromkeys(order, outbox_work.BEGINNING)
        chosen = random.sample(self.favourites, len(self.favourites))
        if now - self._helped >= _HELP:
            self._helped = now
            others = set(range(buckets.COUNT)).difference(chosen)
            chosen += random.sample(sorted(others), len(others))
        return {bucket: self._floors.get(bucket, outbox_work.BEGINNING) for bucket in chosen}


class FairWalk(Walk):
    """Along the due times, until somebody's backlog stands in a bucket: there, from endpoint to endpoint.

    A walk along the due times meets work in the order in which it became due, so that a backlog of 100,000 would have
    to be claimed and put back before anything behind it is seen. In a bucket that shows signs of one, each endpoint's
    own line is looked at instead, for as much as that endpoint may start now (docs/decisions/0009).
    """

    def __init__(self, kind: Kind, fairness: Fairness, *, dispatcher: str, lease: float) -> None:
        """Set up; `fairness` knows who may start how much."""
        super().__init__(kind, dispatcher=dispatcher, lease=lease)
        self._fairness = fairness
        self._crowded: dict[int, float] = {}
        self._full: dict[str, float] = {}
        self._turns: dict[int, str] = {}
        self._line_floors: dict[str, datetime] = {}
        self._lines_swept = 0.0

    async def claim(self, conn: Connection, *, limit: int) -> list[Work]:
        """Lease up to `limit` works: in turn along the due times of calm buckets and the lines of crowded ones."""
        now = time.monotonic()
        crowded = [bucket for bucket, until in self._crowded.items() if until > now]
        if self.unfinished:
            self.unfinished = False
            return await self._from_lines(conn, crowded, limit=limit) if crowded else []
        calm = {bucket: floor for bucket, floor in self._look_at().items() if bucket not in crowded}
        works = await self._walk(conn, calm, limit=limit) if calm else []
        if len(works) == limit:
            # A full claim stops where it was full: whoever filled it may stand before others.
            bucket, count = Counter(work.bucket for work in works).most_common(1)[0]
            if count > limit // 2:
                self._crowd([work for work in works if work.bucket == bucket])
        self.unfinished = bool(crowded)
        return works

    def overflowed(self, works: Sequence[Work]) -> None:
        """A bucket in which an endpoint had more than it may start is crowded."""
        self._crowd(works)

    @property
    def crowded(self) -> bool:
        """Somewhere a backlog stands."""
        return any(until > time.monotonic() for until in self._crowded.values())

    def frees(self, ended: Sequence[Work]) -> bool:
        """One of an endpoint that had more than it may start lately."""
        now = time.monotonic()
        return any(self._full.get(work.endpoint_id or "", 0.0) > now for work in ended)

    def _crowd(self, works: Sequence[Work]) -> None:
        until = time.monotonic() + _CROWDED
        self._crowded |= dict.fromkeys((work.bucket for work in works), until)
        self._full |= dict.fromkeys((work.endpoint_id or "" for work in works), until)

    async def _from_lines(self, conn: Connection, crowded: list[int], *, limit: int) -> list[Work]:
        now = time.monotonic()
        if now - self._lines_swept >= _SWEEP:
            self._lines_swept = now
            self._line_floors.clear()
            self._full = {endpoint: until for endpoint, until in self._full.items() if until > now}
        rooms = self._fairness.rooms()
        known = {endpoint: outbox_work.Line(room, self._line_floors.get(endpoint)) for endpoint, room in rooms.items()}
        works = await outbox_work.claim_lines(
            conn,
            self._kind,
            {bucket: self._turns.get(bucket, "") for bucket in crowded},
            known,
            room=FIRST_WINDOW,
            limit=limit,
            lease=self._lease,
            dispatcher=self._dispatcher,
        )
        self._turns.clear()
        taken: Counter[str] = Counter()
        for work in works:
            endpoint = work.endpoint_id or ""
            taken[endpoint] += 1
            if len(works) == limit:
                self._turns[work.bucket] = max(self._turns.get(work.bucket, ""), endpoint)
            floor = self._line_floors.get(endpoint)
            if floor is None or work.due_at - _LATE > floor:
                self._line_floors[endpoint] = work.due_at - _LATE
            if taken[endpoint] >= rooms.get(endpoint, FIRST_WINDOW):
                self._crowd([work])
        return works


class Heads(Walk):
    """The heads of lines that keep their order: of each endpoint the oldest delivery, and none behind it."""

    @property
    def crowded(self) -> bool:
        """A head that ends may have a next one behind it."""
        return True

    def frees(self, ended: Sequence[Work]) -> bool:
        """Each was the head of a line."""
        return bool(ended)

    async def claim(self, conn: Connection, *, limit: int) -> list[Work]:
        """Lease the due heads of up to `limit` lines."""
        looked_at = list(self._look_at())
        return await outbox_work.claim_heads(
            conn, looked_at, limit=limit, lease=self._lease, dispatcher=self._dispatcher
        )
