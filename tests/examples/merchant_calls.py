"""Calls of the example receiver, signed as the public library and as Ledgate do it."""

from __future__ import annotations

import hashlib
import hmac
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from test_merchant.app import make_app

SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
DEMO_SECRET = "whsec_test_abc123"
BODY = (
    b'{"id":"evt_1","event":"payment.success","timestamp":1705315870,"data":{"payment":{"id":"pay_1","amount":50000}}}'
)

# The vector that users count on.
VECTOR_BODY = b'{"event_type":"ping","data":{"success":true}}'
VECTOR_TIME = 1731705121
VECTOR = {
    "webhook-id": "msg_loFOjxBNrRLzqYUf",
    "webhook-timestamp": str(VECTOR_TIME),
    "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
}


def standard(body=BODY, *, secret=SECRET, webhook_id="evt_1", at=None, **extra):
    """Headers as the public library signs them."""
    at = time.time() if at is None else at
    # The library reads its naive `datetime` as UTC.
    signature = Webhook(secret).sign(webhook_id, datetime.fromtimestamp(at, UTC).replace(tzinfo=None), body.decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signature,
        **extra,
    }


def simple(body=BODY, *, secret=SECRET, **extra):
    return {"X-Webhook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), **extra}


@asynccontextmanager
async def running(secret):
    async with TestClient(TestServer(make_app(secret))) as client:
        yield client


async def post(client, headers, body=BODY):
    async with client.post("/webhook", data=body, headers=headers) as response:
        return response.status, await response.json()


async def arrivals(client, **query):
    async with client.get("/received", params=query) as response:
        assert response.status == 200
        return await response.json()


async def behave(client, **behaviour):
    async with client.put("/behaviour", json=behaviour) as response:
        return response.status, await response.json()
