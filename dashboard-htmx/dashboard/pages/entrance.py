"""The way in: by password, second factor, link, or for the first time by an API key; and the way out."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.response import Redirect
from msgspec import Meta

from dashboard import addresses, cookies, forms, sessions, signing_in
from dashboard.admission import ANYBODY, USER, Visit, visit_of
from dashboard.render import go, render, say
from dashboard.sessions import Session
from dashboard.signing_in import Browser
from gateway import audit, demo, passwords, users
from gateway.audit import OPERATORS
from gateway.errors import BadRequestError, LedgateError

AnyRequest = Request[Any, Any, Any]
Short = Annotated[str, Meta(max_length=300)]


class SignIn(msgspec.Struct, frozen=True):
    """The sign-in form."""

    email: Short = ""
    password: Short = ""
    next: Annotated[str, Meta(max_length=2000)] = ""


class Code(msgspec.Struct, frozen=True):
    """The second factor."""

    code: Annotated[str, Meta(max_length=60)] = ""


class Key(msgspec.Struct, frozen=True):
    """An API key with its secret."""

    key_id: Short = ""
    secret: Short = ""


class FirstOwner(msgspec.Struct, frozen=True):
    """The first user of a merchant."""

    name: Short = ""
    email: Short = ""
    password: Short = ""


class NewPassword(msgspec.Struct, frozen=True):
    """A password, chosen by a link."""

    token: Annotated[str, Meta(max_length=200)] = ""
    password: Short = ""


@get("/", opt=ANYBODY, sync_to_thread=False)
def front_door() -> Redirect:
    """There is nothing but the dashboard here."""
    return Redirect(addresses.HOME, status_code=303)


@get("/login", opt=ANYBODY)
async def show_sign_in(request: AnyRequest) -> Response[Any]:
    """The sign-in page; who is signed in goes on."""
    visit = visit_of(request)
    wanted = request.query_params.get("next", "")
    if visit.session is not None and visit.session.signed_in:
        return Redirect(addresses.safe(wanted), status_code=303)
    return _sign_in_page(request, SignIn(next=wanted))


@post("/login", opt=ANYBODY)
async def sign_in(request: AnyRequest) -> Response[Any]:
    """By e-mail address and password."""
    form = await forms.read(request, SignIn)
    visit = visit_of(request)
    try:
        email = users.read_email(form.email)
        if not form.password:
            raise BadRequestError("Enter your password.", field="password")
        known = cookies.read_known(request, _gateway(request).config, _gateway(request).sealer, email)
        browser = _browser(request)._replace(known=known)
        token = await signing_in.by_password(_gateway(request), browser, email, form.password, form.next)
    except LedgateError as error:
        return _sign_in_page(request, form, error)
    await _leave(request, visit)
    async with _gateway(request).database.connection(reading=True) as conn:
        session = await sessions.find(conn, _gateway(request).config, token)
    if session is not None and session.stage == "second":
        return _enter(request, token, "/login/code")
    return _enter(request, token, _home(session, form.next), session)


@get("/login/code", opt=ANYBODY)
async def show_code(request: AnyRequest) -> Response[Any]:
    """Ask for the second factor."""
    return Redirect(addresses.SIGN_IN, status_code=303) if _staged(request, "second") is None else _code_page(request)


@post("/login/code", opt=ANYBODY)
async def send_code(request: AnyRequest) -> Response[Any]:
    """Prove the second factor."""
    session = _staged(request, "second")
    if session is None:
        return Redirect(addresses.SIGN_IN, status_code=303)
    form = await forms.read(request, Code)
    try:
        token = await signing_in.by_second_factor(_gateway(request), _browser(request), session, form.code)
    except LedgateError as error:
        return _code_page(request, error)
    async with _gateway(request).database.connection(reading=True) as conn:
        full = await sessions.find(conn, _gateway(request).config, token)
    return _enter(request, token, _home(full, session.next_path or ""), full)


@get("/login/key", opt=ANYBODY)
async def show_key(request: AnyRequest) -> Response[Any]:
    """Ask for an API key: the first time, when the merchant has no user yet."""
    return render(request, "sign_in_key.html", form=Key(), error=None)


@post("/login/key", opt=ANYBODY)
async def send_key(request: AnyRequest) -> Response[Any]:
    """Come in with an API key."""
    form = await forms.read(request, Key)
    try:
        token = await signing_in.by_key(_gateway(request), _browser(request), form.key_id.strip(), form.secret.strip())
    except LedgateError as error:
        return render(request, "sign_in_key.html", form=form, error=error)
    await _leave(request, visit_of(request))
    return _enter(request, token, "/login/setup")


@get("/login/setup", opt=ANYBODY)
async def show_setup(request: AnyRequest) -> Response[Any]:
    """Ask who the first owner is."""
    session = _staged(request, "setup")
    if session is None:
        return Redirect("/login/key", status_code=303)
    return render(request, "sign_in_setup.html", form=FirstOwner(), error=None, merchant=session.merchant_name)


@post("/login/setup", opt=ANYBODY)
async def send_setup(request: AnyRequest) -> Response[Any]:
    """Make the first owner, who is signed in with it."""
    session = _staged(request, "setup")
    if session is None:
        return Redirect("/login/key", status_code=303)
    form = await forms.read(request, FirstOwner)
    try:
        token = await signing_in.make_owner(
            _gateway(request),
            _browser(request),
            session,
            email=users.read_email(form.email),
            name=users.read_name(form.name),
            password=form.password,
        )
    except BadRequestError as error:
        return render(request, "sign_in_setup.html", form=form, error=error, merchant=session.merchant_name)
    say(request, f"Welcome. You are the owner of {session.merchant_name}.")
    return _enter(request, token, addresses.HOME)


@get("/login/link", opt=ANYBODY)
async def show_link(request: AnyRequest) -> Response[Any]:
    """Ask for the password that the user chooses by a link."""
    return await _link_page(request, request.query_params.get("token", ""))


@post("/login/link", opt=ANYBODY)
async def send_link(request: AnyRequest) -> Response[Any]:
    """Set the password that the user has chosen, and sign in."""
    form = await forms.read(request, NewPassword)
    try:
        token = await signing_in.by_link(_gateway(request), _browser(request), form.token, form.password)
    except BadRequestError as error:
        return await _link_page(request, form.token, error)
    if token is None:
        return await _link_page(request, form.token)
    await _leave(request, visit_of(request))
    async with _gateway(request).database.connection(reading=True) as conn:
        session = await sessions.find(conn, _gateway(request).config, token)
    if session is not None and session.stage == "second":
        return _enter(request, token, "/login/code")
    say(request, "Your password is set.")
    return _enter(request, token, _home(session, ""), session)


@post("/logout", opt=USER)
async def sign_out(request: AnyRequest) -> Response[Any]:
    """End the session; its cookie opens nothing any more."""
    visit = visit_of(request)
    me = visit.me
    scope = me.merchant.scope if me.role is not None else OPERATORS
    async with _gateway(request).database.transaction() as conn:
        await sessions.end(conn, me)
        await audit.note(conn, scope, visit.actor, "session.ended", me.user_id or "")
    say(request, "You are signed out.", "info")
    response = go(request, addresses.SIGN_IN)
    response.cookies.append(cookies.no_session(_gateway(request).config))
    return response


def _sign_in_page(request: AnyRequest, form: SignIn, error: LedgateError | None = None) -> Response[Any]:
    test_mode = _gateway(request).config.test_mode
    shown = demo.USERS if test_mode else ()
    return render(request, "sign_in.html", form=form, error=error, demo_users=shown, demo_password=demo.PASSWORD)


def _code_page(request: AnyRequest, error: LedgateError | None = None) -> Response[Any]:
    return render(request, "sign_in_code.html", error=error)


async def _link_page(request: AnyRequest, token: str, error: LedgateError | None = None) -> Response[Any]:
    async with _gateway(request).database.connection(reading=True) as conn:
        known = await users.find_link(conn, token) if token else None
    status = None if error or known else 404
    return render(
        request, "sign_in_link.html", status=status, known=known, token=token, error=error, least=passwords.LEAST
    )


def _staged(request: AnyRequest, stage: str) -> Session | None:
    session = visit_of(request).session
    return session if session is not None and session.stage == stage else None


def _home(session: Session | None, wanted: str) -> str:
    """Where to go: whoever may see no merchant's pages is an operator, or has an account at least."""
    goal = addresses.safe(wanted)
    if session is not None and session.role is not None:
        return goal
    if session is not None and session.operator:
        return goal if goal.startswith(addresses.OPERATIONS) else addresses.OPERATIONS
    return "/dashboard/account"


async def _leave(request: AnyRequest, visit: Visit) -> None:
    """The browser's session from before ends: it has a better one now."""
    if visit.session is not None:
        async with _gateway(request).database.connection() as conn:
            await sessions.end(conn, visit.session)


def _enter(request: AnyRequest, token: str, path: str, session: Session | None = None) -> Response[Any]:
    gateway, response = _gateway(request), go(request, path)
    response.cookies.append(cookies.session(gateway.config, token))
    if session is not None and session.signed_in and session.email:
        response.cookies.append(cookies.known(gateway.config, gateway.sealer, session.email))
    return response


def _gateway(request: AnyRequest) -> Any:
    return request.app.state.gateway


def _browser(request: AnyRequest) -> Browser:
    return Browser(visit_of(request).address, request.headers.get("user-agent", ""))


HANDLERS = (
    front_door,
    show_sign_in,
    sign_in,
    show_code,
    send_code,
    show_key,
    send_key,
    show_setup,
    send_setup,
    show_link,
    send_link,
    sign_out,
)
