"""Who may ask for what: the one place where sessions, roles and forms are judged, before any page sees a request.

A route says what it needs in `opt`: `@post("/dashboard/…", opt=OWNER)`. One that says nothing needs a viewer to look
(GET) and a developer to act (everything else).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
from litestar.response import Redirect

from dashboard import addresses, cookies, sessions, zones
from dashboard.sessions import Session
from gateway.audit import Actor
from gateway.checkout import visitors
from gateway.errors import BadRequestError, ForbiddenError, LedgateError, NotFoundError, UnauthorizedError
from gateway.merchants import Merchant

if TYPE_CHECKING:
    from litestar import Request
    from litestar.connection import ASGIConnection

    from gateway.config import Config
    from gateway.users import Role
    from kit.seal import Sealer

PUBLIC: Final = {"need": "public"}
"""Files and health: nobody is asked for."""
ANYBODY: Final = {"need": "anybody"}
"""Pages before the sign-in."""
USER: Final = {"need": "user"}
"""Signed in, whatever for: what concerns the user alone."""
VIEWER: Final = {"need": "viewer"}
DEVELOPER: Final = {"need": "developer"}
OWNER: Final = {"need": "owner"}
OPERATOR: Final = {"need": "operator"}

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FIELD, HEADER = "csrf", "x-csrf-token"
LIVE = "x-live"
"""The header by which the script tells what a page asks for by itself."""
_SEEN_AFTER = 60  # seconds
_PURPOSE = b"dashboard form\n"


class NeedsSignInError(LedgateError):
    """Nobody is signed in; `refusals` leads to the sign-in page."""

    status = 401
    code = "UNAUTHORIZED"

    def __init__(self) -> None:
        super().__init__("sign in first", reason="session_missing")


class Visit(msgspec.Struct):
    """A request, as far as it is known who sends it."""

    token: str
    """The browser's cookie, or one that it is about to get."""
    new: bool
    """Whether the browser has still to be given it."""
    session: Session | None
    address: str

    @property
    def me(self) -> Session:
        """Who is signed in.

        Raises:
            UnauthorizedError: nobody. No page that needs anybody gets here.
        """
        if self.session is None or not self.session.signed_in:
            raise UnauthorizedError("sign in first", reason="session_missing")
        return self.session

    @property
    def merchant(self) -> Merchant:
        """Whose pages are shown."""
        return self.me.merchant

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit log."""
        return Actor(self.me.user_id, self.me.email or "", self.address)


def visit_of(request: ASGIConnection[Any, Any, Any, Any]) -> Visit:
    """The visit that `admit` found."""
    found: Visit = request.scope["state"]["visit"]
    return found


def csrf_token(sealer: Sealer, token: str) -> str:
    """What every form of this browser carries: nobody else can know it, and it changes with the cookie."""
    return sealer.fingerprint(_PURPOSE + token.encode())


async def admit(request: Request[Any, Any, Any]) -> Redirect | None:
    """Litestar's `before_request`: find the session, judge form and role, leave a `Visit`.

    An operator who looks at no merchant has another home, and is led there.

    Raises:
        BadRequestError: a query that no page has.
        NotFoundError: a path that nothing has.
        NeedsSignInError: nobody is signed in, and the route needs somebody.
        ForbiddenError: a form that is not from our page (`csrf_wrong`), or a role that may not (`role_missing`).
    """
    need = _need(request)
    if need == "public":
        return None
    zones.take(request)
    gateway = request.app.state.gateway
    token = cookies.read_token(request, gateway.config)
    address = visitors.address(request, gateway.config.proxies)
    state = request.scope["state"]
    if "rate" not in state:  # it is not run again after an outage
        state["rate"] = request.app.state.visits.take(address)
    session = await _find(request, token) if token else None
    state["visit"] = visit = Visit(token or cookies.new_token(), not token, session, address)
    _refuse_nul(request)
    if request.method not in SAFE:
        await _judge_form(request, visit)
    if need != "anybody":
        if session and session.signed_in and session.operator and not session.role and _is_home(request):
            return Redirect(addresses.OPERATIONS, status_code=303)
        _judge_role(visit, need)
        state["merchant_id"] = visit.me.merchant_id
    return None


def _refuse_nul(request: Request[Any, Any, Any]) -> None:
    """No text of the database holds a NUL: nothing is called so, and nothing can be looked for."""
    if "\0" in request.scope["path"]:
        raise NotFoundError("there is nothing at this path")
    query = request.scope["query_string"]
    if b"%00" in query or b"\0" in query:
        raise BadRequestError("The address of this page is not right.", reason="parameter_invalid")


def _is_home(request: Request[Any, Any, Any]) -> bool:
    return request.method in SAFE and request.scope["path"].rstrip("/") == addresses.HOME


def _need(request: Request[Any, Any, Any]) -> str:
    return str(request.route_handler.opt.get("need") or ("viewer" if request.method in SAFE else "developer"))


async def _find(request: Request[Any, Any, Any], token: str) -> Session | None:
    gateway = request.app.state.gateway
    async with gateway.database.connection(reading=True) as conn:
        session = await sessions.find(conn, gateway.config, token)
        if session is not None and session.signed_in and session.idle > _SEEN_AFTER and not _by_itself(request):
            await conn.execute(sessions.SQL["see_session"], {"id": session.id})
    return session


def _by_itself(request: Request[Any, Any, Any]) -> bool:
    """Whether a page asks that stands open, and nobody sits before it: or no session would ever end by idleness."""
    return LIVE in request.headers or request.scope["path"].rstrip("/").endswith("/live")


async def _judge_form(request: Request[Any, Any, Any], visit: Visit) -> None:
    gateway = request.app.state.gateway
    if not _from_our_page(request, gateway.config):
        raise ForbiddenError("This form came from another site.", reason="csrf_wrong")
    given = request.headers.get(HEADER) or str((await request.form()).get(FIELD, ""))
    known = not visit.new and _is_token(gateway.sealer, visit.token, given)
    if not known:
        raise ForbiddenError("This form has run out. Go back, load the page anew and try again.", reason="csrf_wrong")


def _is_token(sealer: Sealer, token: str, given: str) -> bool:
    return given.isascii() and (
        hmac.compare_digest(given, csrf_token(sealer, token))
        or sealer.has_fingerprint(_PURPOSE + token.encode(), given)
    )


def _from_our_page(request: Request[Any, Any, Any], config: Config) -> bool:
    """What browsers say of their own accord; one that says nothing is judged by the form's token alone."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    if config.dashboard_url:
        return origin == config.dashboard_origin
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:
        return False


def _judge_role(visit: Visit, need: str) -> None:
    session = visit.session
    if session is None or not session.signed_in:
        raise NeedsSignInError
    if need == "user":
        return
    if need == "operator":
        if not session.operator:
            raise ForbiddenError("This page is for operators.", reason="role_missing")
        return
    role: Role = need  # type: ignore[assignment]
    if session.role is None:
        raise ForbiddenError("You work for no merchant here. Ask an owner to add you.", reason="no_merchant")
    if not session.may(role):
        text = (
            f"Your role is {session.role}; this needs {_article(role)} {role}. Ask an owner of {session.merchant_name}."
        )
        raise ForbiddenError(text, reason="role_missing")


def _article(role: Role) -> str:
    return "an" if role == "owner" else "a"
