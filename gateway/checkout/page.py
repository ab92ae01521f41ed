"""The page: the order, its form, its state, in HTML that stands before any script has run."""

from __future__ import annotations

import functools
import gzip
import html
import secrets
from importlib import resources
from string import Template
from typing import Any, NamedTuple

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.params import FromQuery

from gateway import orders, origins
from gateway.checkout import amounts, assets, calls, language, paying, sessions, theme, visitors
from gateway.checkout.calls import View
from gateway.checkout.language import Language
from gateway.checkout.paying import Checkout
from gateway.errors import LedgateError, NotFoundError, UnavailableError
from gateway.merchants import Merchant
from kit.db import AWAY

AnyRequest = Request[Any, Any, Any]

_MOST = 255  # characters of a key
_STATES = ("ready", "processing", "success", "failed")
_FEATURES = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer", "microphone",
    "midi", "payment", "serial", "usb",
)  # fmt: skip


class Wishes(NamedTuple):
    """What the address says of the page's looks."""

    embedded: bool
    """It was asked for by the SDK."""
    color: str
    """The merchant's, in hex: the page is in it before it is seen. Anything else changes nothing."""


@get("/checkout", media_type=MediaType.HTML)
async def checkout_page(
    request: AnyRequest,
    *,
    order_id: FromQuery[str] = "",
    key: FromQuery[str] = "",
    embedded: FromQuery[str] = "",
    lang: FromQuery[str] = "",
    color: FromQuery[str] = "",
) -> Response[str | bytes]:
    """The page of one order; one and the same when there is none, or the key is not the merchant's."""
    chosen = language.choose(lang, request.headers.get("accept-language", ""))
    try:
        return await _order_page(request, order_id, key, chosen, Wishes(embedded == "true", color))
    except LedgateError as error:
        refusal = error
    except AWAY:
        refusal = UnavailableError("the database is not reachable")
    status, retry_after = refusal.status, getattr(refusal, "retry_after", None)
    request.scope["state"]["error_code"] = refusal.code
    text = "not_found" if status == NotFoundError.status else "unavailable"
    values = {
        "title": chosen.say(f"{text}.title"),
        "text": chosen.say(f"{text}.text"),
        "code": refusal.code,
        "hide_again": "hidden" if status == NotFoundError.status else "",
    }
    nonce = secrets.token_urlsafe(16)
    page = _fill("refused", chosen, values, nonce)
    # In anybody's frame: there is nothing on it to see or to press, and a shop's developer sees why.
    headers = _headers(nonce, ["*"], []) | ({"Retry-After": str(int(retry_after) + 1)} if retry_after else {})
    return Response(page, status_code=status, headers=headers, media_type=MediaType.HTML)


async def _order_page(
    request: AnyRequest, order_id: str, key: str, chosen: Language, wishes: Wishes
) -> Response[str | bytes]:
    gateway, hosted = request.app.state.gateway, request.app.state.checkout
    state = request.scope["state"]
    address = visitors.address(request, hosted.proxies)
    if "rate" not in state:  # it is not run again after an outage
        state["rate"] = hosted.visits.take(address)
    try:
        merchant = await _merchant(request, key, order_id)
        async with gateway.database.connection(reading=True) as conn:
            order = await paying.look(conn, merchant, order_id)
            payment = await paying.stands(conn, merchant, order, "")
    except NotFoundError:
        gateway.guesses.take(address)
        raise
    session = sessions.begin(key_id=key, merchant_id=merchant.merchant_id, order_id=order.id, language=chosen.tag)
    view = calls.render_view(request, session, payment)
    framing = origins.framing(order.checkout_origins, test_mode=gateway.config.test_mode)
    nonce = secrets.token_urlsafe(16)
    page = render(order, view, chosen, wishes, framing, nonce=nonce, test_mode=gateway.config.test_mode)
    headers, content = _headers(nonce, framing, framing), page.encode()
    if "gzip" in request.headers.get("accept-encoding", ""):
        # Nothing that stands in it stands in another answer too: whoever has it asked for often learns nothing of its
        # lengths.
        headers["Content-Encoding"], content = "gzip", gzip.compress(content, 6, mtime=0)
    return Response(content, headers=headers | {"Vary": "Accept-Encoding"}, media_type=MediaType.HTML)


