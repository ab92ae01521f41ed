"""Lists by cursor: which page a request asks for, and the addresses of the pages beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from gateway.listing import Paging

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.listing import Page

A_PAGE = 20


class Neighbours(NamedTuple):
    """The addresses of the pages before and after; empty where there is none."""

    older: str
    newer: str


def asked(query: Mapping[str, str], *, limit: int = A_PAGE) -> Paging:
    """The page that an address names by `after` or `before`."""
    return Paging(limit=limit, after=query.get("after") or None, before=query.get("before") or None)


def address(path: str, where: Mapping[str, str], **more: str | None) -> str:
    """A path with what is not empty of filters and cursor."""
    given = {name: value for name, value in {**where, **more}.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def neighbours(path: str, where: Mapping[str, str], page: Page, paging: Paging, shown: Sequence[str]) -> Neighbours:
    """The pages beside this one.

    Args:
        path: of the list.
        where: its filters, as they stand in the address.
        page: as it was read, newest first.
        paging: as it was asked for.
        shown: the ids on it.
    """
    if paging.before is not None:
        older = shown[-1] if shown else ""
        newer = page.next or ""
        return Neighbours(
            address(path, where, after=older) if older else address(path, where),
            address(path, where, before=newer) if newer else "",
        )
    older = address(path, where, after=page.next) if page.has_more else ""
    if paging.after is None:
        return Neighbours(older, "")
    return Neighbours(older, address(path, where, before=shown[0]) if shown else address(path, where))
