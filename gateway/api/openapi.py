"""The API's description, made true: Litestar's outline, with every shape as msgspec enforces it."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

import msgspec

from gateway import errors
from gateway.api.examples import EXAMPLES, Example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestar import Litestar

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_EVERYWHERE = (
    errors.RequestTimeoutError,
    errors.HeadersTooLargeError,
    errors.RateLimitedError,
    errors.InternalError,
    errors.UnavailableError,
)
"""What any call with credentials may be refused with, besides its own."""
_RATE_HEADERS = {
    "RateLimit-Limit": "Requests of this API key that may come at once",
    "RateLimit-Remaining": "How many of them are left",
    "RateLimit-Reset": "Seconds until all are there again",
}
_GOOD = range(200, 300)


def describe(app: Litestar) -> Json:
    """The whole document, OpenAPI 3.1."""
    schema: Json = app.openapi_schema.to_schema()
    schema["components"]["schemas"] = _shapes(set(schema["components"]["schemas"]))
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    schema["components"]["headers"] = {
        name: {"description": text, "schema": {"type": "integer", "minimum": 0}} for name, text in _RATE_HEADERS.items()
    } | {
        "X-Request-Id": {"description": "Names the request; our log has it too", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 0}},
        "Idempotent-Replayed": {
            "description": "`true`: the stored answer of the first request with this Idempotency-Key",
            "schema": {"type": "string", "enum": ["true"]},
        },
    }
    return schema


def _complete(path: str, method: str, operation: Json) -> None:
    public = "Service" in operation.get("tags", ())
    if public:
        operation["security"] = []
    for parameter in operation.get("parameters", ()):
        _complete_parameter(parameter)
    responses = operation["responses"]
    for kind in () if path.startswith("/health") else _EVERYWHERE:
        responses.setdefault(str(kind.status), _refusal(kind))
    if public:  # no parameters, no credentials, nothing to be wrong about
        for status in ("400", "401", "403", "404"):
            responses.pop(status, None)
    for status, response in responses.items():
        _complete_response(int(status), response, rated=not public, post=method == "post")
    if example := EXAMPLES.get((method, path)):
        _show(example, operation)


def _complete_response(status: int, response: Json, *, rated: bool, post: bool) -> None:
    headers = ["X-Request-Id", *(_RATE_HEADERS if rated else ())]
    if status in {errors.RateLimitedError.status, errors.UnavailableError.status}:
        headers.append("Retry-After")
    if post and status in _GOOD:
        headers.append("Idempotent-Replayed")
    response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    if response.get("description", "").startswith("Request fulfilled"):
        response["description"] = "As it is now"


def _show(example: Example, operation: Json) -> None:
    if example.request is not None:
        content = operation["requestBody"]["content"]["application/json"]
        content["examples"] = {name: {"value": value} for name, value in example.request.items()}
    if example.response is not None:
        operation["responses"][str(example.status)]["content"]["application/json"]["example"] = example.response


def _refusal(kind: type[errors.LedgateError]) -> Json:
    return {
        "description": f"`{kind.code}`: {kind.__doc__}",
        "content": {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}},
    }


def _complete_parameter(parameter: Json) -> None:
    """A parameter is there or not; it is never null. Its bounds belong to its type."""
    shape = parameter["schema"]
    for choices in ("oneOf", "anyOf"):
        if choices in shape:
            kinds = [one for one in shape.pop(choices) if one != {"type": "null"}]
            shape.update(kinds[0] if len(kinds) == 1 else {choices: kinds})
    if isinstance(shape.get("type"), list):
        shape["type"] = next(one for one in shape["type"] if one != "null")
    if "enum" in shape:
        shape["enum"] = [one for one in shape["enum"] if one is not None]
    if parameter["name"] == "Idempotency-Key":
        shape |= {"minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"}
    for bound in ("minimum", "maximum", "minLength", "maxLength"):
        if bound in shape:
            shape[bound] = int(shape[bound])  # Litestar has 1.0
    if "pattern" in shape:
        shape["pattern"] = shape["pattern"].replace("\\Z", "$").replace("^^", "^")  # as ECMA-262 has it
    shape.pop("description", None)


def _shapes(names: set[str]) -> Json:
    """Each struct as msgspec checks and writes it, with the texts under its fields."""
    structs: dict[str, type] = {one.__name__: one for one in _structs(msgspec.Struct) if one.__name__ in names}
    missing = names - structs.keys()
    if missing:
        raise AssertionError(f"no struct of ours: {missing}")
    _, shapes = msgspec.json.schema_components(structs.values(), ref_template=_REF)
    known: dict[str, type] = {one.__name__: one for one in _structs(msgspec.Struct)}
    for name, shape in shapes.items():
        for field, text in _field_texts(known[name]).items() if name in known else ():
            told = shape.get("properties", {}).get(field)
            if told is not None and "description" not in told:
                told["description"] = text
    return dict(sorted(shapes.items()))


def _structs(base: type) -> Iterator[type]:
    children: list[type] = base.__subclasses__()
    for one in children:
        if one.__module__.startswith(("gateway.", "outbox.")):
            yield one
        yield from _structs(one)


@functools.cache
def _field_texts(struct: type) -> dict[str, str]:
    """Field -> the string that stands under it in the source."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - the source of a class
    texts: dict[str, str] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                texts[name] = " ".join(said.split())
            case _:
                pass
    return texts
