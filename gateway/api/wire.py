"""JSON in, strictly; every refusal out, in one shape."""

from __future__ import annotations

import math
import re
import traceback
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
import psycopg
import structlog
from litestar import MediaType, Response
from litestar.dto import AbstractDTO, DTOConfig
from litestar.exceptions import HTTPException, ValidationException

from gateway import errors
from kit.db import AWAY

if TYPE_CHECKING:
    from collections.abc import Generator

    from litestar import Request
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

    from gateway.errors import LedgateError

log = structlog.get_logger()
T = TypeVar("T")

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING_FIELD = re.compile(r"Object missing required field `([^`]*)`")
_FRAMEWORK = {
    404: (errors.NotFoundError, "there is nothing at this path"),
    405: (errors.MethodNotAllowedError, "this path does not take this method"),
    413: (errors.PayloadTooLargeError, "the body is larger than the limit"),
    415: (errors.UnsupportedMediaTypeError, "send the body as application/json"),
}


class StrictJson(AbstractDTO[T]):
    """A JSON body decoded straight into its struct: no coercion, no unknown fields, errors that name the field."""

    config: ClassVar[DTOConfig] = DTOConfig()
    _decoders: ClassVar[dict[str, msgspec.json.Decoder[Any]]] = {}

    def decode_bytes(self, value: bytes) -> Any:
        """Decode the body.

        Raises:
            UnsupportedMediaTypeError: the body is not declared as JSON.
            BadRequestError: it is no JSON, or not of this shape.
        """
        content_type = self.asgi_connection.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise errors.UnsupportedMediaTypeError("send the body with Content-Type: application/json")
        return decode(self._decoders[self.asgi_connection.route_handler.handler_id], value)

    def decode_builtins(self, value: dict[str, Any]) -> Any:
        """Litestar offers forms here; there are none.

        Raises:
            UnsupportedMediaTypeError: always.
        """
        raise errors.UnsupportedMediaTypeError("send the body with Content-Type: application/json")

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Called once for each route."""
        cls._decoders[handler_id] = msgspec.json.Decoder(field_definition.annotation)

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """The schema of the struct itself."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Nothing: the struct says it all."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Nothing is nested by this class."""
        return False


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode JSON strictly.

    Raises:
        BadRequestError: naming the field. It never repeats a value, which may be a card number.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.BadRequestError("the body is not valid JSON", reason="json_invalid") from None


def _explain(message: str) -> errors.BadRequestError:
    reason, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".") or None
    if found := _UNKNOWN_FIELD.match(reason):
        field = f"{field}.{found[1]}" if field else found[1]
        return errors.BadRequestError(f"{field} is not a field of this request", field=field, reason="field_unknown")
    if found := _MISSING_FIELD.match(reason):
        field = f"{field}.{found[1]}" if field else found[1]
        return errors.BadRequestError(f"{field} is missing", field=field, reason="field_missing")
    text = reason[0].lower() + reason[1:]
    return errors.BadRequestError(f"{field or 'body'}: {text}", field=field, reason="field_invalid")


def render(request: Request[Any, Any, Any], error: LedgateError) -> Response[bytes]:
    """The one place where an error becomes a response."""
    headers = {}
    if isinstance(error, errors.UnauthorizedError):
        headers["WWW-Authenticate"] = 'Basic realm="Ledgate"'
    if isinstance(error, errors.UnavailableError):
        headers["Retry-After"] = "1"
    if isinstance(error, errors.RateLimitedError):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
        request.scope["state"]["rate"] = error.rate
    request.scope["state"]["error_code"] = error.code
    body = msgspec.json.encode(error.body(request.scope["state"].get("request_id", "")))
    return Response(body, status_code=error.status, media_type=MediaType.JSON, headers=headers)


def on_refusal(request: Request[Any, Any, Any], error: LedgateError) -> Response[bytes]:
    """A refusal of ours."""
    return render(request, error)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """A refusal of the framework: no such route, wrong parameters, too large a body."""
    if error.status_code in _FRAMEWORK:
        kind, description = _FRAMEWORK[error.status_code]
        return render(request, kind(description))
    if error.status_code >= 500:  # noqa: PLR2004 - RFC 9110
        return on_failure(request, error)
    field = None
    description = "the request is not valid"
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        first = error.extra[0]
        field, description = first.get("key"), f"{first.get('key')}: {first.get('message')}"
    return render(request, errors.BadRequestError(description, field=field, reason="parameter_invalid"))


def on_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Anything else: the database away is a 503, the rest is our fault. Messages stay in: they may hold a row."""
    if isinstance(error, AWAY):
        description = (
            "the database is not reachable; nothing was done, or all of it: retry with the same Idempotency-Key"
        )
        return render(request, errors.UnavailableError(description))
    log.error(
        "request.failed",
        error=type(error).__name__,
        sqlstate=error.sqlstate if isinstance(error, psycopg.Error) else None,
        constraint=error.diag.constraint_name if isinstance(error, psycopg.Error) else None,
        where="".join(traceback.format_tb(error.__traceback__, limit=-6)),
        request_id=request.scope["state"].get("request_id"),
    )
    return render(request, errors.InternalError("something went wrong on our side"))
