"""One module for each page: it reads, it acts through `gateway`, it renders one template."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler


def handlers() -> list[HTTPRouteHandler]:
    """Every route of the dashboard's pages. A module's own are its `HANDLERS`."""
    # They import `render` and others that import nothing of theirs, but a test imports one page alone.
    from dashboard.pages import (  # noqa: PLC0415
        account,
        audit,
        delivery,
        docs,
        endpoint_actions,
        endpoints,
        entrance,
        events,
        keys,
        operator,
        overview,
        payment,
        payment_actions,
        payments,
        recovery,
        second_factor,
        settings,
        team,
        webhooks,
    )

    modules = (
        entrance,
        overview,
        payments,
        payment,
        payment_actions,
        webhooks,
        endpoints,
        endpoint_actions,
        delivery,
        recovery,
        events,
        keys,
        docs,
        team,
        audit,
        account,
        second_factor,
        settings,
        operator,
    )
    return [handler for module in modules for handler in module.HANDLERS]
