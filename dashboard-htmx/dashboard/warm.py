"""Before a worker is ready, or soon after: what the first reader of each page would wait for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import structlog

from dashboard import assets, render, snippets, zones
from dashboard.reading import overview, payments, timeline, webhooks
from gateway import recoveries
from gateway.listing import Paging
from gateway.logs import DeliveryFilter
from gateway.merchants import Merchant

if TYPE_CHECKING:
    from kit.db import Connection

log = structlog.get_logger()

_NOBODY = Merchant("mer_nobody", 0, "", "", frozenset())
_PAGE = Paging(limit=25)


def warm() -> None:
    """Compile every template, pack every file, colour the code that all see: in the start and in nobody's click."""
    assets.static()
    templates = render.environment()
    for name in templates.list_templates():
        templates.get_template(name)
    nobody = snippets.Place(api="", checkout="", key="", is_demo=False)
    for panes in snippets.snippets(nobody).values():
        for pane in panes:
            _ = pane.tokens


async def rehearse(conn: Connection) -> None:
    """Read the heavy pages once, with a connection that has served nobody yet."""
    try:
        await read(conn)
    except psycopg.Error as error:  # whoever asks for such a page is told what is wrong
        log.info("pages.not_rehearsed", error=type(error).__name__)


async def read(conn: Connection) -> None:
    """Read what heavy pages read, of a merchant that there is not.

    A connection knows nothing at first: it looks up a hundred partitions with their indexes, and plans each statement
    over them, 30 to 100 ms for a page that takes 10 from then on.
    """
    now = datetime.now(UTC)
    await overview.overview(conn, _NOBODY, "30d", now=now, zone=zones.reader())
    await payments.page(conn, _NOBODY, payments.PaymentFilter(), _PAGE)
    await timeline.rehearse(conn, _NOBODY)
    await webhooks.cards(conn, _NOBODY, now=now)
    await webhooks.log(conn, _NOBODY, DeliveryFilter(), _PAGE)
    await webhooks.events(conn, _NOBODY, webhooks.EventFilter(), _PAGE)
    await recoveries.dry_run(conn, _NOBODY, since=now - timedelta(days=1), glance=True)
