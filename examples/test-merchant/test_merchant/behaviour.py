"""Answer badly on demand, to see what the sender makes of it. A real receiver has none of this."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

Mode = Literal["ok", "fail", "hang", "gone", "too_many", "redirect", "slow_drip"]

_STATUS: dict[Mode, int] = {
    "ok": 200, "fail": 500, "hang": 200, "gone": 410, "too_many": 429, "redirect": 302, "slow_drip": 200,
}  # fmt: skip


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How verified webhooks are answered."""

    mode: Mode
    status: Annotated[int, Meta(ge=300, le=599)] | None = None
    """In place of the mode's own status."""
    retry_after: Annotated[int, Meta(ge=0, le=604_800)] | None = None
    """The answer's `Retry-After`, in seconds."""
    seconds: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """How long `hang` and `slow_drip` take."""
    times: Annotated[int, Meta(ge=1)] | None = None
    """For how many webhooks; then `ok` again."""
    event: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """Only for this event type; others are answered as with `ok`."""

    @property
    def code(self) -> int:
        """The status of the answer."""
        return self.status or _STATUS[self.mode]

    def applies_to(self, event: str | None) -> bool:
        """Whether a webhook of this event type is meant."""
        return self.event is None or self.event == event

    def after_one(self) -> Behaviour:
        """What holds for the next webhook, once this one is used up."""
        if self.times is None:
            return self
        return msgspec.structs.replace(self, times=self.times - 1) if self.times > 1 else OK

    async def answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        """Answer `request` with `body`, as told."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.mode == "redirect":
            headers["Location"] = "/health"  # who follows it with a GET would take the 200 there for success
        if self.mode == "hang":
            await asyncio.sleep(self.seconds)
        if self.mode == "slow_drip":
            return await self._drip(request, headers)
        return json_response(body, self.code, headers)

    async def _drip(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(status=self.code, headers=headers)
        try:
            await response.prepare(request)
            for second in range(math.ceil(self.seconds)):
                await response.write(b".")
                await asyncio.sleep(min(1, self.seconds - second))
        except ConnectionResetError:
            pass  # the sender had enough
        return response


OK = Behaviour(mode="ok")


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")
