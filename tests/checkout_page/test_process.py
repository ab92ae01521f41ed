"""The process: what it logs, and how it ends while pages listen to it."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import pytest

from gateway import hosting
from gateway.config import Config
from tests.checkout_page.browsing import Hosted
from tests.checkout_page.conftest import BY_CARD, Page
from tests.support.waiting import eventually


async def _open(client: httpx.AsyncClient, hosted: Hosted, order_id: str) -> Page:
    return Page(client, await client.get(hosted.address(order_id)))


async def test_no_card_no_token_and_no_address_stands_in_the_log(hosted: Hosted) -> None:
    """Right cards, wrong cards, bodies that are none: the log names the call, and nothing that was in it."""
    card, before = BY_CARD["card"], len(hosted.process.log.read_text())
    async with httpx.AsyncClient(base_url=hosted.url, trust_env=False) as client:
        page = await _open(client, hosted, hosted.order())
        tokens = [page.token]
        bodies = [
            {"method": "card", "card": {**card, "number": "4111111111111112"}},
            {"method": "card", "card": {**card, "cvv": "98765"}},
            {"method": "card", "card": {**card, "4111111111111113": 1}},
            {"method": "card", "card": "4111111111111114"},
            {"method": "upi", "vpa": "zaphod@beeblebrox."},
            BY_CARD,
        ]
        said = [await page.try_to_pay(body) for body in bodies]
        assert [one.status_code for one in said] == [400] * 5 + [200]
        tokens.append(page.token)

    log = hosted.process.log.read_text()[before:]
    assert log.count('"path":"/checkout/pay"') == 6
    for secret in (
        "411111111111",
        "4111 1111",
        "98765",
        "zaphod",
        "A Payer",
        *tokens,
        *(t.split(".")[0] for t in tokens),
    ):
        assert secret not in log, secret
    assert "key_test_abc123" not in log


@pytest.mark.parametrize("workers", [1, 4])
def test_pages_that_listen_leave_room_for_others(config: Config, workers: int) -> None:
    """However many workers there are: each takes as many streams as it may, and connections besides."""
    many = msgspec.structs.replace(config, api_workers=workers)
    server = hosting.serving("gateway.checkout.__main__:make_app", many, port=1, streams=many.checkout_streams)
    assert server.backpressure >= many.checkout_streams + 1000


async def test_a_process_that_ends_sends_its_listeners_away_and_loses_none(hosted: Hosted) -> None:
    """On SIGTERM streams end by themselves, so that pages turn to another process; the payment goes on."""
    order = hosted.order()
    async with httpx.AsyncClient(base_url=hosted.url, trust_env=False, timeout=30) as client:
        page = await _open(client, hosted, order)
        await page.pay()
        listening = asyncio.create_task(page.call("GET", "events"))
        await asyncio.sleep(0)

        async def listens() -> bool:
            said = (await client.get("/metrics")).text
            return 'path="/checkout/pay"' in said

        await eventually(listens)
        code = await asyncio.to_thread(hosted.process.terminate)
        said = await listening
    assert (code, said.status_code) == (0, 200)
    assert '"state":"processing"' in said.text
    hosted.start()
    await hosted.settle()
    async with httpx.AsyncClient(base_url=hosted.url, trust_env=False) as client:
        page.client = client
        assert (await page.state())["state"] == "success"
