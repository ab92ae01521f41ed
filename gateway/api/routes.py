"""Every call of `/api/v1`: a module for each resource checks who calls, calls the domain, answers its bytes."""

from __future__ import annotations

import functools

from litestar import Router

from gateway.api import (
    captures,
    deliveries,
    endpoints,
    events,
    keys,
    orders,
    origins,
    payments,
    recoveries,
    refund_lists,
    refunds,
    signatures,
    webhooks,
)


@functools.cache
def v1() -> Router:
    """All of them, under the path that integrations know. An application takes a copy."""
    modules = (
        orders,
        payments,
        captures,
        refunds,
        refund_lists,
        webhooks,
        signatures,
        recoveries,
        deliveries,
        endpoints,
        events,
        keys,
        origins,
    )
    return Router("/api/v1", route_handlers=[handler for module in modules for handler in module.HANDLERS])
