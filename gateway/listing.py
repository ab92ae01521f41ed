"""Read a list a page at a time, by offset or from a cursor; no page reads more than a bounded part of the list.

A list is walked in its order over an index; what no index knows is tested on the rows of the walk, of which there are
at most `WALK` for one page. So a page may hold fewer objects than asked for, or none, and still have a `next`: the walk
ended there. A cursor is an object's id, and the order never changes, so pages stay right while objects arrive.

Every combination of filters is a statement of its own, put together from the lines of `queries/*.sql` by the names of
the parameters that are given (`kit.sql.compose`); values travel as parameters only.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

import msgspec

from gateway.errors import BadRequestError
from kit import ids, sql
from kit.db import fetch

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.merchants import Merchant
    from kit.db import Connection

WALK = 10_000
"""Objects looked at for one page, besides those that `offset` skips; `page_of_walk` has the same number."""

_SLACK = timedelta(seconds=2)  # between the time in an object's id and its created_at, both taken by one process


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """Which page is asked for."""

    limit: int = 10
    offset: int = 0
    after: str | None = None
    before: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page of a list stands. Newest first, also on pages asked for with `before`."""

    limit: int
    offset: int
    has_more: bool
    """Whether to go on with `next`. Of rare objects there may be none left; a page looks at 10,000 objects at most, and
    may hold fewer than `limit`."""
    next: str | None
    """Send it as `after` (as `before`, if this page was asked for with `before`) to go on in the same direction."""


class Found(NamedTuple):
    """A page's rows, newest first, and the fields of its `Page`."""

    rows: list[dict[str, Any]]
    place: dict[str, Any]


def statement(package: str, name: str, given: frozenset[str]) -> LiteralString:
    """The text of a list for the parameters that are given. `before` reads the other way: nearest to the cursor first.

    Raises:
        KeyError: a name that the list does not know.
    """
    text = sql.compose(package, name, given)
    return text.replace(" DESC", " ASC") if "before" in given else text


def narrow(where: Mapping[str, object]) -> dict[str, object]:
    """The filters that are given; None means that one is not."""
    return {name: value for name, value in where.items() if value is not None}


def created_range(prefix: str, created_from: datetime | None, created_to: datetime | None) -> dict[str, object]:
    """A range of `created_at` as filters: ids bound the walk, since they hold the time; `created_at` itself decides."""
    return narrow(
        {
            "created_from": created_from,
            "created_to": created_to,
            "id_from": _bound(prefix, created_from, -_SLACK),
            "id_to": _bound(prefix, created_to, _SLACK),
        }
    )


def check(paging: Paging, shape: re.Pattern[str]) -> None:
    """Refuse cursors that contradict each other, or that are no ids of this list.

    Raises:
        BadRequestError: `cursor_conflict` or `cursor_invalid`.
    """
    given = {name: cursor for name in ("after", "before") if (cursor := getattr(paging, name)) is not None}
    for name, cursor in given.items():
        if len(given) > 1 or paging.offset:
            raise BadRequestError("send one of after, before and offset", field=name, reason="cursor_conflict")
        if not shape.match(cursor):
            raise BadRequestError(f"{name} is not an id of this list", field=name, reason="cursor_invalid")


async def check_known(conn: Connection, merchant: Merchant, query: LiteralString, paging: Paging) -> None:
    """Where a list looks its cursor's place up, an empty page may mean that there is none: ask for the object itself.

    Raises:
        BadRequestError: `cursor_unknown`.
    """
    field = "before" if paging.after is None else "after"
    cursor = getattr(paging, field)
    if cursor is not None and not await fetch(conn, query, merchant.scope | {"id": cursor}):
        raise BadRequestError(f"{field} is the id of nothing in this list", field=field, reason="cursor_unknown")


async def read(
    conn: Connection, merchant: Merchant, query: tuple[str, str], paging: Paging, where: dict[str, object]
) -> Found:
    """Read a page with the list that `query` names by package and name; `where` has its filters, without None.

    One row more than asked for tells whether there are more.
    """
    given = where | narrow({"after": paging.after, "before": paging.before, "offset": paging.offset or None})
    values = merchant.scope | given | {"limit": paging.limit + 1}
    rows = await fetch(conn, statement(*query, frozenset(given)), values)
    matching = [row for row in rows if row["matches"] and row["nth"] > paging.offset]
    shown = matching[: paging.limit]
    end = None
    if len(matching) > paging.limit:
        end = shown[-1]["id"]
    elif rows and rows[-1]["walked"] == WALK + paging.offset:
        end = rows[-1]["id"]  # the walk ended there, whether that row matches or not
    if paging.before is not None:
        shown.reverse()
    place = {"limit": paging.limit, "offset": paging.offset, "has_more": end is not None, "next": end}
    return Found(shown, place)


async def count(
    conn: Connection, merchant: Merchant, query: tuple[str, str], where: dict[str, object]
) -> tuple[int, bool]:
    """How many objects a list has, as far as one walk goes; and whether that is all."""
    (row,) = await fetch(conn, statement(*query, frozenset(where)), merchant.scope | where)
    return row["total"], row["walked"] < WALK


def _bound(prefix: str, time: datetime | None, slack: timedelta) -> str | None:
    return ids.lower_bound(prefix, max(0.0, time.timestamp() + slack.total_seconds())) if time is not None else None
