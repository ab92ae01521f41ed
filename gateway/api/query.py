"""The query string, strictly: a parameter that is misspelt or given twice is refused rather than ignored."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from litestar import Request
    from litestar.handlers import HTTPRouteHandler
    from litestar.routes import BaseRoute
    from litestar.typing import FieldDefinition

Parameters = dict[tuple[str, str], dict[str, bool]]
"""Method and path, as the description has them -> its query parameters, and whether each is a time."""

# RFC 3339; the framework would take a number for one, too. Without a zone it is UTC.
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})?\Z")

_MAX_PARAMETERS = 50


def parameters(routes: Iterable[BaseRoute]) -> Parameters:
    """Every call's query parameters.

    From the functions' signatures: the description has the same, but making it takes half of a worker's start.
    """
    return {
        (method, route.path_format): {
            str(field.kwarg_definition.name or name): datetime in (field.annotation, *field.args)
            for name, field in _arguments(handler)
            if isinstance(field.kwarg_definition, QueryParameter)
        }
        for route in routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
    }


def _arguments(handler: HTTPRouteHandler) -> Iterator[tuple[str, FieldDefinition]]:
    """What a call's function takes, and what those that it depends on take."""
    yield from handler.parsed_fn_signature.parameters.items()
    for dependency in handler.resolve_dependencies().values():
        yield from dependency.parsed_fn_signature.parameters.items()


def check(request: Request[Any, Any, Any], known: Parameters) -> None:
    """Raises `BadRequestError` for an unknown or repeated parameter, and for text that is not UTF-8."""
    text = request.scope["query_string"]
    if not text:
        return
    names = known.get((str(request.method), request.scope["path_template"]), {})
    try:
        given = parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise BadRequestError("the query string cannot be read", reason="query_invalid") from None
    seen: set[str] = set()
    for name, value in given:
        if name not in names:
            raise BadRequestError(
                f"{name[:100]} is not a parameter of this call", field=name[:100], reason="parameter_unknown"
            )
        if name in seen:
            raise BadRequestError(f"{name} is given twice", field=name, reason="parameter_repeated")
        if value in {"", "null"} or (names[name] and not _TIME.match(value)):
            # The framework would take the first two for an absent one.
            raise BadRequestError(f"{name} has no value that it can have", field=name, reason="parameter_invalid")
        seen.add(name)
