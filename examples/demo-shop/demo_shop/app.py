"""The shop's server: pages, a basket, orders made at the gateway, and the webhooks that say what is paid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from demo_shop.cart import COOKIE, Cart
from demo_shop.catalogue import TEAS
from demo_shop.gateway import Gateway, GatewayError
from demo_shop.orders import Order, Orders
from demo_shop.pages import Pages
from demo_shop.signature import SignatureError, verify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx
    from aiohttp.typedefs import Handler, Middleware

BODY_LIMIT = 262_144
"""Bytes of a request's body; more is a 413."""
_REFUSED = {401, 403}
_AGAIN = 0.2  # seconds until the gateway is asked again for our endpoint, growing to
_AGAIN_MOST = 10.0
_CART_SECONDS = 30 * 24 * 3600
_NO_CREDENTIALS = (
    "The shop is closed: it has no credentials of the gateway. Set LEDGATE_DEMO_SHOP_KEY and LEDGATE_DEMO_SHOP_SECRET "
    "to an API key of yours; the public ones exist with TEST_MODE=true only."
)

log = logging.getLogger("demo_shop")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the gateway is and who we are there."""

    api_url: str
    """As this server reaches it."""
    checkout_url: str
    """Origin of the checkout, as browsers reach it."""
    webhook_url: str
    """Our `/webhook`, as the gateway reaches it."""
    key: str = ""
    secret: str = field(default="", repr=False)


class Shop:
    """One shop; what it knows is in memory."""

    def __init__(self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._orders = Orders()
        self._pages = Pages(settings.checkout_url, settings.key)
        self._gateway = Gateway(settings.api_url, settings.key, settings.secret, transport=transport)
        self._webhook_secret: str | None = None
        self._waits_for = "the gateway"
        self._closed: str | None = None if settings.key and settings.secret else _NO_CREDENTIALS

    # What shoppers see.

    async def home(self, request: web.Request) -> web.Response:
        """`GET /`."""
        return _html(self._pages.home(_cart(request), closed=self._closed))

    async def basket(self, request: web.Request) -> web.Response:
        """`GET /basket`."""
        return _html(self._pages.basket(_cart(request), closed=self._closed))

    async def fill(self, request: web.Request) -> web.Response:
        """`POST /basket`: so many tins of one tea, and back to where it was asked for."""
        form = await request.post()
        slug, quantity = str(form.get("tea")), str(form.get("quantity"))
        if slug not in TEAS or not (quantity.isdecimal() and len(quantity) == 1):
            raise web.HTTPBadRequest(text="tea and quantity, 0 to 9, are needed")
        answer = _see_other("/basket" if form.get("from") == "basket" else f"/#{slug}")
        return _keep(answer, _cart(request).with_quantity(slug, int(quantity)))

    async def order(self, request: web.Request) -> web.Response:
        """`POST /orders`: make the basket an order, at our prices; the same basket as often as one likes.

        A script that asks for JSON opens the checkout over the page; without one, the order's page leads to it.
        """
        cart = _cart(request)
        wants_json = "application/json" in request.headers.get("Accept", "")
        if not cart.lines:
            return _see_other("/basket")
        try:
            order = self._orders.find(cart.key) or await self._place(cart)
        except GatewayError as error:
            log.warning("no order made: %s", error)
            text = "Our till does not answer just now. Nothing was ordered, nothing was charged; please try again."
            if wants_json:
                return web.json_response({"error": text}, status=503)
            return _html(self._pages.trouble(cart, "One moment, please", text), status=503)
        if wants_json and order.paid_at is None:
            return web.json_response(self._pages.till(order))
        return web.json_response({"page": f"/orders/{order.id}"}) if wants_json else _see_other(f"/orders/{order.id}")

    async def _place(self, cart: Cart) -> Order:
        if self._closed:
            raise GatewayError(self._closed)
        return self._orders.place(cart, await self._gateway.make_order(cart))

    async def show(self, request: web.Request) -> web.Response:
        """`GET /orders/{id}`; with `?thanks` the browser says that it has paid, and we wait for the gateway's word."""
        order, cart = self._known(request), _cart(request)
        thanked = "thanks" in request.query
        done = cart.key == order.id and (thanked or order.paid_at is not None)
        answer = _html(self._pages.order(order, Cart.read("") if done else cart, thanked=thanked))
        if done:
            answer.del_cookie(COOKIE)
        return answer

    async def progress(self, request: web.Request) -> web.Response:
        """`GET /orders/{id}/progress`: the part of its page that changes, for the page's script."""
        return _html(self._pages.progress(self._known(request), thanked="thanks" in request.query))

    def _known(self, request: web.Request) -> Order:
        order = self._orders.find(request.match_info["order_id"])
        if order is None:
            text = "We do not know this order. This shop keeps the newest 1,000, and forgets them when it restarts."
            page = self._pages.trouble(_cart(request), "No such order", text)
            raise web.HTTPNotFound(text=page, content_type="text/html")
        return order

    # What the gateway says.

    async def webhook(self, request: web.Request) -> web.Response:
        """`POST /webhook`: the one way in which an order becomes paid. 200 for what is genuine, 401 for the rest."""
        body = await request.read()  # the exact bytes: JSON that was parsed and written again may differ
        if self._webhook_secret is None:
            return web.json_response({"error": "Not ready"}, status=503)  # it will come again
        try:
            # With the timestamp and id signed: the older X-Webhook-Signature alone would let an event be replayed.
            if "webhook-signature" not in request.headers:
                raise SignatureError("header webhook-signature is missing")  # noqa: TRY301
            verify(self._webhook_secret, request.headers, body, now=time.time())
        except SignatureError as error:
            log.warning("webhook -> 401 %s", error)
            return web.json_response({"error": "Invalid signature", "reason": str(error)}, status=401)
        event = json.loads(body)
        webhook_id = request.headers["webhook-id"]
        log.info("%s %s -> 200 %s", event["event"], webhook_id, self._orders.hear(webhook_id, event))
        return web.json_response({"status": "received"})

    async def subscribed(self, _: web.Application) -> AsyncIterator[None]:
        """While the shop runs, have an endpoint at the gateway, however long it takes to get one."""
        getting = asyncio.create_task(self._subscribe())
        yield
        getting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await getting
        await self._gateway.close()

    async def _subscribe(self) -> None:
        if self._closed:
            log.warning("%s", self._closed)
            return
        pause = _AGAIN
        while self._webhook_secret is None:
            try:
                self._webhook_secret = await self._gateway.subscribe(self._settings.webhook_url)
            except GatewayError as error:
                if str(error) != self._waits_for:
                    self._waits_for = str(error)
                    log.info("no webhooks yet: %s", error)
                if error.status in _REFUSED:
                    self._closed = f"The shop is closed: {error}. LEDGATE_DEMO_SHOP_KEY and …_SECRET tell who it is."
                await asyncio.sleep(pause)
                pause = min(pause * 2, _AGAIN_MOST)
        self._closed = None
        log.info("webhooks come to %s", self._settings.webhook_url)

    async def health(self, _: web.Request) -> web.Response:
        """`GET /health`: 503 until webhooks can be verified; a closed shop is well, and says why it is closed."""
        if self._closed:
            return web.json_response({"status": "closed", "reason": self._closed})
        if self._webhook_secret is None:
            return web.json_response({"status": "starting", "reason": self._waits_for}, status=503)
        return web.json_response({"status": "running"})


