"""OpenAPI 3.1 of the API, and a page of it that needs no script."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.spec import Components, Contact, License, Reference, SecurityScheme

from gateway import errors
from gateway.api import openapi, page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar.handlers import HTTPRouteHandler
    from litestar.openapi.datastructures import ResponseSpec as Spec
    from litestar.types import ControllerRouterHandler


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was refused."""

    code: str
    description: str
    request_id: str
    field: str | None = None
    reason: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The shape of every refusal."""

    error: ErrorDetail


def _refusals(*kinds: type[errors.LedgateError]) -> dict[int, Spec]:
    return {
        kind.status: ResponseSpec(ErrorBody, description=f"`{kind.code}`: {kind.__doc__}", generate_examples=False)
        for kind in kinds
    }


READ_ERRORS = _refusals(
    errors.BadRequestError,
    errors.UnauthorizedError,
    errors.ForbiddenError,
    errors.NotFoundError,
    errors.InternalError,
    errors.UnavailableError,
)
ERRORS = READ_ERRORS | _refusals(
    errors.PayloadTooLargeError, errors.UnsupportedMediaTypeError, errors.IdempotencyKeyReusedError
)


def _openapi_config(version: str) -> OpenAPIConfig:
    """What stands around the operations."""
    schemes: dict[str, SecurityScheme | Reference] = {
        "key": SecurityScheme(type="apiKey", name="X-Api-Key", security_scheme_in="header"),
        "secret": SecurityScheme(type="apiKey", name="X-Api-Secret", security_scheme_in="header"),
        "basic": SecurityScheme(type="http", scheme="basic"),
    }
    return OpenAPIConfig(
        title="Ledgate",
        version=version,
        description="Payments on PostgreSQL alone. Amounts are integers in minor units, times are UTC.",
        contact=Contact(name="Ledgate developers"),
        license=License(name="MIT", identifier="MIT"),
        security=[{"key": [], "secret": []}, {"basic": []}],
        components=Components(security_schemes=schemes),
        path=None,
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
    )


def _operation_id(handler: HTTPRouteHandler, *_: object) -> str:
    """The function's name as clients in most languages would have it: `createPayment`."""
    first, *rest = handler.fn.__name__.split("_")
    return first + "".join(word.capitalize() for word in rest)


@get("/openapi.json", include_in_schema=False, sync_to_thread=True)
def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The API's description for machines."""
    return Response(msgspec.json.encode(request.app.state.described()), media_type=MediaType.JSON)


@get("/docs", include_in_schema=False, media_type=MediaType.HTML, sync_to_thread=True)
def docs_page(request: Request[Any, Any, Any]) -> Response[str]:
    """The API's description for people: every call, its fields and its answers."""
    headers = {"Content-Security-Policy": page.CSP, "X-Content-Type-Options": "nosniff"}
    return Response(page.render(request.app.state.described()), headers=headers, media_type=MediaType.HTML)


def describer(handlers: Sequence[ControllerRouterHandler], version: str) -> Callable[[], dict[str, Any]]:
    """What makes the description of these calls, once, however many applications of a process serve them."""
    return functools.partial(_described, tuple(handlers), version)


@functools.cache
def _described(handlers: tuple[ControllerRouterHandler, ...], version: str) -> dict[str, Any]:
    """From an application that is never served.

    One that serves with `openapi_config` has pages of the framework's too, which fetch their scripts from elsewhere.
    """
    return openapi.describe(Litestar(route_handlers=handlers, openapi_config=_openapi_config(version)))
