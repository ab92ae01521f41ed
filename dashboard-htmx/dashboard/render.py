"""Turn a template into an answer: the whole page, or the part of it that htmx asks for; and where to go on to."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.response import Redirect

from dashboard import addresses, assets, cookies, navigation, words, zones
from dashboard.admission import FIELD, HEADER, csrf_token
from dashboard.cookies import Flash
from gateway.errors import RateLimitedError

if TYPE_CHECKING:
    from litestar import Request

    from dashboard.admission import Visit

_MAIN = "main"


@functools.cache
def environment() -> Environment:
    """The templates. Every value is escaped; there is no `|safe` in them (a test looks)."""
    made = Environment(
        loader=PackageLoader("dashboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(words.FILTERS)
    made.globals["ui"] = made.get_template("ui.html").module
    return made


def is_part(request: Request[Any, Any, Any]) -> bool:
    """Whether htmx asks for a part of a page. What it restores from the history is a whole page."""
    headers = request.headers
    return headers.get("hx-request") == "true" and headers.get("hx-history-restore-request") != "true"


def render(
    request: Request[Any, Any, Any], name: str, *, status: int | None = None, part: str = "", **context: object
) -> Response[str]:
    """Answer a page, or, to htmx, one block of it.

    The block is the one that is called like the element that htmx is about to swap (`hx-target="#deliveries"` is
    `{% block deliveries %}`, a hyphen is an underscore), or else `main`.

    Args:
        request: who asks.
        name: the template, `payments.html`; it extends `base.html`.
        status: of the answer; without it, by the context's `error`: 200, 422 for a form that cannot be right, 429.
            htmx swaps 2xx and 422.
        part: the block, where the target's name is not it.
        **context: what the template shows.
    """
    state, gateway = request.scope["state"], request.app.state.gateway
    visit: Visit | None = state.get("visit")
    session = visit.session if visit and visit.session and visit.session.signed_in else None
    came = cookies.read_flash(request, gateway.sealer)
    values = {
        "me": session,
        "nav": navigation.shown(session) if session else [],
        "here": navigation.current(request.scope["path"]),
        "path": addresses.page(request),
        "csrf": csrf_token(gateway.sealer, visit.token) if visit else "",
        "csrf_field": FIELD,
        "csrf_header": HEADER,
        "flashes": [*came, *state.pop("flashes", [])],
        "theme": cookies.read_theme(request),
        "again": request.method == "GET" and not came,  # whether nothing is lost if it is fetched twice (first.js)
        "clock": zones.name(),
        "static": assets.base(),
        "test_mode": gateway.config.test_mode,
    } | context
    template = environment().get_template(name)
    if is_part(request):
        block = _block(part or request.headers.get("hx-target", ""), template.blocks)
        html = "".join(template.blocks[block](template.new_context(values)))
        if values["flashes"]:
            html += environment().get_template("toasts.html").render(values)
    else:
        html = template.render(values)
    error = context.get("error")
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if isinstance(error, RateLimitedError) else {}
    if status is None:
        status = 200 if error is None else 429 if isinstance(error, RateLimitedError) else 422
    set_cookies = [cookies.session(gateway.config, visit.token)] if visit and visit.new else []
    if came:
        set_cookies.append(cookies.no_flash(gateway.config))
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=headers, cookies=set_cookies)


def _block(wanted: str, blocks: Any) -> str:
    name = wanted.replace("-", "_")
    return name if name in blocks else _MAIN


def say(request: Request[Any, Any, Any], text: str, kind: str = "good") -> None:
    """Let the page that this request ends with say something once, in a corner. `kind`: `good`, `bad` or `info`."""
    request.scope["state"].setdefault("flashes", []).append(Flash(kind, text))


def go(request: Request[Any, Any, Any], path: str) -> Redirect:
    """After a form: show that page, which says what became of it. htmx follows, and swaps its part of it."""
    gateway, state = request.app.state.gateway, request.scope["state"]
    flashes = [*cookies.read_flash(request, gateway.sealer), *state.pop("flashes", [])]
    made = Redirect(path, status_code=303)
    if flashes:
        made.cookies.append(cookies.flash(gateway.config, gateway.sealer, flashes[-3:]))
    return made