def make_app(settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> web.Application:
    """The shop, ready for `web.run_app` or a test server.

    Args:
        settings: where the gateway is and who we are there.
        transport: what carries the calls to the API; the network without it.
    """
    shop = Shop(settings, transport=transport)
    app = web.Application(
        client_max_size=BODY_LIMIT,
        # What is signed is what is on the wire, so nothing may unpack it first.
        handler_args={"auto_decompress": False},
        middlewares=[_guarded(_policy(settings.checkout_url))],
    )
    app.cleanup_ctx.append(shop.subscribed)
    app.add_routes(
        [
            web.get("/", shop.home),
            web.get("/basket", shop.basket),
            web.post("/basket", shop.fill),
            web.post("/orders", shop.order),
            web.get("/orders/{order_id}", shop.show),
            web.get("/orders/{order_id}/progress", shop.progress),
            web.post("/webhook", shop.webhook),
            web.get("/health", shop.health),
            *(web.get(f"/static/{name}", _static(name, kind)) for name, kind in _STATIC.items()),
        ]
    )
    return app


_STATIC = {"shop.css": "text/css", "shop.js": "text/javascript", "mark.svg": "image/svg+xml"}


def _static(name: str, kind: str) -> Handler:
    body = resources.files("demo_shop").joinpath("static", name).read_bytes()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return answer


def _policy(checkout: str) -> dict[str, str]:
    """Ours alone, and the checkout's origin for its script and its frame."""
    return {
        "Content-Security-Policy": (
            f"default-src 'self'; script-src 'self' {checkout}; frame-src {checkout}; object-src 'none'; "
            f"base-uri 'none'; form-action 'self' {checkout}; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


def _guarded(headers: dict[str, str]) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Forms of other sites do not fill baskets here. (Webhooks come from no browser, and have no origin.)
        origin = request.headers.get("Origin")
        if request.method == "POST" and origin and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="from another site")
        try:
            answer = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(headers)
            raise
        answer.headers.update(headers)
        return answer

    return guard


def _cart(request: web.Request) -> Cart:
    return Cart.read(request.cookies.get(COOKIE, ""))


def _keep(answer: web.Response, cart: Cart) -> web.Response:
    answer.set_cookie(COOKIE, cart.cookie, max_age=_CART_SECONDS, httponly=True, samesite="Lax")
    return answer


def _see_other(where: str) -> web.Response:
    return web.Response(status=303, headers={"Location": where})


def _html(page: str, status: int = 200) -> web.Response:
    return web.Response(text=page, content_type="text/html", status=status, headers={"Cache-Control": "no-store"})
