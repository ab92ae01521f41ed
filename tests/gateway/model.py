"""What two merchants must have, as the state machine believes it."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import psycopg

from gateway import demo
from gateway.config import load
from gateway.merchants import add_key, add_merchant, bucket_of
from gateway.secrets import make_sealer
from outbox import endpoints
from tests.support.processes import Stack


class Order(msgspec.Struct):
    amount: int
    reusable: bool
    paid: int = 0
    attempts: int = 0

    @property
    def status(self) -> str:
        if not self.reusable and self.paid == self.amount:
            return "paid"
        return "attempted" if self.attempts else "created"


class Payment(msgspec.Struct):
    order_id: str
    amount: int
    status: str
    refunds_fail: bool = False
    captured: int = 0
    refunded: int = 0

    @property
    def left(self) -> int:
        return (self.captured or self.amount) - self.refunded


class Merchant:
    """One merchant: how to call as it, and what it must have."""

    def __init__(self, shop: Stack, database_url: str) -> None:
        self.merchant_id, key_id, secret = asyncio.run(_make(shop, database_url))
        self.http = httpx.Client(base_url=f"{shop.url}/api/v1", auth=(key_id, secret), timeout=30)
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, tuple[str, int, str]] = {}
        self.endpoints: set[str] = set()
        self.origins: list[str] = []


async def _make(shop: Stack, database_url: str) -> tuple[str, str, str]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        merchant_id = await add_merchant(conn, "One of two")
        key_id, secret = await add_key(conn, merchant_id)
        await endpoints.save_default(
            conn,
            make_sealer(load(shop.env)),
            bucket=bucket_of(merchant_id),
            merchant_id=merchant_id,
            url=f"{shop.receiver_url}/webhook",
            secret=demo.WEBHOOK_SECRET,
        )
    return merchant_id, key_id, secret
