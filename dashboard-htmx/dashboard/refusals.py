"""Refusals as people read them: a page in the look of all others, or one line for a part of a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import psycopg
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from psycopg_pool import PoolTimeout

from dashboard import addresses
from dashboard.admission import NeedsSignInError
from dashboard.render import render
from gateway import errors
from gateway.api import wire
from gateway.errors import LedgateError

if TYPE_CHECKING:
    from litestar.types import Scope, Send

_TITLES = {
    400: "That did not work",
    403: "You may not do that",
    404: "There is nothing here",
    405: "There is no page here",
    408: "That took too long",
    413: "That is too much",
    415: "That did not work",
    429: "Too many at once",
    431: "That is too much",
    503: "One moment, please",
}
_TEXTS = {
    404: "The page or the object does not exist, or belongs to another merchant.",
    503: "The database does not answer right now. Nothing was done, or all of it; try again in a moment.",
}


def on_sign_in(request: Request[Any, Any, Any], _error: NeedsSignInError) -> Response[Any]:
    """To the sign-in page, and from there back to where the user wanted to go."""
    if request.headers.get("hx-request"):
        where = addresses.sign_in(addresses.shown(request))
        return Response("", status_code=401, headers={"HX-Redirect": where}, media_type=MediaType.HTML)
    wanted = addresses.own(request) if request.method == "GET" else ""
    return Redirect(addresses.sign_in(wanted), status_code=303)


def on_refusal(request: Request[Any, Any, Any], error: LedgateError) -> Response[Any]:
    """A refusal of ours."""
    state = request.scope["state"]
    state["error_code"] = error.code
    headers = {}
    if isinstance(error, errors.UnavailableError):
        headers["Retry-After"] = "1"
    if isinstance(error, errors.RateLimitedError):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    text = _TEXTS.get(error.status, _sentence(error.description))
    title = _TITLES.get(error.status, "Something went wrong on our side")
    if request.headers.get("hx-request"):
        return Response(text, status_code=error.status, media_type=MediaType.TEXT, headers=headers)
    request_id = state.get("request_id", "")
    response = render(request, "error.html", status=error.status, title=title, text=text, request_id=request_id)
    response.headers.update(headers)
    return response


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """A refusal of the framework: no such page, wrong parameters, too large a body."""
    kinds: dict[int, LedgateError] = {
        404: errors.NotFoundError("there is nothing here"),
        405: errors.MethodNotAllowedError("there is nothing here"),
        413: errors.PayloadTooLargeError("The form is larger than what is taken."),
    }
    if error.status_code >= 500:  # noqa: PLR2004 - RFC 9110
        return on_failure(request, error)
    return on_refusal(request, kinds.get(error.status_code, errors.BadRequestError("The request is not valid.")))


def on_failure(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Anything else: the database away is a 503, the rest is our fault; logged as the API's."""
    told = wire.on_failure(request, error)
    if told.status_code == 503:  # noqa: PLR2004
        return on_refusal(request, errors.UnavailableError(_TEXTS[503]))
    return on_refusal(request, errors.InternalError("It is logged under the number below; tell it to your operator."))


async def refuse(scope: Scope, send: Send, error: LedgateError, *more: tuple[bytes, bytes]) -> None:
    """What is refused before any page is asked, such as a method that a path does not take."""
    request: Request[Any, Any, Any] = Request(scope, send=send)
    if isinstance(error, errors.MethodNotAllowedError) and request.method == "GET":
        error = errors.MethodNotAllowedError("This address only takes what a page's form sends. Go back to that page.")
    response = on_refusal(request, error)
    response.headers.update({name.decode(): value.decode() for name, value in more})
    answer = response.to_asgi_response(None, request, is_head_response=request.method == "HEAD")
    await answer(scope, request.receive, send)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


HANDLERS: dict[Any, Any] = {
    NeedsSignInError: on_sign_in,
    LedgateError: on_refusal,
    HTTPException: on_http,
    psycopg.Error: on_failure,
    PoolTimeout: on_failure,
    Exception: on_failure,
}
