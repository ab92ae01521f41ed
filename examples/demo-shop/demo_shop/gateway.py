"""The shop's calls to the gateway: make an order, have a webhook endpoint. Key and secret never leave this server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from demo_shop.catalogue import CURRENCY
from demo_shop.orders import number

if TYPE_CHECKING:
    from demo_shop.cart import Cart

EVENTS = ["order.paid", "payment.failed", "payment.success"]
_TRIES = 3
_PAUSE = 0.3  # seconds, doubled at each try


class GatewayError(Exception):
    """The gateway does not answer, or says no; its text says why."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Gateway:
    """The REST API, as this merchant."""

    def __init__(self, url: str, key: str, secret: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.key = key
        """Publishable: pages may have it."""
        self._http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"X-Api-Key": key, "X-Api-Secret": secret},
            timeout=10.0,
            transport=transport,
            trust_env=False,  # a proxy of the environment is for the way out, not to our own gateway
        )

    async def make_order(self, cart: Cart) -> str:
        """Open an order for a basket, at our prices; its id. The same basket gets the same order.

        Raises:
            GatewayError: it cannot be made now.
        """
        body = {
            "amount": cart.total,
            "currency": CURRENCY,
            "receipt": number(cart),
            "notes": {line.tea.slug: f"{line.quantity} x {line.tea.name}" for line in cart.lines},
        }
        order = await self._call("POST", "/orders", body, key=f"basket-{cart.key}")
        return str(order["id"])

    async def subscribe(self, url: str) -> str:
        """Have one endpoint at `url`, enabled and for our events; the secret that signs what it is sent.

        Safe to try again as a whole: what was made by a call whose answer got lost is found by its URL.

        Raises:
            GatewayError: it cannot be had now.
        """
        listed = await self._call("GET", "/webhook-endpoints")
        ours = next((one for one in listed["data"] if one["url"] == url), None)
        if ours is None:
            body = {"url": url, "events": EVENTS, "description": "The demo shop"}
            made = await self._call("POST", "/webhook-endpoints", body)
            return str(made["webhook_secret"])
        path = f"/webhook-endpoints/{ours['id']}"
        if not ours["enabled"]:  # we were away for long: have what we missed, too
            await self._call("PATCH", path, {"enabled": True, "recover": True})
        if sorted(ours["events"]) != EVENTS:
            await self._call("PATCH", path, {"events": EVENTS})
        return str((await self._call("GET", f"{path}/secret"))["webhook_secret"])

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def _call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """One call; tried again where nobody answered, if that is safe: a POST only with a key."""
        for again in reversed(range(_TRIES if key or method != "POST" else 1)):
            try:
                answer = await self._http.request(
                    method, path, json=body, headers={"Idempotency-Key": key} if key else None
                )
            except httpx.HTTPError as error:
                problem = GatewayError(f"the gateway does not answer: {str(error) or type(error).__name__}")
            else:
                if answer.is_success:
                    return answer.json()
                problem = GatewayError(_told(answer), status=answer.status_code)
                if answer.status_code < 500:  # noqa: PLR2004 - it was understood, and refused
                    raise problem
            if again:
                await asyncio.sleep(_PAUSE * 2 ** (_TRIES - 1 - again))
        raise problem


def _told(answer: httpx.Response) -> str:
    try:
        return f"the gateway says {answer.status_code}: {answer.json()['error']['description']}"
    except (ValueError, LookupError, TypeError):
        return f"the gateway says {answer.status_code}"
