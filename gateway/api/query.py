"""The query string, strictly: a parameter that is misspelt or given twice is refused rather than ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request

Parameters = dict[tuple[str, str], frozenset[str]]
"""Method and path, as the description has them -> the names of its query parameters."""

_MAX_PARAMETERS = 50


def parameters(description: Mapping[str, Any]) -> Parameters:
    """Every call's query parameters."""
    return {
        (method.upper(), path): frozenset(one["name"] for one in call.get("parameters", ()) if one["in"] == "query")
        for path, calls in description["paths"].items()
        for method, call in calls.items()
    }


def check(request: Request[Any, Any, Any], known: Parameters) -> None:
    """Raises `BadRequestError` for an unknown or repeated parameter, and for text that is not UTF-8."""
    text = request.scope["query_string"]
    if not text:
        return
    names = known.get((str(request.method), request.scope["path_template"]), frozenset())
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
        if value in {"", "null"}:
            # The framework would take either for an absent one.
            raise BadRequestError(f"{name} has no value", field=name, reason="parameter_invalid")
        seen.add(name)