async def _merchant(request: AnyRequest, key: str, order_id: str) -> Merchant:
    """Whose publishable key it is.

    Raises:
        NotFoundError: nobody's, or it may not start payments even with its secret; or this can be no order's id.
    """
    gateway = request.app.state.gateway
    known = 0 < len(key) <= _MOST and "\0" not in key and orders.ID.match(order_id)
    merchant: Merchant | None = await gateway.credentials.publish(key) if known else None
    if merchant is None or "write" not in merchant.scopes:
        raise NotFoundError("there is no such order")
    request.scope["state"]["merchant_id"] = merchant.merchant_id
    gateway.rates.take(merchant.key_id)
    return merchant


def render(
    order: Checkout,
    view: View,
    chosen: Language,
    wishes: Wishes,
    framing: list[str],
    *,
    nonce: str,
    test_mode: bool,
) -> str:
    """The page's HTML.

    Args:
        order: what is paid.
        view: how it stands.
        chosen: the language.
        wishes: how it looks.
        framing: where it may be framed: the parent that the script may talk to.
        nonce: what the policy lets run.
        test_mode: say that no money moves.
    """
    amount = amounts.shown(order.amount, order.currency)
    boot = {
        "order_id": order.id,
        "framing": framing,
        "view": view,
        "texts": {key.removeprefix("js."): text for key, text in chosen.texts.items() if key.startswith("js.")},
    }
    values = {
        "name": order.name,
        "initial": order.name[:1].upper(),
        "amount": amount,
        "pay": chosen.say("pay", amount=amount),
        "title": chosen.say("title", amount=amount, name=order.name),
        "success_text": chosen.say("success.text", amount=amount, name=order.name),
        "paid_text": chosen.say("paid.text", amount=amount, name=order.name),
        "theme": _Made(theme.style(wishes.color)),
        "order_id": order.id,
        "state": view.state,
        "embedded": "yes" if wishes.embedded else "no",
        "upi": "yes" if order.currency == "INR" else "no",
        "method": "upi" if order.currency == "INR" else "card",
        "payment_id": view.payment.id if view.payment else "",
        "test_mode": "yes" if test_mode else "no",
        # In a script element only `<` could end what stands there.
        "boot": _Made(msgspec.json.encode(boot).decode().replace("<", "\\u003c")),
    }
    values |= {f"hide_{state}": "" if view.state == state else "hidden" for state in _STATES}
    return _fill("page", chosen, values, nonce)


class _Made(str):
    """HTML of our own making, which is not escaped again."""

    __slots__ = ()


def _fill(name: str, chosen: Language, values: dict[str, str], nonce: str) -> str:
    digest, _ = assets.static()
    every = {f"t_{key.replace('.', '_')}": text for key, text in chosen.texts.items()}
    every |= {"lang": chosen.tag, "nonce": nonce, "static": f"/checkout/static/{digest}"} | values
    safe = {key: value if isinstance(value, _Made) else html.escape(value) for key, value in every.items()}
    return _template(name).substitute(safe)


@functools.cache
def _template(name: str) -> Template:
    return Template(resources.files("gateway.checkout").joinpath("pages", f"{name}.html").read_text(encoding="utf-8"))


def _headers(nonce: str, framing: list[str], images: list[str]) -> dict[str, str]:
    """What the browser holds for us: nothing runs, loads or sends but what this page is made of.

    Args:
        nonce: of this answer.
        framing: where it may be framed.
        images: where the merchant's picture may come from: its own pages' origins, since any other could be a way out
            for what a stranger's script had read.
    """
    only = f"'nonce-{nonce}'"
    policy = {
        "default-src": "'none'",
        # The second word is for browsers that do not hand a script's nonce on to what it imports.
        "script-src": f"{only} 'strict-dynamic'",
        "style-src": only,
        "img-src": " ".join(["'self'", "data:", *images]),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": " ".join(framing) or "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
