"""OpenAPI 3.1 of the API, and a page of it that needs no script."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.spec import Components, Contact, License, Reference, SecurityScheme

from gateway import errors

if TYPE_CHECKING:
    from litestar.openapi.datastructures import ResponseSpec as Spec


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
    errors.LedgateError,
    errors.UnavailableError,
)
ERRORS = READ_ERRORS | _refusals(
    errors.PayloadTooLargeError, errors.UnsupportedMediaTypeError, errors.IdempotencyKeyReusedError
)


def openapi_config(version: str) -> OpenAPIConfig:
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
        render_plugins=[],
        use_handler_docstrings=True,
    )


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The API's description for machines."""
    return Response(msgspec.json.encode(request.app.openapi_schema.to_schema()), media_type=MediaType.JSON)


_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;font-size:1.1rem;overflow-wrap:anywhere}code,pre{font:.9em ui-monospace,monospace}
pre{overflow:auto;padding:1rem;border:1px solid #8886;border-radius:.5rem}b{display:inline-block;min-width:3.5rem}
table{border-collapse:collapse;width:100%}td{padding:.25rem .5rem;border-top:1px solid #8884;vertical-align:top}
"""


@get("/docs", include_in_schema=False, media_type=MediaType.HTML, sync_to_thread=False)
def docs_page(request: Request[Any, Any, Any]) -> Response[str]:
    """The API's description for people: every call, its fields and its answers."""
    schema = request.app.openapi_schema.to_schema()
    parts = [f"<h1>Ledgate API {html.escape(str(schema['info']['version']))}</h1>"]
    parts.append(f"<p>{html.escape(schema['info']['description'])} <a href='/openapi.json'>openapi.json</a></p>")
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            parts.append(f"<h2><b>{method.upper()}</b> <code>{html.escape(path)}</code></h2>")
            parts.append(f"<p>{html.escape(operation.get('description') or operation.get('summary') or '')}</p>")
            parts.append(_fields(schema, operation))
            parts.append(_answers(operation))
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Ledgate API</title><style>{_STYLE}</style>{''.join(parts)}</html>"
    )
    return Response(page, headers=headers, media_type=MediaType.HTML)


def _fields(schema: dict[str, Any], operation: dict[str, Any]) -> str:
    rows = [(p["name"], f"{p['in']}: {p.get('description') or ''}") for p in operation.get("parameters", [])]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if reference := content.get("$ref"):
        body = schema["components"]["schemas"][reference.rsplit("/", 1)[1]]
        required = set(body.get("required", []))
        rows += [
            (name, f"body{', required' if name in required else ''}: {field.get('description') or ''}")
            for name, field in body["properties"].items()
        ]
    cells = "".join(f"<tr><td><code>{html.escape(n)}</code></td><td>{html.escape(t)}</td></tr>" for n, t in rows)
    return f"<table>{cells}</table>" if cells else ""


def _answers(operation: dict[str, Any]) -> str:
    lines = [f"{code}  {answer.get('description', '')}" for code, answer in sorted(operation["responses"].items())]
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
