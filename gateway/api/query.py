"""The query string, strictly: a parameter that is misspelt or given twice is refused rather than ignored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request

Parameters = dict[tuple[str, str], dict[str, bool]]
"""Method and path, as the description has them -> its query parameters, and whether each is a time."""

# RFC 3339; the framework would take a number for one, too. Without a zone it is UTC.
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})?\Z")

_MAX_PARAMETERS = 50


def parameters(description: Mapping[str, Any]) -> Parameters:
    """Every call's query parameters."""
    return {
        (method.upper(), path): {
            one["name"]: one["schema"].get("format") == "date-time"
            for one in call.get("parameters", ())
            if one["in"] == "query"
        }
        for path, calls in description["paths"].items()
        for method, call in calls.items()
    }


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
