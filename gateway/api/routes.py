"""Every call of `/api/v1`: a module for each resource checks who calls, calls the domain, answers its bytes."""

from __future__ import annotations

from litestar import Router

from gateway.api import captures, orders, payments, refunds


def v1() -> Router:
    """All of them, under the path that integrations know."""
    return Router(
        "/api/v1", route_handlers=[*orders.HANDLERS, *payments.HANDLERS, *captures.HANDLERS, *refunds.HANDLERS]
    )
