"""One tree of refusals. `code` is a promise to clients; the docstring says when it is given."""

from __future__ import annotations

from typing import Any, ClassVar


class LedgateError(Exception):
    """A refusal that a client can understand."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, description: str, *, field: str | None = None, reason: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.field = field
        self.reason = reason

    def body(self, request_id: str) -> dict[str, Any]:
        """The error as JSON shows it; absent parts are left out."""
        error = {
            "code": self.code,
            "description": self.description,
            "field": self.field,
            "reason": self.reason,
        }
        return {"error": {k: v for k, v in error.items() if v is not None} | {"request_id": request_id}}


class InternalError(LedgateError):
    """Something went wrong on our side; it is logged under the request's id."""


class BadRequestError(LedgateError):
    """The request cannot be understood, or asks for what may not be."""

    status = 400
    code = "BAD_REQUEST_ERROR"


class UnauthorizedError(LedgateError):
    """The API key or its secret is missing, wrong or revoked."""

    status = 401
    code = "UNAUTHORIZED"


class ForbiddenError(LedgateError):
    """The API key is right, but lacks the scope that this call needs."""

    status = 403
    code = "FORBIDDEN"


class NotFoundError(LedgateError):
    """There is no such thing, or it is another merchant's."""

    status = 404
    code = "NOT_FOUND"


class MethodNotAllowedError(LedgateError):
    """The path exists, but not with this HTTP method."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class PayloadTooLargeError(LedgateError):
    """The request's body is larger than the limit."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaTypeError(LedgateError):
    """The request's body is not `application/json`."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"


class IdempotencyKeyReusedError(LedgateError):
    """The Idempotency-Key was used within 24 hours for another request."""

    status = 422
    code = "IDEMPOTENCY_KEY_REUSED"


class RequestTimeoutError(LedgateError):
    """The request did not arrive in full within its time."""

    status = 408
    code = "REQUEST_TIMEOUT"


class HeadersTooLargeError(LedgateError):
    """The request's headers are larger than the limit."""

    status = 431
    code = "HEADERS_TOO_LARGE"


class RateLimitedError(LedgateError):
    """Too many requests of this API key, or too many wrong credentials; `Retry-After` says when to come back."""

    status = 429
    code = "RATE_LIMITED"

    def __init__(self, description: str, *, retry_after: float, rate: tuple[int, int, int]) -> None:
        super().__init__(description, reason="rate_limited")
        self.retry_after = retry_after
        """Seconds."""
        self.rate = rate
        """Limit, remaining, seconds to reset."""


class UnavailableError(LedgateError):
    """The database is away or overloaded; nothing was half done. With an Idempotency-Key, a retry is safe."""

    status = 503
    code = "UNAVAILABLE"
